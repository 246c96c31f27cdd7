package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/upstream"
)

const chatTools = `
  - name: chat
    severity: READ
    method: POST
    path: /v1/chat/completions
    body: all
    arguments: {type: object, required: [model], properties: {model: {type: string}, messages: {}, max_tokens: {}, stream: {}, stream_options: {}, safety_identifier: {}, n: {}}}
    resources: ["model:{model}"]
    response: {max_bytes: 1MiB}
  - {name: models, severity: READ, method: GET, path: /v1/models, resources: ["model:*"]}
  - {name: images, severity: READ, method: POST, path: /v1/images/generations, body: all, arguments: {type: object, properties: {q: {}}}, resources: ["model:*"]}
`

// newModelBench has the connector as a model API, with tools of such.
func newModelBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.apply(t, func(text string) string {
		section := `kind: model
model: {dialect: openai, prices: {"gpt-5*": {input: "1", output: "10", cached_input: "0.1"}}}`
		head, _, _ := strings.Cut(text, "tools:\n")
		return strings.Replace(head, "kind: http", section, 1) + "tools:" + chatTools
	})
	return b
}

const (
	hello   = `{"model":"gpt-5","messages":[{"role":"user","content":"hello"}],"max_tokens":100}`
	hear    = `{"model":"gpt-5","messages":[{"role":"user","content":"hello"}],"max_tokens":100,"stream":true}`
	answer  = `{"model":"gpt-5-2026","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":5}}}`
	piece   = "data: {\"model\":\"gpt-5-2026\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n"
	counted = "data: {\"model\":\"gpt-5-2026\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n"
	done    = "data: [DONE]\n\n"
	wide    = "crm: chat,models,images READ model:* "
)

func events(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, p := range pieces {
			_, _ = io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
}

// used is what the ledger has of all calls.
func (b *bench) used(t *testing.T) (s audit.UsageSum) {
	t.Helper()
	b.flush(t)
	sums, err := b.store.Audit().Usage(context.Background(), audit.UsageQuery{
		Workspace: workspace, Until: now().Add(time.Hour), Limit: 10, By: audit.UsageGroups{Model: true, User: true, Agent: true, Connector: true},
	})
	require.NoError(t, err)
	require.LessOrEqual(t, len(sums), 1)
	for _, s = range sums {
	}
	return s
}

func TestModelCallIsAttributedAndMetered(t *testing.T) {
	b := newModelBench(t)
	var sent atomic.Value
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent.Store(string(body))
		text(http.StatusOK, answer)(w, r)
	})
	c := b.call(t, "chat", strings.Replace(hello, "}", `,"safety_identifier":"mallory"}`, 1), wide+"tokens=1000 usd=0.01")
	c.Arguments = []byte(strings.Replace(hello, `"max_tokens"`, `"safety_identifier":"mallory","max_tokens"`, 1))
	a, err := b.Invoke(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, answer, string(a.Body))
	require.Equal(t, strings.Replace(string(c.Arguments), "mallory", b.alice.ID, 1), sent.Load(), "the caller's own is overwritten, and nothing else")
	s := b.used(t)
	require.Equal(t, audit.UsageSum{
		UserID: b.alice.ID, UserIssuer: "local", UserSubject: "alice", Agent: "agent", Model: "gpt-5-2026", Connector: "crm",
		Calls: 1, Input: 9, CachedInput: 5, Output: 4, MicroUSD: 45, // 4 + 0.5 + 40, rounded up
	}, s)
	left := b.left(t, c)
	require.EqualValues(t, 1000-13, left.Tokens)
	require.EqualValues(t, 10_000-45, left.MicroUSD)
	o := b.outcome(t, c)
	require.Equal(t, int64(len(sent.Load().(string))), o.RequestBytes)
	var detail struct{ Usage audit.Usage }
	require.NoError(t, json.Unmarshal([]byte(o.Detail), &detail))
	require.Equal(t, audit.Usage{Model: "gpt-5-2026", Asked: "gpt-5", Input: 9, CachedInput: 5, Output: 4, MicroUSD: 45}, detail.Usage)
}

