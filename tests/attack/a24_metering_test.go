package attack_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// provider plays a model API, which goes by the last message of each request.
type provider struct {
	mu     sync.Mutex
	bodies []string
	calls  atomic.Int64
	said   chan struct{} // one for every answer that is held up behind some event
	ended  chan struct{} // one for every caller that went away
}

const (
	llmPiece = "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null}\n\n"
	llmCount = "data: {\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":12}}\n\n"
	// llmRunning has a count beside the piece, as some servers send them.
	llmRunning = "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n"
	llmDone    = "data: [DONE]\n\n"
	llmJSON    = `{"model":"m-1","choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":30,"completion_tokens":12}}`
	// llmForged is a usage that a caller has a model repeat; it counts nothing.
	llmForged = `{"model":"m-1","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"},"usage":{"prompt_tokens":1,"completion_tokens":0}}]}`
	llmBound  = 200
)

// llmEvents are a whole stream.
var llmEvents = [...]string{llmPiece, llmPiece, llmCount, llmDone}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.bodies = append(p.bodies, string(body))
	p.mu.Unlock()
	var request struct {
		Messages []struct {
			Content string
		}
		Stream  bool
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	_ = json.Unmarshal(body, &request)
	say := func(pieces ...string) {
		if request.Stream {
			w.Header().Set("Content-Type", "text/event-stream")
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		for _, piece := range pieces {
			if piece == llmCount && !request.Options.Usage {
				continue // it is for who asks
			}
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	}
	switch what := request.Messages[0].Content; {
	case strings.HasPrefix(what, "hang behind "):
		n, _ := strconv.Atoi(strings.TrimPrefix(what, "hang behind "))
		say(llmEvents[:n]...)
		_ = http.NewResponseController(w).Flush()
		p.said <- struct{}{}
		<-r.Context().Done()
		p.ended <- struct{}{}
	case what == "hang":
		say(llmPiece)
		<-r.Context().Done()
		p.ended <- struct{}{}
	case what == "abort":
		say(llmPiece)
		panic(http.ErrAbortHandler)
	case what == "running":
		say(llmRunning, llmRunning)
		panic(http.ErrAbortHandler)
	case what == "no usage" && request.Stream:
		say(llmPiece, llmDone)
	case what == "no usage":
		say(`{"model":"m-1","choices":[]}`)
	case what == "forged":
		say(llmForged)
	case what == "400", what == "429", what == "502", what == "503":
		status, _ := strconv.Atoi(what)
		w.WriteHeader(status)
	case request.Stream:
		say(llmEvents[:]...)
	default:
		say(llmJSON)
	}
}

// metered is a broker with the connector llm, a model API.
func metered(t *testing.T) (*testenv.Broker, *provider) {
	t.Helper()
	p := &provider{said: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
	upstream := testenv.NewUpstream(t, p)
	b := testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) { c.Limits.Task.Concurrent, c.Limits.User.Concurrent = 1000, 1000 })
	b.Apply(t, model(upstream, bearer))
	b.Put(t, "llm", "alice", canary)
	return b, p
}

// model is the manifest of the connector llm, a model API with prices.
func model(upstream *testenv.Upstream, slots string) string {
	manifest := upstream.Manifest("llm", slots, `  - name: chat
    severity: READ
    method: POST
    path: /v1/chat/completions
    body: all
    arguments: {type: object, required: [model], properties: {model: {type: string}, messages: {}, max_tokens: {}, stream: {}, stream_options: {}, safety_identifier: {}, user: {}, tools: {}, n: {}, max_completion_tokens: {}, usage: {}}}
    resources: ["model:{model}"]
    timeout: 30s
`)
	return strings.Replace(manifest, "kind: http\n", "kind: model\nmodel: {dialect: openai, prices: {\"m-*\": {input: \"1\", output: \"10\"}}}\n", 1)
}

// ask is a request of a model; stream asks for events.
func ask(what string, stream bool) map[string]any {
	request := map[string]any{"model": "m-1", "max_tokens": llmBound, "messages": []map[string]string{{"role": "user", "content": what}}}
	if stream {
		request["stream"] = true
	}
	return request
}

// usage waits for the ledger to hold so many calls of a task, and sums them.
func usage(t *testing.T, b *testenv.Broker, taskID string, calls int64) *onedoorv1.UsageSum {
	t.Helper()
	operator := b.Client(t, testenv.Operator, "")
	sum := &onedoorv1.UsageSum{}
	testenv.Eventually(t, "the ledger", func() bool {
		answer, err := operator.Usage().Summarize(t.Context(), &onedoorv1.UsageSummarizeRequest{TaskId: taskID})
		require.NoError(t, err)
		if len(answer.GetSums()) > 0 {
			sum = answer.GetSums()[0]
		}
		return sum.GetCalls() == calls
	})
	return sum
}

// left asks for more than any grant here has, and learns what is left of its tokens.
func left(t *testing.T, sandbox *client.Client) int64 {
	t.Helper()
	request := ask("x", false)
	request["max_tokens"] = 1_000_000
	_, err := sandbox.Invoke(t.Context(), "llm", "chat", request)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, client.LimitReached, refused.Reason)
	n, err := strconv.ParseInt(refused.Metadata["left"], 10, 64)
	require.NoError(t, err)
	return n
}

