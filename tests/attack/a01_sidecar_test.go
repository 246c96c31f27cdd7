package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack01_Sidecar: whoever reaches a sidecar without the key of a task gets nothing
// that needs one, and with another workload's key neither. A sidecar lends its SVID, and
// that alone opens no door.
func TestAttack01_Sidecar(t *testing.T) {
	b := testenv.Dev(t)
	const call = `{"connector":"crm","tool":"contacts.get","arguments":{"id":"42"}}`
	mine := b.Mint(t, nil, "crm: contacts.get READ contact:*", "model: chat.completions READ model:*")
	side, other := b.Sidecar(t, testenv.Sandbox), b.Sidecar(t, testenv.Sandbox2)
	require.Equal(t, http.StatusOK, side.REST(t, mine.Key).Do(t, http.MethodPost, "/v1/invoke", call).Status)
	for _, path := range []string{"/v1/invoke", "/v1/explain", "/v1/invoke:stream", "/c/model/v1/chat/completions"} {
		for name, rest := range map[string]*testenv.REST{"no key": side.REST(t, ""), "another's key": other.REST(t, mine.Key)} {
			answer := rest.Do(t, http.MethodPost, path, call)
			require.Equal(t, http.StatusUnauthorized, answer.Status, "%s %s: %s", name, path, answer.Body)
			require.Contains(t, answer.Body, "TASK_KEY_INVALID")
		}
	}
	for _, path := range []string{"/v1/tools", "/v1/task"} {
		answer := side.REST(t, "").Do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusUnauthorized, answer.Status, path)
	}
	// What belongs to other roles takes an SVID alone: no sidecar forwards it, not even theirs.
	theirs := b.Sidecar(t, testenv.Operator)
	for _, path := range []string{"/v1/connectors", "/v1/credentials", "/v1/audit", "/v1/keys", "/v1/tasks", "/v1/usage"} {
		for name, rest := range map[string]*testenv.REST{"the sandbox": side.REST(t, mine.Key), "the operator": theirs.REST(t, "")} {
			answer := rest.Do(t, http.MethodGet, path, "")
			require.Equal(t, http.StatusNotFound, answer.Status, "%s as %s", path, name)
			require.Equal(t, "PATH_UNKNOWN", answer.Reason(t))
		}
	}
	// A web page whose name was made to point here.
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		answer := side.REST(t, mine.Key).Do(t, http.MethodPost, "/v1/invoke", call, header...)
		require.Equal(t, http.StatusForbidden, answer.Status)
	}
	// One that is let in is judged here alone: the broker, which sees no Origin any more, would
	// take what else browsers say for that of any page.
	page := side.REST(t, mine.Key).Do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		"Origin", "http://localhost:6274", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusOK, page.Status, page.Body)
	spoofed := side.REST(t, "").Do(t, http.MethodPost, "/v1/invoke", call,
		"X-Forwarded-Client-Cert", "URI="+b.SPIFFEID(testenv.Sandbox), "X-Onedoor-Jwt-Svid", "x", "X-Onedoor-Task-Key", mine.Key, "Cookie", "authorization=Bearer "+mine.Key)
	require.Equal(t, http.StatusUnauthorized, spoofed.Status)
	require.False(t, strings.Contains(side.Log()+other.Log(), mine.Key), "a sidecar's log holds the key")
}
