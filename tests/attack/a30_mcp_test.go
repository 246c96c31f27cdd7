package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	mcpVersion = "2026-07-28"
	mcpMeta    = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	mcpFind    = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"things__things_find","arguments":{"q":"a"}}}`
	mcpMake    = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"things__things_make","arguments":{"name":"a"}}}`
)

// TestAttack30_MCPMessages: no form of a message gets a call past the one look at it that
// everybody takes: batches, two values in one place, headers that say something else than
// the body, depth without end, keys where they are logged.
func TestAttack30_MCPMessages(t *testing.T) {
	b, upstream := target(t, quick)
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	deep := strings.Repeat(`{"a":`, 1<<20) + "1" + strings.Repeat("}", 1<<20)
	newest := func(name string, headers ...string) []string {
		return append([]string{"Mcp-Protocol-Version", mcpVersion, "Mcp-Method", "tools/call", "Mcp-Name", name}, headers...)
	}
	inNewest := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"things__things_find","arguments":{"q":"a"},` + mcpMeta + `}}`
	for name, one := range map[string]struct {
		path, body string
		headers    []string
		status     int
		says       string
	}{
		"a batch":                            {"", "[" + mcpFind + "," + mcpMake + "]", nil, 400, "batches"},
		"a batch in an old revision":         {"", "[" + mcpFind + "]", []string{"Mcp-Protocol-Version", "2025-03-26"}, 400, "batches"},
		"a second message behind":            {"", mcpFind + mcpMake, nil, 400, "not valid JSON"},
		"two names":                          {"", strings.Replace(mcpFind, `"arguments"`, `"name":"things__things_make","arguments"`, 1), nil, 400, "given twice"},
		"two arguments of a name":            {"", strings.Replace(mcpFind, `"q":"a"`, `"q":"a","q":"b"`, 1), nil, 200, "ARGUMENT_INVALID"},
		"a header that names another":        {"", inNewest, newest("things__things_get"), 400, "Mcp-Name"},
		"a header that names another method": {"", inNewest, []string{"Mcp-Protocol-Version", mcpVersion, "Mcp-Method", "tools/list", "Mcp-Name", "things__things_find"}, 400, "Mcp-Method"},
		"no header":                          {"", inNewest, []string{"Mcp-Protocol-Version", mcpVersion}, 400, "Mcp-Method"},
		"deep":                               {"", strings.Replace(mcpFind, `"a"}`, deep+"}", 1), nil, 400, "not valid JSON"},
		"a key in the query":                 {"?key=" + task.Key, mcpFind, nil, 400, "query"},
		"a tool of no grant":                 {"", mcpMake, nil, 200, "unknown tool"},
		"a tool of no connector":             {"", strings.Replace(mcpFind, "things__things_find", "payroll__all", 1), nil, 200, "unknown tool"},
		"a name of a host":                   {"", strings.Replace(mcpFind, "things__things_find", "https://evil.example/", 1), nil, 200, "unknown tool"},
		"a very long name":                   {"", strings.Replace(mcpFind, "things__things_find", strings.Repeat("a", 1<<20), 1), nil, 200, "unknown tool"},
		"a stream for ever":                  {"", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{` + mcpMeta + `}}`, []string{"Mcp-Protocol-Version", mcpVersion, "Mcp-Method", "subscriptions/listen"}, 404, "method not found"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := rest.Do(t, http.MethodPost, "/mcp"+one.path, one.body, one.headers...)
			require.Equal(t, one.status, answer.Status, answer.Body)
			require.Contains(t, answer.Body, one.says)
			require.Zero(t, upstream.Requests())
		})
	}
	served := rest.Do(t, http.MethodPost, "/mcp", inNewest, newest("things__things_find")...)
	require.Equal(t, http.StatusOK, served.Status, served.Body)
	require.Equal(t, 1, upstream.Requests(), "the same without the attack")
	require.False(t, strings.Contains(b.Log(), task.Key), "the log holds the key")
}

