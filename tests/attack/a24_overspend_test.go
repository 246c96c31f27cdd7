package attack_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A hundred calls at once, at two brokers, with a budget for a few: what is spent stays
// within it, and what was reserved for the rest is given back.
func TestAttack24_ParallelOverspend(t *testing.T) {
	p := &provider{said: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
	upstream := testenv.NewUpstream(t, p)
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	many := func(c *config.Config) { c.Limits.Task.Concurrent, c.Limits.User.Concurrent = 1000, 1000 }
	b, other := site.Start(t, many), site.Start(t, many)
	b.Apply(t, model(upstream, bearer))
	b.Put(t, "llm", "alice", canary)
	task := b.Mint(t, nil, "llm: chat READ model:m-* tokens=1500")
	sandboxes := []*client.Client{b.Client(t, testenv.Sandbox, task.Key), other.Client(t, testenv.Sandbox, task.Key)}
	var calls sync.WaitGroup
	var answered atomic.Int64
	for n := range 100 {
		calls.Go(func() {
			what := []string{"hello", "no usage"}[n/2%2]
			_, err := sandboxes[n%2].Invoke(t.Context(), "llm", "chat", ask(what, false))
			if err == nil {
				answered.Add(1)
				return
			}
			if client.ReasonOf(err) != client.LimitReached {
				t.Errorf("%v", err)
			}
		})
	}
	calls.Wait()
	require.Positive(t, answered.Load())
	require.Equal(t, p.calls.Load(), answered.Load(), "what was refused was not sent")
	sum := usage(t, b, task.ID, answered.Load())
	spent := sum.GetInputTokens() + sum.GetOutputTokens()
	require.LessOrEqual(t, spent, int64(1500))
	require.Equal(t, 1500-spent, left(t, sandboxes[0]))
	require.Equal(t, 1500-spent, left(t, sandboxes[1]))
}

// What ends before anything is sent costs nothing, and holds nothing.
func TestAttack24_NothingSent(t *testing.T) {
	gone := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b, _ := metered(t)
	b.Apply(t, strings.NewReplacer("connector: llm", "connector: away", gone.Origin, "https://localhost:1").Replace(model(gone, bearer)))
	b.Put(t, "away", "alice", canary)
	task := b.Mint(t, nil, "away: chat READ model:m-* tokens=5000 calls=100", "llm: chat READ model:m-* tokens=5000")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for range 30 { // 30 reservations that stayed would be more than there is
		answer := rest.Do(t, http.MethodPost, "/c/away/v1/chat/completions", `{"model":"m-1","max_tokens":200,"messages":[{"role":"user","content":"x"}]}`)
		require.Equal(t, "UPSTREAM_UNAVAILABLE", answer.Header.Get("X-Onedoor-Reason"), answer.Body)
	}
	request := ask("x", false)
	request["max_tokens"] = 1_000_000
	testenv.Eventually(t, "the last reservation's end", func() bool {
		_, err := sandbox.Invoke(t.Context(), "away", "chat", request)
		var refused *client.Error
		require.ErrorAs(t, err, &refused)
		return refused.Metadata["left"] == "5000"
	})
	require.Zero(t, usage(t, b, task.ID, 0).GetCalls())
}