// Whatever a caller does to be billed less, or a provider says or leaves out, the bill
// is the provider's count or the reserved estimate; and what was not used is given back.
func TestAttack24_MeteringEvasion(t *testing.T) {
	b, p := metered(t)
	const budget = 5000
	for name, k := range map[string]struct {
		what   string
		stream bool
		change func(map[string]any)
		billed int64 // 0: nothing, -1: the estimate
	}{
		"answer":                             {"hello", false, nil, 42},
		"stream":                             {"hello", true, nil, 42},
		"stream, usage declined":             {"hello", true, func(r map[string]any) { r["stream_options"] = map[string]any{"include_usage": false} }, 42},
		"usage missing":                      {"no usage", false, nil, -1},
		"stream, usage missing":              {"no usage", true, nil, -1},
		"usage forged":                       {"forged", false, nil, -1},
		"usage in the request":               {"hello", false, func(r map[string]any) { r["usage"] = map[string]any{"prompt_tokens": 1} }, 42},
		"disconnected":                       {"hang", true, nil, -1},
		"broken off":                         {"abort", true, nil, -1},
		"counted on the way, and broken off": {"running", true, nil, -1},
		"the caller's mistake":               {"400", false, nil, 0},
		"too many requests":                  {"429", true, nil, 0},
		"overloaded":                         {"503", false, nil, 0},
		"bad gateway":                        {"502", false, nil, -1},
	} {
		t.Run(name, func(t *testing.T) {
			task := b.Mint(t, nil, "llm: chat READ model:m-* tokens=5000 usd=1")
			sandbox := b.Client(t, testenv.Sandbox, task.Key)
			request := ask(k.what, k.stream)
			request["safety_identifier"], request["user"] = "mallory", "mallory"
			if k.change != nil {
				k.change(request)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if k.stream {
				stream, err := sandbox.InvokeStream(ctx, "llm", "chat", request)
				require.NoError(t, err)
				var got strings.Builder
				for piece, err := range stream.Data() {
					got.Write(piece)
					if k.what == "hang" || err != nil {
						cancel() // the client goes away
						break
					}
				}
				require.NotContains(t, got.String(), `"choices":[],"usage"`, "the count was not asked for")
				if k.what == "hang" {
					<-p.ended // … and the provider's call is ended
				}
			} else {
				_, err := sandbox.Invoke(ctx, "llm", "chat", request)
				require.NoError(t, err)
			}
			calls := int64(1)
			if k.billed == 0 {
				testenv.Eventually(t, "the outcome", func() bool { return len(b.Events(t, task.ID)) == 2 })
				calls = 0
			}
			sum := usage(t, b, task.ID, calls)
			billed := sum.GetInputTokens() + sum.GetOutputTokens()
			if k.billed >= 0 {
				require.Equal(t, k.billed, billed)
			} else {
				require.EqualValues(t, 1, sum.GetEstimatedCalls())
				require.EqualValues(t, llmBound, sum.GetOutputTokens())
				require.Greater(t, sum.GetInputTokens(), int64(64))
			}
			require.Equal(t, billed > 0, sum.GetMicroUsd() > 0)
			require.Equal(t, budget-billed, left(t, sandbox))
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	alice := ""
	for _, body := range p.bodies {
		var sent struct {
			SafetyIdentifier string `json:"safety_identifier"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &sent))
		require.Len(t, sent.SafetyIdentifier, 36, "the caller does not choose who is attributed")
		if alice == "" {
			alice = sent.SafetyIdentifier
		}
		require.Equal(t, alice, sent.SafetyIdentifier, "one user, one id")
		require.NotContains(t, body, "mallory")
	}
}

// Whoever may not see the ledger does not, and what cannot be counted is not granted.
func TestAttack24_Ledger(t *testing.T) {
	b, p := metered(t)
	task := b.Mint(t, nil, "llm: chat READ model:m-*")
	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "llm", "chat", ask("hello", false))
	require.NoError(t, err)
	usage(t, b, task.ID, 1)
	for _, role := range []testenv.Role{testenv.Sandbox, testenv.Orchestrator} {
		_, err := b.Client(t, role, "").Usage().Summarize(t.Context(), &onedoorv1.UsageSummarizeRequest{})
		require.Error(t, err)
	}
	rest := b.REST(t, testenv.Operator, "")
	answer := rest.Do(t, http.MethodGet, "/v1/usage?groupBy=USAGE_GROUP_USER&groupBy=USAGE_GROUP_MODEL&user=alice&since="+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "")
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.Contains(t, answer.Body, `"userSubject":"alice"`)
	require.Contains(t, answer.Body, `"microUsd":"150"`)
	for path, field := range map[string]string{
		"/v1/usage?groupBy=USAGE_GROUP_UNSPECIFIED":                       "group_by[0]",
		"/v1/usage?issuer=https://idp.example":                            "issuer",
		"/v1/usage?until=2020-01-01T00:00:00Z&since=2021-01-01T00:00:00Z": "until",
	} {
		answer := rest.Do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusBadRequest, answer.Status, path)
		require.Equal(t, field, answer.Field(t), path)
	}
	shown := b.CLI(t, testenv.Operator, "", "usage", "--by", "user,agent,model", "--task", task.ID)
	require.Zero(t, shown.Code, shown.Stderr)
	require.Regexp(t, `(?m)^alice +tester +m-1 +1 +30 +- +12 +0\.000150 +- +-$`, shown.Stdout)

	orchestrator := b.Client(t, testenv.Orchestrator, "")
	for _, grant := range []string{"llm: chat READ model:* usd=1", "llm: chat READ model:gpt-5 usd=1"} {
		_, err := orchestrator.Tasks().Create(t.Context(), &onedoorv1.TasksCreateRequest{
			Agent: "tester", User: "alice", Sandbox: b.SPIFFEID(testenv.Sandbox), Grants: []string{grant},
		})
		require.Equal(t, client.ArgumentInvalid, client.ReasonOf(err), "%v", err)
	}
	require.EqualValues(t, 1, p.calls.Load())
}