// TestAttack30_MCPSessions: a session that somebody chose is none. What another task's
// client would see is not to be had by its id, and nothing is left behind to be found.
func TestAttack30_MCPSessions(t *testing.T) {
	b, upstream := target(t, quick)
	reader, maker := b.Mint(t, nil, readThings), b.Mint(t, nil, "things: things.make WRITE thing:*")
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, header := range [][]string{{"Mcp-Session-Id", "fixed"}, {"Mcp-Session-Id", "fixed", "Last-Event-Id", "1_1"}} {
		made := b.REST(t, testenv.Sandbox, maker.Key).Do(t, http.MethodPost, "/mcp",
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, header...)
		require.Equal(t, http.StatusOK, made.Status, made.Body)
		require.Empty(t, made.Header.Get("Mcp-Session-Id"))
		seen := b.REST(t, testenv.Sandbox, reader.Key).Do(t, http.MethodPost, "/mcp", list, header...)
		require.Equal(t, http.StatusOK, seen.Status, seen.Body)
		require.Contains(t, seen.Body, "things__things_find")
		require.NotContains(t, seen.Body, "things__things_make")
		none := b.REST(t, testenv.Sandbox, "").Do(t, http.MethodPost, "/mcp", list, header...)
		require.Equal(t, http.StatusUnauthorized, none.Status, none.Body)
		stolen := b.REST(t, testenv.Sandbox2, reader.Key).Do(t, http.MethodPost, "/mcp", list, header...)
		require.Equal(t, http.StatusUnauthorized, stolen.Status, stolen.Body)
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			answer := b.REST(t, testenv.Sandbox, reader.Key).Do(t, method, "/mcp", "", header...)
			require.Equal(t, http.StatusMethodNotAllowed, answer.Status, answer.Body)
		}
	}
	require.Zero(t, upstream.Requests())
}

// TestAttack05_MCPFromAPage: a page in a browser that has the sandbox's certificate, or a
// sidecar on loopback, calls the tools: across origins, or as the same origin after it has
// rebound its own name to our address.
func TestAttack05_MCPFromAPage(t *testing.T) {
	b, upstream := target(t, quick, func(c *config.Config) { c.MCP.Origins = []string{"https://chat.example"} })
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for name, headers := range map[string][]string{
		"another origin":           {"Origin", "https://evil.example"},
		"a rebound name":           {"Origin", b.RESTURL, "Sec-Fetch-Site", "same-origin"},
		"a sandboxed frame":        {"Origin", "null"},
		"one that looks like ours": {"Origin", "https://chat.example.evil.example"},
		"no origin, but a page":    {"Sec-Fetch-Site", "cross-site"},
	} {
		answer := rest.Do(t, http.MethodPost, "/mcp", mcpFind, headers...)
		require.Equal(t, http.StatusForbidden, answer.Status, name+answer.Body)
		require.Zero(t, upstream.Requests(), name)
	}
	answer := rest.Do(t, http.MethodPost, "/mcp", mcpFind, "Origin", "https://chat.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
}

// TestAttack27_MCPHoldsNoMore: what MCP's framing copies counts as well. A message takes
// its part of the budget several times over, and is refused before it is parsed where
// there is no room.
func TestAttack27_MCPHoldsNoMore(t *testing.T) {
	b, upstream := target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if strings.Contains(r.URL.RawQuery, "large") {
			_, _ = w.Write(make([]byte, 600<<10))
		}
	}, func(c *config.Config) { c.Limits.HeldBytes = 4 << 20 })
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	large := strings.Replace(mcpFind, `"a"`, `"`+strings.Repeat("a", 600<<10)+`"`, 1)
	answer := rest.Do(t, http.MethodPost, "/mcp", large)
	require.Equal(t, http.StatusTooManyRequests, answer.Status, answer.Body)
	require.Contains(t, answer.Body, `"limit":"memory"`)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	require.Zero(t, upstream.Requests())
	small := rest.Do(t, http.MethodPost, "/mcp", mcpFind)
	require.Equal(t, http.StatusOK, small.Status, small.Body)
	dropped := rest.Do(t, http.MethodPost, "/mcp", strings.Replace(mcpFind, `"a"`, `"large"`, 1))
	require.Equal(t, http.StatusOK, dropped.Status, dropped.Body)
	require.Contains(t, dropped.Body, "ANSWER_DROPPED: ")
	require.Contains(t, dropped.Body, "The call was made")
	testenv.Eventually(t, "nothing is held in the end", func() bool { return b.Metric(t, "onedoor_held_bytes") == 0 })
}
