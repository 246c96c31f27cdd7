package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// known is what exists, for one operation: parts of its path, and a body.
type known struct {
	Path map[string]string `json:"path,omitempty"`
	Body map[string]any    `json:"body,omitempty"`
}

// apiCaller is one workload as which schemathesis calls the operations of some tags.
type apiCaller struct {
	as    testenv.Role
	key   string
	tags  []string
	known map[string]known
	// never are operations that cannot succeed here.
	never []string
}

// TestSchemathesis lets PyPI's schemathesis read the OpenAPI document where everybody
// reads it, and call all of the API with what fits it and what does not: nothing ends in
// a 5xx, and no answer is another than the document says, not even one that succeeds. What
// it sends is the same every time.
func TestSchemathesis(t *testing.T) {
	up := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":9007199254740993}`))
	}))
	b := testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) {
		c.Limits.FailuresPerSecond, c.Limits.FailureBurst = 1e6, 1e6
	})
	b.Apply(t, up.Manifest("things", "", testenv.Things))
	for _, c := range []apiCaller{asSandbox(t, b), asOrchestrator(t, b), asOperator(t, b, up)} {
		t.Run(string(c.as), func(t *testing.T) {
			out, answers := schemathesis(t, b, c)
			for line := range strings.Lines(b.Log()) {
				require.NotContains(t, line, `"level":"ERROR"`)
			}
			for operation, codes := range answers {
				t.Logf("%s: %v", operation, codes)
				if !slices.Contains(c.never, operation) {
					require.Contains(t, codes, "200", "%s never succeeds\n%s", operation, out)
				}
			}
		})
	}
}

const things1 = "things: things.get READ thing:1"

func asSandbox(t *testing.T, b *testenv.Broker) apiCaller {
	call := known{Body: map[string]any{"connector": "things", "tool": "things.get", "arguments": map[string]any{"id": "1"}}}
	task := b.Mint(t, b.DelegatesToSandbox2, things1)
	return apiCaller{
		as: testenv.Sandbox, key: task.Key, tags: []string{"Broker"},
		known: map[string]known{
			"POST /v1/invoke": call, "POST /v1/invoke:stream": call, "POST /v1/explain": call,
			"POST /v1/task:delegate": {Body: map[string]any{
				"agent": "sub-agent", "sandbox": b.SPIFFEID(testenv.Sandbox2), "grants": []string{things1},
			}},
			"POST /v1/task:end": {Body: map[string]any{"taskId": b.Delegate(t, task, things1).ID}},
		},
	}
}

func asOrchestrator(t *testing.T, b *testenv.Broker) apiCaller {
	task := known{Path: map[string]string{"task_id": b.Mint(t, nil, things1).ID}}
	return apiCaller{
		as: testenv.Orchestrator, tags: []string{"Tasks"},
		known: map[string]known{
			"GET /v1/tasks/{task_id}":         task,
			"POST /v1/tasks/{task_id}:revoke": {Path: task.Path, Body: map[string]any{"workspace": "default"}},
			"POST /v1/tasks": {Body: map[string]any{
				"agent": "a", "user": "alice", "sandbox": b.SPIFFEID(testenv.Sandbox), "grants": []string{things1}, "ttl": "60s",
			}},
		},
	}
}

func asOperator(t *testing.T, b *testenv.Broker, up *testenv.Upstream) apiCaller {
	spare := up.Manifest("spare", "{main: {owner: workspace, attach: bearer}}", testenv.Things)
	b.Apply(t, spare)
	put, err := b.Client(t, testenv.Operator, "").Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
		Connector: "spare", Secret: []byte("sk-canary-of-schemathesis"), Owner: &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true},
	})
	require.NoError(t, err)
	desk, err := os.ReadFile("testdata/desk.openapi.yaml")
	require.NoError(t, err)
	encoded := base64.StdEncoding.EncodeToString
	return apiCaller{
		as: testenv.Operator, tags: []string{"Connectors", "Credentials", "Audit", "Keys", "Usage"},
		known: map[string]known{
			"POST /v1/connectors":                    {Body: map[string]any{"manifest": spare}},
			"POST /v1/connectors:import":             {Body: map[string]any{"document": encoded(desk), "name": "desk"}},
			"GET /v1/connectors/{name}":              {Path: map[string]string{"name": "spare"}},
			"DELETE /v1/connectors/{name}":           {Path: map[string]string{"name": "things"}},
			"POST /v1/credentials":                   {Body: map[string]any{"connector": "spare", "secret": encoded([]byte("sk-another")), "workspaceOwned": true}},
			"DELETE /v1/credentials/{credential_id}": {Path: map[string]string{"credential_id": put.GetCredential().GetId()}},
			"POST /v1/keys:rotate":                   {Body: map[string]any{"purpose": "assertion"}},
		},
		never: []string{"POST /v1/credentials:connect"}, // no connector here signs anybody in
	}
}

// schemathesis calls the API as one workload, whose SVID it has as files. It gives what
// was said, and how often each operation answered with which status code.
func schemathesis(t *testing.T, b *testenv.Broker, c apiCaller) (said string, answers map[string]map[string]int) {
	t.Helper()
	dir := t.TempDir()
	svid, recorded := filepath.Join(dir, "svid"), filepath.Join(dir, "answers")
	written := b.CLI(t, c.as, "", "svid", "--write", svid)
	require.Zero(t, written.Code, written.Stderr)
	exists, err := json.Marshal(c.known)
	require.NoError(t, err)
	hooks, err := filepath.Abs("schemathesis_hooks.py")
	require.NoError(t, err)
	args := []string{
		"run", b.PublicURL + "/openapi.json", "--url", b.RESTURL, "--tls-verify", b.Bundle,
		"--request-cert", filepath.Join(svid, "svid.pem"), "--request-cert-key", filepath.Join(svid, "key.pem"),
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
		"--phases", "coverage,fuzzing", "--max-examples", "5", "--generation-deterministic",
		"--no-shrink", "--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "60",
		// One thread: in several, on a busy machine, CPython ends hypothesis with "AST
		// constructor recursion depth mismatch".
		"--workers", "1",
	}
	for _, tag := range c.tags {
		args = append(args, "--include-tag", tag)
	}
	if c.key != "" {
		args = append(args, "--header", "Authorization: Bearer "+c.key)
	}
	cmd := exec.CommandContext(t.Context(), venvProgram(t, "schemathesis"), args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PYTHONDONTWRITEBYTECODE=1",
		"SCHEMATHESIS_HOOKS=" + hooks, "ONEDOOR_TEST_KNOWN=" + string(exists), "ONEDOOR_TEST_ANSWERS=" + recorded,
	}
	out, err := cmd.CombinedOutput()
	require.False(t, c.key != "" && strings.Contains(string(out), c.key), "the key was shown")
	// What failed stands at the end, behind all that was called.
	require.NoError(t, err, "%s", out[max(0, len(out)-16<<10):])
	text, err := os.ReadFile(recorded)
	require.NoError(t, err)
	answers = map[string]map[string]int{}
	for line := range strings.Lines(string(text)) {
		at := strings.LastIndexByte(line, ' ')
		if answers[line[:at]] == nil {
			answers[line[:at]] = map[string]int{}
		}
		answers[line[:at]][strings.TrimSpace(line[at:])]++
	}
	return string(out), answers
}
