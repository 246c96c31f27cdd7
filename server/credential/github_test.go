package credential_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// answering is an endpoint that always gives one answer.
func answering(t *testing.T, status int, answer string) *testenv.Upstream {
	t.Helper()
	return testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
}

// reach is what a manifest says to reach a server of the test's.
func reach(at *testenv.Upstream) string {
	ca, _ := json.Marshal(at.CA)
	return ", network: {allow: [127.0.0.0/8]}, tls: {ca: " + string(ca) + "}}}"
}

func endpoint(at *testenv.Upstream, owner, oauth string) func(string) string {
	return slots("main: {owner: " + owner + ", attach: bearer, oauth: {token_endpoint: " + at.Origin + "/token, " + oauth + reach(at))
}

// app is a slot of a GitHub App, and tools on repositories.
func app(at *testenv.Upstream, narrowing string) func(string) string {
	slot := slots("main: {owner: workspace, attach: bearer, github_app: {app_id: 7, installation_id: 42, api: " + at.Origin + ", permissions: {contents: read}, " + narrowing + reach(at))
	return func(text string) string {
		const object = "arguments: {type: object, required: [r], properties: {r: {type: [string, array]}}}"
		return slot(text) + `
  - {name: one, severity: READ, method: POST, path: /one, body: all, ` + object + `, resources: ["repo:{r}"]}
  - {name: other, severity: READ, method: POST, path: /other, body: all, ` + object + `, resources: ["issue:{r}"]}
  - {name: all, severity: READ, method: GET, path: /all, resources: ["repo:*"]}
  - {name: both, severity: READ, method: POST, path: /both, body: all, ` + object + `, resources: ["repo:{r}", "repo:*"]}
`
	}
}

// hub gives tokens that say what they are for, and keeps the requests.
type hub struct {
	*testenv.Upstream
	mu    sync.Mutex
	asked []string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{}
	h.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Repositories []string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked = append(h.asked, strings.Join(body.Repositories, " "))
		w.WriteHeader(http.StatusCreated)
		given := []map[string]string{}
		for _, name := range body.Repositories {
			given = append(given, map[string]string{"name": name, "full_name": "one/" + name})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"token":      fmt.Sprintf("ghs_canary-%d.%s.x", len(h.asked), strings.Repeat("y", 900)), // long and with dots: of no fixed form
			"expires_at": time.Now().Add(time.Hour).UTC(), "repositories": given,
		})
	}))
	return h
}

func (h *hub) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.asked...)
}

func call(t *testing.T, c *connector.Connector, tool, arguments string) *connector.Bound {
	t.Helper()
	b, err := c.Bind(tool, []byte(arguments))
	require.NoError(t, err)
	return b
}

func TestGitHubTokensAreNarrowed(t *testing.T) {
	b := newBench(t)
	h := newHub(t)
	c := b.connector(t, app(h.Upstream, "repository: repo"))
	b.put(t, c, "main", "", theSigners().rsa)
	token := func(tool, arguments string) string {
		a, err := b.attached(t, b.Keeper, c, nil, call(t, c, tool, arguments))
		require.NoError(t, err)
		return testenv.Bearer(b.sent(t, c, a))
	}
	door := token("one", `{"r":"one/door"}`)
	window := token("one", `{"r":"window"}`)
	require.NotEqual(t, door, window)
	require.Equal(t, door, token("one", `{"r":"One/Door"}`), "GitHub does not tell cases apart")
	two := token("one", `{"r":["window","one/door"]}`)
	require.NotContains(t, []string{door, window}, two, "a token for both is neither's")
	require.Equal(t, two, token("one", `{"r":["one/door","window","Window"]}`))
	require.Equal(t, []string{"door", "window", "door window"}, h.seen())
	_, err := b.attached(t, b.Keeper, c, nil, call(t, c, "one", `{"r":"another/door"}`))
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "a repository of the same name in another account: %v", err)
	requireSilent(t, err)
}

func TestGitHubCallsThatNameNoRepository(t *testing.T) {
	h := newHub(t)
	tests := map[string]struct {
		narrowing, tool, arguments string
		reason                     fault.Reason // empty: a token for all
	}{
		"another type":                    {"repository: repo", "other", `{"r":"one/door"}`, fault.CredentialMissing},
		"the whole type":                  {"repository: repo", "all", "", fault.CredentialMissing},
		"one and the whole type":          {"repository: repo", "both", `{"r":"one/door"}`, fault.CredentialMissing},
		"another type, all allowed":       {"repository: repo, all_repositories: true", "other", `{"r":"one/door"}`, ""},
		"the whole type, all allowed":     {"repository: repo, all_repositories: true", "all", "", ""},
		"one and the whole, all allowed":  {"repository: repo, all_repositories: true", "both", `{"r":"one/door"}`, ""},
		"no type at all":                  {"all_repositories: true", "one", `{"r":"one/door"}`, ""},
		"too deep":                        {"repository: repo", "one", `{"r":"one/door/x"}`, fault.ArgumentInvalid},
		"too deep, all allowed":           {"repository: repo, all_repositories: true", "one", `{"r":"one/door/x"}`, fault.ArgumentInvalid},
		"no owner":                        {"repository: repo", "one", `{"r":"/door"}`, fault.ArgumentInvalid},
		"no name":                         {"repository: repo", "one", `{"r":"one/"}`, fault.ArgumentInvalid},
		"a name that GitHub cannot have":  {"repository: repo", "one", `{"r":"one/dö"}`, fault.ArgumentInvalid},
		"a good one and one that is none": {"repository: repo", "one", `{"r":["one/door","a/b/c"]}`, fault.ArgumentInvalid},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.connector(t, app(h.Upstream, k.narrowing))
			b.put(t, c, "main", "", theSigners().rsa)
			before := len(h.seen())
			a, err := b.attached(t, b.Keeper, c, nil, call(t, c, k.tool, k.arguments))
			if k.reason == "" {
				require.NoError(t, err)
				require.Contains(t, testenv.Bearer(b.sent(t, c, a)), "canary")
				require.Equal(t, []string{""}, h.seen()[before:])
				return
			}
			require.True(t, fault.Is(err, k.reason), "%v", err)
			require.NotContains(t, fault.From(err).Metadata, "mend", "storing something does not help")
			require.Len(t, h.seen(), before, "nobody was asked")
		})
	}
	t.Run("all allowed, and one named", func(t *testing.T) {
		b := newBench(t)
		c := b.connector(t, app(h.Upstream, "repository: repo, all_repositories: true"))
		b.put(t, c, "main", "", theSigners().rsa)
		before := len(h.seen())
		_, err := b.attached(t, b.Keeper, c, nil, call(t, c, "one", `{"r":"door"}`))
		require.NoError(t, err)
		require.Equal(t, []string{"door"}, h.seen()[before:], "it is narrowed all the same")
	})
}