func TestModelStreamIsMetered(t *testing.T) {
	b := newModelBench(t)
	b.answer(events(piece, piece, counted, done))
	c := b.call(t, "chat", hear, wide+"tokens=1000")
	s := &sink{}
	_, err := b.InvokeStream(t.Context(), c, s)
	require.NoError(t, err)
	require.Equal(t, piece+piece+done, s.body.String(), "the count was not asked for")
	require.EqualValues(t, 13, b.used(t).Input+b.used(t).Output)
	require.EqualValues(t, 1000-13, b.left(t, c).Tokens)
}

// lost is an upstream that panics, or fails, where a test wants it.
type lost struct{ err error }

func (l lost) Do(context.Context, audit.Intent, upstream.Call) (*upstream.Answer, error) {
	if l.err == nil {
		panic("upstream")
	}
	return nil, l.err
}

// unattached fails to attach a credential, by an error that speaks of another request.
type unattached struct{ broker.Credentials }

func (unattached) Attach(context.Context, audit.Intent, *task.Caller, *connector.Bound, []credential.Record) (credential.Attached, error) {
	return credential.Attached{}, upstream.Fault(&egress.Error{Kind: egress.Lost, Sent: true}, false)
}

// On every path what was reserved is given back, but for what was used or may have been.
func TestReservationsAreSettledOnEveryPath(t *testing.T) {
	gone := errors.New("the client is gone")
	bill := int64(len(hear) + 64 + 100) // of the request as it came
	for name, k := range map[string]struct {
		prepare func(b *bench)
		sink    *sink
		used    int64
		result  audit.Result
	}{
		"ok":                {func(b *bench) { b.answer(events(piece, counted, done)) }, &sink{}, 13, audit.OK},
		"usage missing":     {func(b *bench) { b.answer(events(piece, done)) }, &sink{}, bill, audit.OK},
		"the client leaves": {func(b *bench) { b.answer(events(piece, counted, done)) }, &sink{onData: func(string) error { return gone }}, bill, audit.Failed},
		"… at the head":     {func(b *bench) { b.answer(events(piece, counted, done)) }, &sink{onHead: func() error { return gone }}, bill, audit.Failed},
		"refused upstream":  {func(b *bench) { b.answer(text(http.StatusTooManyRequests, `{"error":{}}`)) }, &sink{}, 0, audit.UpstreamError},
		"overloaded":        {func(b *bench) { b.answer(text(http.StatusServiceUnavailable, `{"error":{}}`)) }, &sink{}, 0, audit.UpstreamError},
		"failed upstream":   {func(b *bench) { b.answer(text(http.StatusBadGateway, `{"error":{}}`)) }, &sink{}, bill, audit.UpstreamError},
		"too large":         {func(b *bench) { b.answer(events(strings.Repeat(piece, 20_000))) }, &sink{}, bill, audit.Failed},
		"answer lost":       {func(b *bench) { b.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) }, &sink{}, bill, audit.Unknown},
		"not sent":          {func(b *bench) { b.upstream.Close() }, &sink{}, 0, audit.NotSent},
		"panic":             {func(b *bench) { b.options.Upstreams = map[string]broker.Upstream{connector.KindModel: lost{}} }, &sink{}, bill, audit.Unknown},
		"unreachable": {func(b *bench) {
			b.options.Upstreams = map[string]broker.Upstream{connector.KindModel: lost{upstream.Fault(&egress.Error{Kind: egress.Unreachable}, false)}}
		}, &sink{}, 0, audit.NotSent},
		"not attached":       {func(b *bench) { b.options.Credentials = unattached{b.options.Credentials} }, &sink{}, 0, audit.NotSent},
		"no upstream at all": {func(b *bench) { b.options.Upstreams = nil }, &sink{}, 0, audit.NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			b := newModelBench(t)
			k.prepare(b)
			b.Broker = broker.New(b.options)
			c := b.call(t, "chat", hear, wide+"tokens=1000 usd=1")
			func() {
				defer func() { _ = recover() }()
				_, _ = b.InvokeStream(t.Context(), c, k.sink)
			}()
			o := b.outcome(t, c)
			require.Equal(t, k.result, o.Outcome)
			s := b.used(t)
			require.Equal(t, k.used, s.Input+s.Output)
			require.Equal(t, k.used > 0, s.MicroUSD > 0)
			require.Equal(t, k.used == bill, s.Estimated == 1)
			require.Equal(t, 1000-k.used, b.left(t, c).Tokens)
			require.Equal(t, 1_000_000-s.MicroUSD, b.left(t, c).MicroUSD)
		})
	}
}

