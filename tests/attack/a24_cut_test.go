package attack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A client goes away behind each event of an answer, whichever way it came in: what is
// billed is what the provider has counted by then, or the estimate, and what was reserved
// beyond that is given back.
func TestAttack24_CutAtEachEvent(t *testing.T) {
	b, p := metered(t)
	events := llmEvents[:]
	for _, way := range []string{"gRPC", "REST", "passthrough"} {
		for n := 0; n <= len(events); n++ {
			t.Run(fmt.Sprintf("%s, behind event %d", way, n), func(t *testing.T) {
				task := b.Mint(t, nil, "llm: chat READ model:m-* tokens=5000")
				request := ask(fmt.Sprintf("hang behind %d", n), true)
				ctx, goAway := context.WithCancel(t.Context())
				defer goAway()
				// The caller sees two of the events: the count was not asked for.
				seen := len(strings.Join(events[:min(n, 2)], ""))
				if way == "gRPC" {
					stream, err := b.Client(t, testenv.Sandbox, task.Key).InvokeStream(ctx, "llm", "chat", request)
					require.NoError(t, err)
					<-p.said
					next, stop := iter.Pull2(stream.Data())
					defer stop()
					for seen > 0 {
						piece, err, _ := next()
						require.NoError(t, err)
						seen -= len(piece)
					}
				} else {
					answer := open(ctx, t, b, task, way, request)
					<-p.said
					_, err := io.CopyN(io.Discard, answer, int64(seen))
					require.NoError(t, err)
				}
				goAway()
				<-p.ended
				sum := usage(t, b, task.ID, 1)
				billed := sum.GetInputTokens() + sum.GetOutputTokens()
				if sum.GetEstimatedCalls() == 0 {
					require.EqualValues(t, 42, billed)
					require.GreaterOrEqual(t, n, 3, "nothing was counted yet")
				} else {
					require.Greater(t, billed, int64(llmBound), "the estimate")
				}
				require.Equal(t, 5000-billed, left(t, b.Client(t, testenv.Sandbox, task.Key)))
			})
		}
	}
}

// open begins a model's stream over HTTPS and gives what comes.
func open(ctx context.Context, t *testing.T, b *testenv.Broker, task testenv.Task, way string, request map[string]any) io.Reader {
	t.Helper()
	text, err := json.Marshal(request)
	require.NoError(t, err)
	path, body := "/c/llm/v1/chat/completions", string(text)
	if way == "REST" {
		path, body = "/v1/invoke:stream", `{"connector":"llm","tool":"chat","arguments":`+body+`}`
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.RESTURL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+task.Key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := testenv.HTTPS(t, b.TLS(t, testenv.Sandbox)).Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return answer.Body
}

// What brings in tokens that nobody can bound from the request is refused where tokens are
// limited, before anything is sent: the provider's own tools, pictures, and sizes without end.
func TestAttack24_Unbounded(t *testing.T) {
	b, p := metered(t)
	sandbox := b.Client(t, testenv.Sandbox, b.Mint(t, nil, "llm: chat READ model:m-* tokens=100000").Key)
	rest := b.REST(t, testenv.Sandbox, b.Mint(t, nil, "llm: chat READ model:m-* tokens=100000").Key)
	content := func(part string) string {
		return `{"model":"m-1","max_tokens":9,"messages":[{"role":"user","content":[` + part + `]}]}`
	}
	with := func(member string) string {
		return `{"model":"m-1","messages":[{"role":"user","content":"x"}],` + member + `}`
	}
	for name, body := range map[string]string{
		"web search":             with(`"max_tokens":9,"tools":[{"type":"web_search"}]`),
		"a tool among others":    with(`"max_tokens":9,"tools":[{"type":"function","function":{"name":"f"}},{"type":"code_interpreter"}]`),
		"a tool of another case": with(`"max_tokens":9,"tools":[{"Type":"function","type":"web_search_preview"}]`),
		"a tool of no type":      with(`"max_tokens":9,"tools":[{}]`),
		"tools that are a text":  with(`"max_tokens":9,"tools":"web_search"`),
		"a remote MCP server":    with(`"max_tokens":9,"tools":[{"type":"mcp","server_url":"https://x.example"}]`),
		"a picture":              content(`{"type":"image_url","image_url":{"url":"https://x.example/1.png"}}`),
		"a picture, escaped":     content(`{"type":"image_url","im\u0061ge_url":{"url":"https://x.example/1.png"}}`),
		"a sound":                content(`{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}`),
		"a file":                 content(`{"type":"file","file":{"file_data":"AAAA"}}`),
		"no bound":               with(`"n":1`),
		"no bound, by null":      with(`"max_tokens":null`),
		"a bound of nothing":     with(`"max_tokens":0`),
		"a bound below nothing":  with(`"max_tokens":-1`),
		"a bound without end":    with(`"max_tokens":9223372036854775807`),
		"a bound of a fraction":  with(`"max_tokens":1e9`),
		"a bound that is text":   with(`"max_tokens":"9"`),
		"the bound twice":        with(`"max_tokens":9,"max_tokens":90000000`),
		"the bound, otherwise":   with(`"max_tokens":9,"Max_Tokens":90000000`),
		"two names of it":        with(`"max_tokens":9,"max_completion_tokens":90000000`),
		"many answers":           with(`"max_tokens":200,"n":100000`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sandbox.Invoke(t.Context(), "llm", "chat", json.RawMessage(body))
			require.Contains(t, []client.Reason{client.LimitReached, client.ArgumentInvalid}, client.ReasonOf(err), "%v", err)
			answer := rest.Do(t, http.MethodPost, "/c/llm/v1/chat/completions", body)
			require.Contains(t, []string{"LIMIT_REACHED", "ARGUMENT_INVALID"}, answer.Header.Get("X-Onedoor-Reason"), answer.Body)
		})
	}
	require.Zero(t, p.calls.Load(), "nothing was sent")
	require.EqualValues(t, 100000, left(t, sandbox), "and nothing is held")
}
