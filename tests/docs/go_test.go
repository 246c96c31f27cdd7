package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestGoAsANewUser does what docs/go.md says, with its programs as they are printed.
func TestGoAsANewUser(t *testing.T) {
	page := read(t, "docs/go.md")
	script, programs := blocks(page, "sh"), blocks(page, "go")
	require.Len(t, script, 2)
	require.Len(t, programs, 4)
	home := testenv.ShortDir(t)
	testenv.StartDev(t, filepath.Join(home, "onedoor-dev"))
	var runs strings.Builder
	for _, source := range programs[:3] {
		name, _, _ := strings.Cut(strings.TrimPrefix(source, "// "), ".go\n")
		build(t, filepath.Join(home, name), source)
		runs.WriteString(filepath.Join(home, name) + "\n")
	}
	paste := "set -euo pipefail\ncd " + home + "\nexport PATH=" + filepath.Dir(testenv.Binary(t, "onedoor")) + ":$PATH\n" +
		strings.Join(script, "") + runs.String()
	got := testenv.Run(t, paste, []string{"HOME=" + home}, "bash")
	require.Zero(t, got.Code, got.Stderr)
	for _, want := range []string{
		`200 {"id":42,`, "not ours to read: RESOURCE_NOT_GRANTED: ", // call.go
		"data: [DONE]",                                    // stream.go
		`200 OK {"`, "<nil>\n", "\nRESOURCE_NOT_GRANTED ", // http.go
	} {
		require.Contains(t, got.Stdout, want)
	}

	test := filepath.Join(home, "agent_test.go")
	require.NoError(t, os.WriteFile(test, []byte(programs[3]), 0o600))
	run := exec.CommandContext(t.Context(), "go", "test", "-v", "-count=1", test)
	run.Dir = root
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "contacts.get [contact:42] OK")
	require.Contains(t, string(out), "contacts.get [contact:43]  RESOURCE_NOT_GRANTED")
}

// build makes a program of a page's block.
func build(t *testing.T, program, source string) {
	t.Helper()
	file := program + ".go"
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	compiler := exec.CommandContext(t.Context(), "go", "build", "-o", program, file)
	compiler.Dir = root
	out, err := compiler.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
