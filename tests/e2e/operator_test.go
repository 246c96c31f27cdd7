package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestOperator is an operator's day at the command line: describe an upstream, store a
// credential, see what stands, take it away again.
func TestOperator(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("X-Token")[:3]))
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	run := func(want int, stdin string, args ...string) string {
		t.Helper()
		said := b.CLIWith(t, testenv.Operator, "", stdin, args...)
		require.Equal(t, want, said.Code, said.Stderr)
		return said.Stdout
	}
	manifest := upstream.Manifest("things", "{main: {owner: workspace, attach: {header: X-Token}}}", testenv.Things)
	file := filepath.Join(t.TempDir(), "things.yaml")
	require.NoError(t, os.WriteFile(file, []byte(manifest), 0o600))
	require.Contains(t, run(0, "", "connector", "apply", "-f", file), "revision 1 applied")
	require.Contains(t, run(0, manifest, "connector", "apply", "-f", "-"), "revision 1 unchanged")
	require.Equal(t, manifest, run(0, "", "connector", "get", "things"), "the manifest comes back byte for byte")
	require.Contains(t, run(0, "", "connector", "list"), upstream.Origin)

	run(0, "abcdef-secret\n", "credential", "put", "things", "--workspace", "--from-file", "-")
	var listed struct {
		Credentials []struct{ ID, Connector, Kind string }
	}
	text := run(0, "", "-o", "json", "credential", "list")
	require.NoError(t, json.Unmarshal([]byte(text), &listed))
	require.Len(t, listed.Credentials, 1)
	require.NotContains(t, text, "abcdef")

	task := b.Mint(t, nil, "things: things.get READ thing:*")
	invoke := func() testenv.Result {
		return b.CLI(t, testenv.Sandbox, task.Key, "invoke", "things", "things.get", "--arg", "id=1")
	}
	got := invoke()
	require.Zero(t, got.Code, got.Stderr)
	require.Equal(t, "abc", got.Stdout, "one newline at the end of a file is no part of a secret")

	run(4, "", "credential", "delete", "00000000-0000-4000-8000-000000000000")
	run(0, "", "credential", "delete", listed.Credentials[0].ID)
	require.Equal(t, 5, invoke().Code, "CREDENTIAL_MISSING")
	run(0, "abcdef-secret", "credential", "put", "things", "--workspace", "--from-file", "-")
	require.Zero(t, invoke().Code)
	run(0, "", "connector", "delete", "things")
	withdrawn := invoke()
	require.Equal(t, 5, withdrawn.Code)
	require.Contains(t, withdrawn.Stderr, "CONNECTOR_CHANGED")
	require.NotContains(t, run(0, "", "connector", "list"), "things")

	acts := map[string]int{}
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		if e.GetKind() == "ADMIN_INTENT" {
			acts[e.GetTool()]++
		}
	}
	require.Equal(t, 2, acts["Connectors.Apply"])
	require.Equal(t, 2, acts["Credentials.Put"])
	require.Equal(t, 2, acts["Credentials.Delete"])
	require.Equal(t, 1, acts["Connectors.Delete"])
}
