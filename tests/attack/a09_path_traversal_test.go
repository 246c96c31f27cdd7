package attack_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// What leaves its place in the path reaches nobody: it is refused over every transport
// and recorded, whatever grant the task holds.
func TestAttack09_PathTraversal(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	sandbox, rest := b.Client(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Sandbox, task.Key)
	attempts := []string{
		".", "..", "../1", "..%2f1", "%2e%2e", "%2E%2E/1", "..;/1", "..;x=1", ";x", "1/../2", "1/2", "/1", "1/", "//", "%2f", "1%2F2", "%5c", `..\1`, `\`,
		"%252e%252e", "%00", "1\x00", "1\n", "1\r\nHost: x", "1\t", " 1", "1 ", "1?x=1", "1#x", "․․", "‥", "．．", "．．/", "∕", "／", "⁄1", "é", "\u202e1",
		"1&2", "1=2", "1+2", "%", "%zz", "~/..", "a:b", "@", "*", strings.Repeat("a", 257),
	}
	for _, id := range attempts {
		arguments, err := json.Marshal(map[string]string{"id": id})
		require.NoError(t, err)
		_, err = sandbox.Invoke(t.Context(), "things", "things.get", arguments)
		require.ErrorIs(t, err, client.ArgumentInvalid, "%q", id)
		answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", string(arguments)))
		require.Equal(t, "ARGUMENT_INVALID", answer.Reason(t), "%q", id)
		require.Contains(t, answer.Field(t), "id", "%q", id)
	}
	require.Empty(t, upstream.Wire(), "nothing reached the upstream")
	recorded := reasons(b.Events(t, task.ID))
	require.GreaterOrEqual(t, len(recorded), 9, "from the tenth a minute on they are counted in one row")
	for _, reason := range recorded {
		require.Equal(t, "ARGUMENT_INVALID", reason)
	}
}

// What is let through goes up as it was judged, byte for byte, and a query parameter
// stays one whatever it holds.
func TestAttack09_BytesOnTheWireAreBytesJudged(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, "things: things.get READ thing:a..b,thing:A-z_0.~", "things: things.find READ thing:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	for _, id := range []string{"a..b", "A-z_0.~"} {
		_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": id})
		require.NoError(t, err, id)
		require.Contains(t, upstream.Wire(), "GET /things/"+id+" HTTP/1.1\r\n")
	}
	for q, wire := range map[string]string{
		"../x":      "GET /things?q=..%2Fx HTTP/1.1\r\n",
		"a&admin=1": "GET /things?q=a%26admin%3D1 HTTP/1.1\r\n",
		"a#b":       "GET /things?q=a%23b HTTP/1.1\r\n",
		"%26":       "GET /things?q=%2526 HTTP/1.1\r\n",
		"a;b":       "GET /things?q=a%3Bb HTTP/1.1\r\n",
	} {
		_, err := sandbox.Invoke(t.Context(), "things", "things.find", map[string]string{"q": q})
		require.NoError(t, err, q)
		require.Contains(t, upstream.Wire(), wire, q)
	}
}
