package audit_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store/sqlstore"
)

// metered is a call that may use 100 tokens and 50 millionths of a dollar.
func metered(c audit.Call) audit.Call {
	c.Estimate = &audit.Estimate{
		Tokens: 100, MicroUSD: 50, Hint: "lower max_tokens", PriceHint: "no price",
		Usage: &audit.Usage{Model: "m", Input: 60, Output: 40, MicroUSD: 50, Estimated: true},
	}
	return c
}

// ledger sums what is in the ledger.
func (b *bench) ledger(t testing.TB) (s audit.UsageSum) {
	t.Helper()
	sums, err := b.store.Audit().Usage(context.Background(), audit.UsageQuery{Workspace: workspace, Until: b.clock.now().Add(time.Hour), Limit: 10})
	require.NoError(t, err)
	for _, s = range sums {
	}
	return s
}

// A call takes what it may use, and Finish gives back what it did not.
func TestTokensAndMoneyAreReserved(t *testing.T) {
	used := &audit.Usage{Model: "m", Input: 20, Output: 10, MicroUSD: 15}
	over := &audit.Usage{Model: "m", Input: 200, Output: 10, MicroUSD: 900}
	for name, k := range map[string]struct {
		limits  grant.Limits
		outcome audit.Outcome
		held    grant.Limits // left while it runs
		left    grant.Limits // … and in the end
		row     bool
	}{
		"tokens":                {grant.Limits{Tokens: 250}, audit.Outcome{Result: audit.OK, Usage: used}, grant.Limits{Tokens: 150, MicroUSD: -1}, grant.Limits{Tokens: 220, MicroUSD: -1}, true},
		"money":                 {grant.Limits{MicroUSD: 60}, audit.Outcome{Result: audit.OK, Usage: used}, grant.Limits{Tokens: -1, MicroUSD: 10}, grant.Limits{Tokens: -1, MicroUSD: 45}, true},
		"both":                  {grant.Limits{Tokens: 100, MicroUSD: 50}, audit.Outcome{Result: audit.OK, Usage: used}, grant.Limits{}, grant.Limits{Tokens: 70, MicroUSD: 35}, true},
		"not sent":              {grant.Limits{Tokens: 100, MicroUSD: 50}, audit.Outcome{Result: audit.NotSent}, grant.Limits{}, grant.Limits{Tokens: 100, MicroUSD: 50}, false},
		"more than was thought": {grant.Limits{Tokens: 250, MicroUSD: 50}, audit.Outcome{Result: audit.OK, Usage: over}, grant.Limits{Tokens: 150}, grant.Limits{Tokens: 40}, true},
		"another limit alone":   {grant.Limits{Calls: 5}, audit.Outcome{Result: audit.OK, Usage: used}, grant.Limits{Tokens: -1, MicroUSD: -1}, grant.Limits{Tokens: -1, MicroUSD: -1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := metered(callOf(b.task(t, k.limits)))
			i, err := b.Begin(t.Context(), c)
			require.NoError(t, err)
			left := b.left(t, c)
			require.Equal(t, k.held, grant.Limits{Tokens: left.Tokens, MicroUSD: left.MicroUSD})
			if u := k.outcome.Usage; u != nil {
				k.outcome.Used = i.Counted(grant.Limits{Tokens: u.Tokens(), MicroUSD: u.MicroUSD})
			}
			k.outcome.Unused = i.Reserved()
			b.Finish(i, k.outcome)
			b.close(t)
			left = b.left(t, c)
			require.Equal(t, k.left, grant.Limits{Tokens: left.Tokens, MicroUSD: left.MicroUSD})
			sum := b.ledger(t)
			require.Equal(t, k.row, sum.Calls == 1)
			if k.row {
				require.Equal(t, k.outcome.Usage.Tokens(), sum.Input+sum.Output)
				require.Equal(t, k.outcome.Usage.MicroUSD, sum.MicroUSD)
			}
		})
	}
}

