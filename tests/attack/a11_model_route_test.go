package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// providers is a broker with the ready connectors of three providers, and a task that
// may do all that they do.
func providers(t *testing.T) (*testenv.Broker, *testenv.Provider, testenv.Task) {
	t.Helper()
	p := testenv.NewProvider(t)
	b := testenv.NewSite(t, "", 0).Start(t)
	for _, name := range []string{"openai", "anthropic", "gemini"} {
		b.Apply(t, p.Ready(t, name))
		b.Put(t, name, "", testenv.ProviderKey)
	}
	b.Apply(t, p.Manifest("things", "{main: {owner: workspace, attach: bearer}}", testenv.Things))
	b.Put(t, "things", "", canary)
	return b, p, b.Mint(t, nil, "openai: chat.*,responses.*,embeddings.*,models.* READ model:*", "anthropic: messages.* READ model:*", "gemini: content.* READ model:*", "things: things.get READ thing:*")
}

// refusedPass is a refusal of a request in the provider's form: never an answer of the
// provider's, and never a word of its key.
func refusedPass(t *testing.T, answer testenv.Answer, status int, reason string) {
	t.Helper()
	require.Equal(t, status, answer.Status, answer.Body)
	require.Equal(t, reason, answer.Header.Get("X-Onedoor-Reason"), answer.Body)
	absent(t, "the answer", answer.Body, testenv.ProviderKey, canary)
}

// Nothing in a request chooses where it goes: not its host, not a header, not a base
// URL in body or query, and no path but those that the manifest declares.
func TestAttack11_ModelRoute(t *testing.T) {
	elsewhere := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b, p, task := providers(t)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	const chat = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	host := strings.TrimPrefix(elsewhere.Origin, "https://")
	for name, one := range map[string]struct {
		method, path, body string
		status             int
		reason             string
	}{
		"another host in the path":       {"POST", "/c/openai/" + elsewhere.Origin + "/v1/chat/completions", chat, 400, "ARGUMENT_INVALID"},
		"another host behind //":         {"POST", "/c/openai//" + host + "/v1/chat/completions", chat, 400, "ARGUMENT_INVALID"},
		"another host behind an @":       {"POST", "/c/openai/@" + host + "/v1/chat/completions", chat, 404, "TOOL_UNKNOWN"},
		"another host as the connector":  {"POST", "/c/" + host + "/v1/chat/completions", chat, 403, "GRANT_MISSING"},
		"a base URL in the body":         {"POST", "/c/openai/v1/chat/completions", `{"model":"m","messages":[{}],"api_base":"` + elsewhere.Origin + `"}`, 400, "ARGUMENT_INVALID"},
		"a base URL in the query":        {"POST", "/c/openai/v1/chat/completions?base_url=" + host, chat, 400, "ARGUMENT_INVALID"},
		"a key of one's own in the body": {"POST", "/c/openai/v1/chat/completions", `{"model":"m","messages":[{}],"api_key":"x"}`, 400, "ARGUMENT_INVALID"},
		"a model that is a path":         {"GET", "/c/openai/v1/models/..", "", 400, "ARGUMENT_INVALID"},
		"a model that is a path, hidden": {"GET", "/c/openai/v1/models/%2e%2e%2ffiles", "", 400, "ARGUMENT_INVALID"},
		"a model with another method":    {"POST", "/c/gemini/v1beta/models/g:generateContent/../../files", chat, 400, "ARGUMENT_INVALID"},
		"another provider's route":       {"POST", "/c/anthropic/v1/chat/completions", chat, 404, "TOOL_UNKNOWN"},
		"not granted":                    {"GET", "/c/anthropic/v1/models", "", 403, "GRANT_MISSING"},
		"not granted, and malformed":     {"GET", "/c/anthropic/v1/models?x=1", "", 403, "GRANT_MISSING"},
		"no such connector":              {"GET", "/c/none/v1/models", "", 403, "GRANT_MISSING"},
		"no connector":                   {"GET", "/c//v1/models", "", 400, "ARGUMENT_INVALID"},
		"another connector's path":       {"GET", "/c/things/v1/models", "", 404, "TOOL_UNKNOWN"},
		"a form":                         {"POST", "/c/openai/v1/chat/completions", "model=m", 400, "ARGUMENT_INVALID"},
		"two bodies":                     {"POST", "/c/openai/v1/chat/completions", chat + chat, 400, "ARGUMENT_INVALID"},
		"a model named twice":            {"POST", "/c/openai/v1/chat/completions", `{"model":"m","messages":[{}],"mod\u0065l":"n"}`, 400, "ARGUMENT_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedPass(t, rest.Do(t, one.method, one.path, one.body), one.status, one.reason)
		})
	}
	require.Zero(t, p.Requests(), "nothing was sent")

	answer := rest.Do(t, http.MethodPost, "/c/openai/v1/chat/completions", chat, "X-Forwarded-Host", host, "X-Original-Url", "/v1/files",
		"Openai-Organization", "other", "X-Base-Url", elsewhere.Origin, "X-Portkey-Custom-Host", elsewhere.Origin,
		"Proxy-Authorization", "Basic eA==", "Cookie", "a=b", "X-Drop", "1", "Range", "bytes=0-1")
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	wire := strings.ToLower(p.Wire())
	require.Equal(t, 1, p.Requests())
	require.Equal(t, 1, strings.Count(wire, "authorization:"))
	require.Equal(t, 1, strings.Count(p.Wire(), "\r\nAuthorization: Bearer "+testenv.ProviderKey+"\r\n"))
	for _, never := range []string{"\r\nx-", "\r\nopenai-", "\r\nproxy-", "\r\ncookie", "\r\nrange", host, strings.ToLower(task.Key)} {
		require.False(t, strings.Contains(wire, never), "%q went along", never)
	}
	require.Zero(t, elsewhere.Requests())
}

