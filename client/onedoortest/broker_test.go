package onedoortest_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/onedoortest"
)

// Nothing of a broker outlives its test, and the process is as it was.
func TestNothingIsLeft(t *testing.T) {
	writer, flags, collector := log.Writer(), log.Flags(), debug.SetGCPercent(100)
	defer debug.SetGCPercent(collector)
	before := goleak.IgnoreCurrent()
	t.Run("a broker that was used", func(t *testing.T) {
		b := onedoortest.Start(t)
		b.Upstream(t, crm, fakeCRM())
		agent := b.Task(t, "crm: contacts.get,contacts.export READ contact:*")
		_, err := email(t.Context(), agent, "42")
		require.NoError(t, err)
		_, err = agent.InvokeStream(t.Context(), "crm", "contacts.export", nil) // never closed
		require.NoError(t, err)
		require.Len(t, b.Calls(t), 2)
		status, err := os.ReadFile("/proc/self/status")
		require.NoError(t, err, "the process is open as before")
		require.NotEmpty(t, status)
	})
	goleak.VerifyNone(t, before)
	require.Equal(t, writer, log.Writer())
	require.Equal(t, flags, log.Flags())
	require.Equal(t, 100, debug.SetGCPercent(100))
}

// Brokers in one process know nothing of each other.
func TestBrokersAreApart(t *testing.T) {
	t.Parallel()
	one, two := onedoortest.Start(t), onedoortest.Start(t)
	one.Upstream(t, crm, fakeCRM())
	_, key := one.Mint(t, onedoortest.Task{Grants: []string{"crm: contacts.get READ contact:42"}})
	_, err := email(t.Context(), two.Client(t, "", key), "42")
	require.ErrorIs(t, err, client.TaskKeyInvalid)
	calls := two.Calls(t)
	require.Len(t, calls, 1)
	require.Equal(t, client.TaskKeyInvalid, calls[0].Reason)
	require.Empty(t, calls[0].TaskID)
	require.Empty(t, one.Calls(t))
}

// An upstream hears a request only with the credential, whatever the slot is, and each
// user's own.
func TestUpstreamDemandsTheCredential(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	for name, attach := range map[string]string{
		"bearer": "bearer", "basic": "basic", "header": "{header: X-Api-Key}", "query": "{query: key}",
	} {
		manifest := strings.NewReplacer("connector: crm", "connector: "+name, "attach: bearer", "attach: "+attach).Replace(crm)
		u := b.Upstream(t, manifest, fakeCRM())
		require.Equal(t, name, u.Name)
		answer, err := b.Task(t, name+": contacts.get READ contact:42").Invoke(t.Context(), name, "contacts.get", map[string]string{"id": "42"})
		require.NoError(t, err, name)
		require.Equal(t, http.StatusOK, answer.Status, name)
	}

	_, key := b.Mint(t, onedoortest.Task{User: "bob", Grants: []string{"bearer: contacts.get READ contact:42"}})
	bob := b.Client(t, "", key)
	_, err := bob.Invoke(t.Context(), "bearer", "contacts.get", map[string]string{"id": "42"})
	require.ErrorIs(t, err, client.CredentialMissing)
	b.Put(t, onedoortest.Secret{Connector: "bearer", User: "bob", Text: "a-token-of-bobs"})
	answer, err := bob.Invoke(t.Context(), "bearer", "contacts.get", map[string]string{"id": "42"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)

	bare := b.Upstream(t, strings.ReplaceAll(crm, "connector: crm", "connector: open"), fakeCRM())
	withoutIt, err := http.NewRequestWithContext(t.Context(), http.MethodGet, bare.Origin+"/contacts/42", http.NoBody)
	require.NoError(t, err)
	refused, err := stranger(t, bare).Do(withoutIt)
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
}

// A key is bound to its sandbox here as anywhere.
func TestKeysAreBound(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, fakeCRM())
	_, key := b.Mint(t, onedoortest.Task{Sandbox: "one", Grants: []string{"crm: contacts.get READ contact:42"}})
	_, err := email(t.Context(), b.Client(t, "two", key), "42")
	require.ErrorIs(t, err, client.TaskKeyInvalid)
	_, err = email(t.Context(), b.Client(t, "one", key), "42")
	require.NoError(t, err)
}

// An agent may be another process.
func TestEnv(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	b.Upstream(t, crm, fakeCRM())
	_, key := b.Mint(t, onedoortest.Task{Grants: []string{"crm: contacts.get READ contact:42"}})
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAgentProcess$", "-test.v")
	self.Env = append(append(os.Environ(), "AGENT_PROCESS=1"), b.Env(t, "", key)...)
	out, err := self.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "read ada@example.com")
}

// TestAgentProcess is the other process of TestEnv.
func TestAgentProcess(t *testing.T) {
	if os.Getenv("AGENT_PROCESS") == "" {
		return
	}
	c, err := client.Dial(t.Context(), client.FromEnv())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	address, err := email(t.Context(), c, "42")
	require.NoError(t, err)
	t.Log("read " + address)
}

// SVIDs of some seconds' life are renewed under an agent that works on.
func TestSVIDLife(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t, onedoortest.SVIDLife(4*time.Second))
	b.Upstream(t, crm, fakeCRM())
	agent := b.Task(t, "crm: contacts.get READ contact:42")
	calls := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); calls++ {
		_, err := email(t.Context(), agent, "42")
		require.NoError(t, err)
	}
	require.Len(t, b.Calls(t), calls)
}

// A manifest of production is tested as it is, and the SDK's requests with it.
func TestReadyManifest(t *testing.T) {
	t.Parallel()
	manifest, err := os.ReadFile("../../deploy/connectors/openai.yaml")
	require.NoError(t, err)
	b := onedoortest.Start(t)
	u := b.Upstream(t, string(manifest), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/v1/chat/completions", r.URL.Path)
		require.Empty(t, r.Header.Get("X-Of-The-SDK"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`))
	}))
	require.Equal(t, "openai", u.Name)
	transport, err := b.Task(t, "openai: chat.completions READ model:gpt-5.4-mini").Transport("openai", "https://api.openai.com")
	require.NoError(t, err)
	ask := func(model string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.openai.com/v1/chat/completions",
			strings.NewReader(`{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Of-The-SDK", "1")
		return (&http.Client{Transport: transport}).Do(r)
	}
	answer, err := ask("gpt-5.4-mini")
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Contains(t, string(body), "choices")
	_, err = ask("gpt-5.4") //nolint:bodyclose // an error has no body
	require.ErrorIs(t, err, client.ResourceNotGranted)
}

// What is wrong with a manifest is told as the broker tells it.
func TestManifestIsJudgedByTheBroker(t *testing.T) {
	t.Parallel()
	b := onedoortest.Start(t)
	for name, tc := range map[string]struct{ manifest, says string }{
		"no mapping":       {"- crm", "mapping"},
		"no YAML":          {"a: [", "yaml"},
		"a mistaken field": {strings.Replace(crm, "severity: READ", "severity: HARMLESS", 1), "severity: want READ"},
	} {
		caught := &fatal{TB: t}
		func() {
			defer func() { _ = recover() }()
			b.Upstream(caught, tc.manifest, fakeCRM())
		}()
		require.Contains(t, caught.said, tc.says, name)
	}
}

// fatal takes down what would end a test.
type fatal struct {
	testing.TB
	said string
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic("the test ends here")
}