// What does not fit, or cannot be bounded, is refused, with what is left and what to do.
func TestEstimatesThatDoNotFit(t *testing.T) {
	for name, k := range map[string]struct {
		limits       grant.Limits
		change       func(e *audit.Estimate)
		limit, left  string
		says, needed string
	}{
		"tokens":             {grant.Limits{Tokens: 99}, func(*audit.Estimate) {}, "tokens", "99", "lower max_tokens", "100"},
		"money":              {grant.Limits{Tokens: 100, MicroUSD: 49}, func(*audit.Estimate) {}, "usd", "0.000049", "0.000050", "0.000050"},
		"tokens not bounded": {grant.Limits{Tokens: 1 << 40}, func(e *audit.Estimate) { e.Tokens = -1 }, "tokens", "1099511627776", "lower max_tokens", ""},
		"no price":           {grant.Limits{MicroUSD: 1 << 40}, func(e *audit.Estimate) { e.MicroUSD = -1 }, "usd", "1099511.627776", "no price", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := metered(callOf(b.task(t, k.limits)))
			k.change(c.Estimate)
			before := b.left(t, c)
			_, err := b.Begin(t.Context(), c)
			require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
			f := fault.From(err)
			require.Contains(t, f.Public, k.says)
			require.Equal(t, k.limit, f.Metadata["limit"])
			require.Equal(t, k.left, f.Metadata["left"])
			require.Equal(t, k.needed, f.Metadata["needed"])
			require.Equal(t, before, b.left(t, c), "nothing was taken")
		})
	}
	t.Run("a call that nobody metered", func(t *testing.T) {
		b := newBench(t)
		_, err := b.Begin(t.Context(), callOf(b.task(t, grant.Limits{Tokens: 1000})))
		require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
	})
	t.Run("a call that uses nothing", func(t *testing.T) {
		b := newBench(t)
		c := callOf(b.task(t, grant.Limits{Tokens: 1000, MicroUSD: 1}))
		c.Estimate = &audit.Estimate{}
		_, err := b.Begin(t.Context(), c)
		require.NoError(t, err)
		require.EqualValues(t, 1000, b.left(t, c).Tokens)
	})
}

// A caller that is gone, and a commit that nobody heard of: nothing was sent, and all is
// given back.
func TestReservationsOfWhatWasNotSentAreGivenBack(t *testing.T) {
	t.Run("in doubt", func(t *testing.T) {
		b := newBench(t)
		c := metered(callOf(b.task(t, grant.Limits{Tokens: 100, MicroUSD: 50})))
		b.flaky.set(func(f *flaky) { f.next, f.blind = []failure{afterCommit}, true })
		i, err := b.Begin(t.Context(), c)
		requireUnavailable(t, i, err)
		b.flaky.set(func(f *flaky) { f.blind = false })
		require.EqualValues(t, 0, b.left(t, c).Tokens, "it was committed")
		b.close(t)
		require.EqualValues(t, 100, b.left(t, c).Tokens)
		require.EqualValues(t, 50, b.left(t, c).MicroUSD)
		require.Zero(t, b.ledger(t).Calls)
	})
	t.Run("cancelled", func(t *testing.T) {
		b := newBench(t)
		c := metered(callOf(b.task(t, grant.Limits{Tokens: 100})))
		ctx, cancel := context.WithCancel(t.Context())
		gate := make(chan struct{})
		b.flaky.set(func(f *flaky) { f.gate = gate })
		done := make(chan error)
		go func() { _, err := b.Begin(ctx, c); done <- err }()
		eventually(t, "the write has begun", func() bool { return b.flaky.written() > 0 })
		cancel()
		close(gate)
		require.Error(t, <-done)
		b.close(t)
		require.EqualValues(t, 100, b.left(t, c).Tokens)
	})
}

// orphaned has a broker die in the middle of a call on 250 tokens, and another sweep up after it.
func orphaned(t *testing.T) (dead, b *bench, c audit.Call, i audit.Intent) {
	t.Helper()
	dead = newBench(t)
	c = metered(callOf(dead.task(t, grant.Limits{Tokens: 250})))
	i, err := dead.Begin(t.Context(), c)
	require.NoError(t, err)
	dead.clock.advance(11 * time.Second)
	b = dead.another(t, "incarnation-2")
	n, err := b.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	return dead, b, c, i
}

// A broker dies in the middle of a call: what it reserved stays taken, and is in the
// ledger once; whoever comes back late with the true numbers puts them in its place.
func TestOrphansKeepTheirReservation(t *testing.T) {
	dead, b, c, i := orphaned(t)
	require.EqualValues(t, 150, b.left(t, c).Tokens)
	sum := b.ledger(t)
	require.Equal(t, audit.UsageSum{Calls: 1, Estimated: 1, Input: 60, Output: 40, MicroUSD: 50}, sum)

	dead.Finish(i, audit.Outcome{
		Result: audit.OK, Usage: &audit.Usage{Model: "m", Input: 20, Output: 10, MicroUSD: 15},
		Used: grant.Limits{Tokens: 30}, Unused: i.Reserved(),
	})
	dead.close(t)
	require.EqualValues(t, 220, b.left(t, c).Tokens)
	require.Equal(t, audit.UsageSum{Calls: 1, Input: 20, Output: 10, MicroUSD: 15}, b.ledger(t))
}

