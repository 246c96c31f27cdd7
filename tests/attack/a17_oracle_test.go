package attack_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack17_NothingCanBeGuessed: by no answer can a sandbox tell whether a connector of
// which it holds no grant exists, was withdrawn, or has a credential: whatever it asks of
// them, and of one that never was, the answers differ in the name alone.
func TestAttack17_NothingCanBeGuessed(t *testing.T) {
	b, upstream := target(t, echoPath)
	providers := testenv.Provider{Upstream: upstream}
	b.Apply(t, providers.Ready(t, "openai"))
	for _, name := range []string{"stored", "withdrawn"} {
		b.Apply(t, upstream.Manifest(name, bearer, testenv.Things))
		b.Put(t, name, "alice", canary)
	}
	b.Apply(t, upstream.Manifest("empty", bearer, testenv.Things))
	_, err := b.Client(t, testenv.Operator, "").Connectors().Delete(t.Context(), &onedoorv1.ConnectorsDeleteRequest{Name: "withdrawn"})
	require.NoError(t, err)
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)

	ids := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	// told is all that is seen of an answer but for its time, the ids in it and the name.
	told := func(a testenv.Answer, name string) testenv.Answer {
		a.Header.Del("Date")
		a.Header.Del("Content-Length") // which has the name's length in it
		if a.Header.Get("X-Onedoor-Invocation-Id") != "" {
			a.Header.Set("X-Onedoor-Invocation-Id", "ID")
		}
		a.Body = strings.ReplaceAll(ids.ReplaceAllString(a.Body, "ID"), name, "NAME")
		return a
	}
	for _, ask := range [][3]string{
		{http.MethodPost, "/v1/invoke", `{"connector":"NAME","tool":"things.get","arguments":{"id":"1"}}`},
		{http.MethodPost, "/v1/invoke", `{"connector":"NAME","tool":"things.get","arguments":{"unheard":"of"}}`},
		{http.MethodPost, "/v1/invoke", `{"connector":"NAME","tool":"of.none"}`},
		{http.MethodPost, "/v1/invoke", `{"connector":"NAME","tool":"chat.completions","arguments":{"model":"m"}}`},
		{http.MethodPost, "/v1/invoke:stream", `{"connector":"NAME","tool":"things.get","arguments":{"id":"1"}}`},
		{http.MethodPost, "/v1/explain", `{"connector":"NAME","tool":"things.get","arguments":{"id":"1"}}`},
		{http.MethodPost, "/v1/explain", `{"connector":"NAME","tool":"of.none"}`},
		{http.MethodGet, "/c/NAME/v1/models", ""},
		{http.MethodGet, "/c/NAME/v1/models?after=x", ""},
		{http.MethodPost, "/c/NAME/v1/chat/completions", `{"model":"m"}`},
		{http.MethodDelete, "/c/NAME/none", ""},
		{http.MethodGet, "/v1/connectors/NAME", ""},
		{http.MethodGet, "/v1/credentials?connector=NAME", ""},
	} {
		var first testenv.Answer
		for i, name := range []string{"neverwas", "stored", "empty", "withdrawn", "openai"} {
			in := strings.NewReplacer("NAME", name)
			answer := told(rest.Do(t, ask[0], in.Replace(ask[1]), in.Replace(ask[2])), name)
			if i == 0 {
				first = answer
			}
			require.Equal(t, first, answer, "%s %s: %s", ask[1], ask[2], name)
		}
		require.True(t, first.Status == http.StatusForbidden || strings.Contains(first.Body, `"GRANT_MISSING"`), "%s: %d %s", ask[1], first.Status, first.Body)
	}
	require.Zero(t, upstream.Requests())
	for _, e := range b.Events(t, task.ID) { // what the operator sees has the names
		require.Equal(t, "REFUSAL", e.GetKind())
	}
}