// The key of a task works in no other place than in its header, and only with the SVID
// of its own sandbox; what is refused is recorded with all that was known.
func TestAttack11_ModelKey(t *testing.T) {
	b, p, task := providers(t)
	const path, body = "/c/openai/v1/responses", `{"model":"m","input":"hi"}`
	for name, one := range map[string]struct {
		as     testenv.Role
		key    string
		header []string
		status int
		reason string
	}{
		"another sandbox":        {testenv.Sandbox2, task.Key, nil, 401, "TASK_KEY_INVALID"},
		"no key":                 {testenv.Sandbox, "", nil, 401, "TASK_KEY_INVALID"},
		"a wrong key":            {testenv.Sandbox, "sk-1", nil, 401, "TASK_KEY_INVALID"},
		"two keys":               {testenv.Sandbox, task.Key, []string{"X-Api-Key", "other"}, 400, "ARGUMENT_INVALID"},
		"the key in a cookie":    {testenv.Sandbox, "", []string{"Cookie", "key=" + task.Key}, 401, "TASK_KEY_INVALID"},
		"the key by another way": {testenv.Sandbox, "", []string{"Grpc-Metadata-Authorization", "Bearer " + task.Key}, 401, "TASK_KEY_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedPass(t, b.REST(t, one.as, one.key).Do(t, http.MethodPost, path, body, one.header...), one.status, one.reason)
		})
	}
	require.Zero(t, p.Requests())
	require.Equal(t, []string{"KEY_THEFT"}, reasons(b.Events(t, task.ID)))

	ended := b.Mint(t, nil, "openai: responses.create READ model:*")
	_, err := b.Client(t, testenv.Operator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: ended.ID})
	require.NoError(t, err)
	refusedPass(t, b.REST(t, testenv.Sandbox, ended.Key).Do(t, http.MethodPost, path, body), 401, "TASK_ENDED")
	require.Zero(t, p.Requests())
}