// … and where nothing was used after all, there is no row.
func TestALateOutcomeThatUsedNothing(t *testing.T) {
	dead, b, c, i := orphaned(t)
	require.EqualValues(t, 1, b.ledger(t).Calls)
	dead.Finish(i, audit.Outcome{Result: audit.NotSent, Reason: string(fault.UpstreamUnavailable), Unused: i.Reserved()})
	dead.close(t)
	require.EqualValues(t, 250, b.left(t, c).Tokens)
	require.Zero(t, b.ledger(t))
}

// The outcome and its row in the ledger are of one transaction: neither is lost nor
// doubled, whatever the store does.
func TestLedgerRowsAreWrittenWithTheirOutcome(t *testing.T) {
	for name, fail := range map[string]failure{"before": beforeTransaction, "inside": insideTransaction, "acknowledgement lost": afterCommit} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := metered(callOf(b.task(t, grant.Limits{Tokens: 250})))
			i, err := b.Begin(t.Context(), c)
			require.NoError(t, err)
			b.flaky.set(func(f *flaky) { f.next, f.blind = []failure{fail, fail}, fail == afterCommit })
			before := b.flaky.written()
			b.Finish(i, audit.Outcome{
				Result: audit.OK, Usage: &audit.Usage{Model: "m", Input: 20, Output: 10, MicroUSD: 15},
				Used: grant.Limits{Tokens: 30}, Unused: i.Reserved(),
			})
			eventually(t, "a write", func() bool { return b.flaky.written() > before })
			b.flaky.set(func(f *flaky) { f.blind = false })
			b.close(t)
			kinds, _ := of(b.trail(t), c.InvocationID)
			require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds)
			require.EqualValues(t, 1, b.ledger(t).Calls)
			require.EqualValues(t, 220, b.left(t, c).Tokens)
		})
	}
}

// 100 calls at once on a small budget: those that are let through fit into it with all
// that they may use, so that it cannot be overspent by what was bounded.
func TestParallelCallsDoNotOverspend(t *testing.T) {
	for name, store := range map[string]func(testing.TB) *sqlstore.Store{"SQLite": sqlite, "PostgreSQL": postgres} {
		t.Run(name, func(t *testing.T) {
			b := benchOn(t, store(t))
			c := metered(callOf(b.task(t, grant.Limits{Tokens: 750, MicroUSD: 1000})))
			var wg sync.WaitGroup
			var let, spent atomic.Int64
			for n := range 100 {
				wg.Go(func() {
					i, err := b.Begin(context.Background(), again(c))
					if err != nil {
						require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
						return
					}
					let.Add(1)
					u := &audit.Usage{Model: "m", Input: 60, Output: int64(n % 41), MicroUSD: 50}
					spent.Add(u.Tokens())
					b.Finish(i, audit.Outcome{
						Result: audit.OK, Usage: u, Unused: i.Reserved(), Used: i.Counted(grant.Limits{Tokens: u.Tokens(), MicroUSD: u.MicroUSD}),
					})
				})
			}
			wg.Wait()
			b.close(t)
			require.GreaterOrEqual(t, let.Load(), int64(7))
			require.LessOrEqual(t, spent.Load(), int64(750))
			require.Equal(t, 750-spent.Load(), b.left(t, c).Tokens)
			sum := b.ledger(t)
			require.Equal(t, let.Load(), sum.Calls)
			require.Equal(t, spent.Load(), sum.Input+sum.Output)
		})
	}
}

func TestTheIntentHoldsTheEstimate(t *testing.T) {
	b := newBench(t)
	c := metered(b.call(t))
	i, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	b.Finish(i, audit.Outcome{Result: audit.OK})
	b.close(t)
	var detail struct {
		UserIssuer string      `json:"user_issuer"`
		Estimate   audit.Usage `json:"estimate"`
	}
	for _, e := range b.trail(t) {
		if e.Kind == audit.IntentRow {
			require.NoError(t, json.Unmarshal([]byte(e.Detail), &detail))
		}
	}
	require.Equal(t, "local", detail.UserIssuer)
	require.Equal(t, *c.Estimate.Usage, detail.Estimate)
}
