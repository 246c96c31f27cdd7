package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestFirstCall is the README's way, by the CLI alone: mint, call, be refused, look at
// the trail.
func TestFirstCall(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	minted := b.CLI(t, testenv.Orchestrator, "", "-o", "json", "task", "create", "--agent", "demo", "--user", "alice",
		"--sandbox", b.SPIFFEID(testenv.Sandbox), "--grant", readContacts, "--ttl", "15m")
	require.Zero(t, minted.Code, minted.Stderr)
	var task struct {
		TaskKey, TaskID, KeyID string
		ExpiresAt              time.Time
	}
	require.NoError(t, json.Unmarshal([]byte(minted.Stdout), &task))
	members := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(minted.Stdout), &members))
	for _, name := range []string{"taskKey", "taskId", "keyId", "expiresAt"} {
		require.Contains(t, members, name)
	}
	require.NoError(t, uuid.Validate(task.TaskID))
	require.WithinDuration(t, time.Now().Add(15*time.Minute), task.ExpiresAt, time.Minute)

	got := b.CLI(t, testenv.Sandbox, task.TaskKey, "invoke", "crm", "contacts.get", "--arg", "id=42")
	require.Zero(t, got.Code, got.Stderr)
	require.Contains(t, got.Stdout, `"id":42`)
	require.Empty(t, got.Stderr)

	shaped := b.CLI(t, testenv.Sandbox, task.TaskKey, "-o", "json", "invoke", "crm", "contacts.get", "--arg", "id=42")
	require.Zero(t, shaped.Code, shaped.Stderr)
	var answer struct {
		InvocationID string `json:"invocationId"`
		Status       int
		Headers      map[string]string
		ContentType  string
		Body         json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(shaped.Stdout), &answer))
	require.Equal(t, http.StatusOK, answer.Status)
	require.Equal(t, "application/json", answer.ContentType)
	require.Equal(t, strings.TrimSpace(got.Stdout), strings.TrimSpace(string(answer.Body)))
	require.NotNil(t, answer.Headers)

	refused := b.CLI(t, testenv.Sandbox, task.TaskKey, "invoke", "crm", "contacts.delete", "--arg", "id=42")
	require.Equal(t, 3, refused.Code, refused.Stderr)
	require.Contains(t, refused.Stderr, "GRANT_MISSING")
	require.Empty(t, refused.Stdout)

	listed := b.CLI(t, testenv.Operator, "", "-o", "json", "audit", "list", "--invocation", answer.InvocationID)
	require.Zero(t, listed.Code, listed.Stderr)
	require.Equal(t, []string{"INTENT", "OUTCOME OK", "INTENT", "OUTCOME OK", "REFUSAL GRANT_MISSING"}, settled(t, b, task.TaskID, 5))
	require.NotContains(t, listed.Stdout, task.TaskKey)
	table := b.CLI(t, testenv.Operator, "", "audit", "list", "--task", task.TaskID)
	require.Zero(t, table.Code, table.Stderr)
	for _, word := range []string{"INTENT", "OUTCOME", "REFUSAL", "GRANT_MISSING", "contact:42", "demo"} {
		require.Contains(t, table.Stdout, word)
	}
}

// settled waits until a task has so many events (outcomes are written behind) and
// gives their kinds.
func settled(t *testing.T, b *testenv.Broker, taskID string, n int) []string {
	t.Helper()
	var events []*onedoorv1.AuditEvent
	testenv.Eventually(t, "the task's events", func() bool {
		events = b.Events(t, taskID)
		return len(events) >= n
	})
	return kinds(events)
}

// The README tells people to use curl: it must come in with the files of `svid --write`
// and the bundle, and with nothing else.
func TestCurl(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, readContacts)
	dir := t.TempDir()
	require.Zero(t, b.CLI(t, testenv.Sandbox, "", "svid", "--write", dir).Code)
	info, err := os.Stat(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	curl := func(args ...string) testenv.Result {
		return testenv.Run(t, "", nil, append([]string{"curl", "--silent", "--show-error", "--cacert", b.Bundle}, args...)...)
	}
	got := curl("--cert", filepath.Join(dir, "svid.pem"), "--key", filepath.Join(dir, "key.pem"),
		"-H", "Authorization: Bearer "+task.Key, "-H", "Content-Type: application/json", "-d", `{"connector":"crm","tool":"contacts.get","arguments":{"id":"42"}}`, b.RESTURL+"/v1/invoke")
	require.Zero(t, got.Code, got.Stderr)
	require.Contains(t, got.Stdout, `"id":42`)
	require.NotZero(t, curl("-H", "Authorization: Bearer "+task.Key, b.RESTURL+"/v1/tools").Code, "without a certificate")
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		require.Zero(t, curl("--fail", b.PublicURL+path).Code, path)
	}
	require.NotZero(t, curl("--fail", b.PublicURL+"/v1/tools").Code, "the public listener serves no API")
}

// What an upstream answers arrives byte for byte over every transport: large numbers,
// key order, spaces, and bodies that are no JSON at all.
func TestBodyByteForByte(t *testing.T) {
	const odd = "{ \"z\": 9007199254740993,\n\t\"a\":1.10, \"é\":\"\\u00e9\" , \"z2\":[ ] }"
	binary := "\x00\xff\xfe not text"
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/things/json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(odd))
		case "/things/binary":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write([]byte(binary))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, upstream.Manifest("bytes", "", testenv.Things))
	task := b.Mint(t, nil, "bytes: things.get READ thing:*")
	client, rest := b.Client(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Sandbox, task.Key)
	for name, one := range map[string]struct{ id, body, member string }{
		"JSON keeps its bytes": {"json", odd, `"body":` + odd},
		"binary is base64":     {"binary", binary, `"bodyBase64":"AP/+IG5vdCB0ZXh0"`},
		"empty has no member":  {"empty", "", `"contentType":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := client.Invoke(t.Context(), "bytes", "things.get", map[string]string{"id": one.id})
			require.NoError(t, err)
			require.Equal(t, one.body, string(answer.Body))
			overREST := rest.Do(t, http.MethodPost, "/v1/invoke", `{"connector":"bytes","tool":"things.get","arguments":{"id":"`+one.id+`"}}`)
			require.Equal(t, http.StatusOK, overREST.Status)
			require.Contains(t, overREST.Body, one.member)
			raw := b.CLI(t, testenv.Sandbox, task.Key, "invoke", "bytes", "things.get", "--arg", "id="+one.id)
			require.Zero(t, raw.Code, raw.Stderr)
			require.Equal(t, one.body, raw.Stdout)
			shaped := b.CLI(t, testenv.Sandbox, task.Key, "-o", "json", "invoke", "bytes", "things.get", "--arg", "id="+one.id)
			require.Contains(t, shaped.Stdout, one.member)
		})
	}
}

// Arguments keep every digit on their way up, too.
func TestArgumentsByteForByte(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, upstream.Manifest("bytes", "", testenv.Things))
	task := b.Mint(t, nil, "bytes: things.make WRITE thing:*")
	const arguments = `{"name":"é<&>","size":9007199254740993,"price":1.10}`
	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "bytes", "things.make", json.RawMessage(arguments))
	require.NoError(t, err)
	answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", `{"connector":"bytes","tool":"things.make","arguments":`+arguments+`}`)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.Equal(t, 2, strings.Count(upstream.Wire(), "9007199254740993"))
	require.Equal(t, 2, strings.Count(upstream.Wire(), "1.10"))
}