// The client leaves in the middle: the upstream's own call is ended.
func TestALeavingClientEndsTheUpstreamCall(t *testing.T) {
	b := newModelBench(t)
	ended := make(chan struct{})
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		events(piece)(w, r)
		<-r.Context().Done()
		close(ended)
	})
	c := b.call(t, "chat", hear, wide)
	_, err := b.InvokeStream(t.Context(), c, &sink{onData: func(string) error { return errors.New("gone") }})
	require.Error(t, err)
	<-ended
	require.EqualValues(t, 1, b.used(t).Estimated)
}

func TestModelCallsAreRefused(t *testing.T) {
	for name, k := range map[string]struct {
		tool, arguments, limits string
		reason                  fault.Reason
		says                    string
	}{
		"no bound":             {"chat", `{"model":"gpt-5"}`, "tokens=100000", fault.LimitReached, "set max_completion_tokens or max_tokens"},
		"no bound of money":    {"chat", `{"model":"gpt-5"}`, "usd=100", fault.LimitReached, "set max_completion_tokens or max_tokens"},
		"too much":             {"chat", hello, "tokens=100", fault.LimitReached, "100 are left"},
		"too dear":             {"chat", hello, "usd=0.0001", fault.LimitReached, "0.000100 are left"},
		"no price":             {"chat", `{"model":"other","max_tokens":1}`, "usd=100", fault.LimitReached, "no price"},
		"not metered":          {"images", `{"q":1}`, "tokens=1000", fault.LimitReached, "not known"},
		"a bound in words":     {"chat", `{"model":"gpt-5","max_tokens":"all"}`, "", fault.ArgumentInvalid, "whole number"},
		"options that are one": {"chat", `{"model":"gpt-5","stream":true,"stream_options":1}`, "", fault.ArgumentInvalid, "stream_options"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newModelBench(t)
			c := b.call(t, k.tool, k.arguments, strings.TrimSpace(wide+k.limits))
			_, err := b.Invoke(t.Context(), c)
			requireReason(t, k.reason, err)
			require.ErrorContains(t, err, k.says)
			require.Zero(t, b.hits.Load())
			rows := b.rows(t, c)
			require.Len(t, rows, 1)
			require.Equal(t, audit.Refusal, rows[0].Kind)
			require.Zero(t, b.used(t).Calls)
		})
	}
}

// A look at what models there are costs nothing, and is not in the ledger.
func TestFreeCallsOfALimitedGrant(t *testing.T) {
	b := newModelBench(t)
	b.answer(text(http.StatusOK, `{"data":[],"usage":{"prompt_tokens":1}}`))
	c := b.call(t, "models", `{}`, wide+"tokens=1 usd=0.01")
	_, err := b.Invoke(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, b.used(t).Calls)
	require.EqualValues(t, 1, b.left(t, c).Tokens)
}

// 100 calls at once with a budget for some: no more is spent than there is.
func TestParallelModelCallsDoNotOverspend(t *testing.T) {
	b := newModelBench(t)
	b.answer(text(http.StatusOK, `{"model":"gpt-5","usage":{"prompt_tokens":150,"completion_tokens":100}}`))
	c := b.call(t, "chat", hello, wide+"tokens=1500")
	var calls sync.WaitGroup
	var answered atomic.Int64
	for range 100 {
		calls.Go(func() {
			_, err := b.Invoke(context.Background(), again(c))
			if err == nil {
				answered.Add(1)
				return
			}
			require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
		})
	}
	calls.Wait()
	s := b.used(t)
	require.Positive(t, answered.Load())
	require.Equal(t, answered.Load(), s.Calls)
	require.Equal(t, b.hits.Load(), s.Calls)
	require.LessOrEqual(t, s.Input+s.Output, int64(1500))
	require.Equal(t, grant.Limits{Calls: -1, Bytes: -1, Rows: -1, Tokens: 1500 - 250*s.Calls, MicroUSD: -1}, b.left(t, c))
}
