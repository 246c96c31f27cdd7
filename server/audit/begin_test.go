package audit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

func TestEndedTask(t *testing.T) {
	ends := map[string]func(t *testing.T, b *bench, c *audit.Call){
		"revoked": func(t *testing.T, b *bench, c *audit.Call) {
			_, err := b.store.Tasks().EndTask(t.Context(), workspace, c.Caller.Task.ID, task.Revoked, b.clock.now())
			require.NoError(t, err)
		},
		"expired": func(_ *testing.T, b *bench, _ *audit.Call) {
			b.clock.advance(time.Hour)
			b.Live(b.clock.now().Add(10 * time.Second))
		},
		"another workspace's": func(_ *testing.T, _ *bench, c *audit.Call) {
			caller := *c.Caller
			caller.Task.Workspace = "other"
			c.Caller = &caller
		},
	}
	for name, end := range ends {
		for severity, refused := range map[grant.Severity]bool{
			grant.Read:  false, // relies on the lease of what authn remembers
			grant.Write: true, grant.Destructive: true, grant.Admin: true, grant.Unspecified: true,
		} {
			t.Run(name+" "+severity.String(), func(t *testing.T) {
				b := newBench(t)
				c := b.call(t)
				c.Severity = severity
				end(t, b, &c)
				i, err := b.Begin(t.Context(), c)
				if !refused {
					require.NoError(t, err)
					return
				}
				require.True(t, fault.Is(err, fault.TaskEnded), "%v", err)
				require.False(t, i.Valid())
				require.Len(t, b.trail(t), 1)
			})
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	b := newBench(t)
	first := b.call(t)
	first.IdempotencyKey = "7d1c6c9e-0000-4000-8000-000000000001"
	i, err := b.Begin(t.Context(), first)
	require.NoError(t, err)
	conflict := func(c audit.Call, outcome string) {
		t.Helper()
		i, err := b.Begin(t.Context(), c)
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		require.False(t, i.Valid())
		require.Equal(t, map[string]string{"first_invocation_id": first.InvocationID, "first_outcome": outcome}, fault.From(err).Metadata)
	}
	repeat := again(first)
	conflict(repeat, "IN_PROGRESS")
	b.Finish(i, audit.Outcome{Result: audit.UpstreamError})
	eventually(t, "the outcome is there", func() bool { return len(b.outcomes(t, first.InvocationID)) == 1 })
	conflict(again(first), "UPSTREAM_ERROR")

	elsewhere := b.call(t)
	elsewhere.IdempotencyKey = first.IdempotencyKey
	_, err = b.Begin(t.Context(), elsewhere)
	require.NoError(t, err, "a key is of one task")
	kinds, _ := of(b.trail(t), repeat.InvocationID)
	require.Empty(t, kinds, "the repeat was never an intent")
}

// A call that was refused in the very transaction that claimed its key is not in
// progress.
func TestIdempotencyKeyOfARefusedCall(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Calls: 1}))
	_, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	c = again(c)
	c.IdempotencyKey = "key"
	_, err = b.Begin(t.Context(), c)
	require.True(t, fault.Is(err, fault.LimitReached))
	require.NoError(t, b.Refuse(t.Context(), audit.Event{Workspace: workspace, InvocationID: c.InvocationID, Reason: "LIMIT_REACHED"}))
	_, err = b.Begin(t.Context(), again(c))
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.Equal(t, "NOT_SENT", fault.From(err).Metadata["first_outcome"])
}

func TestIdempotencyKeyTwiceInOneBatch(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	c.IdempotencyKey = "one"
	gate := make(chan struct{})
	b.flaky.set(func(f *flaky) { f.gate = gate })
	var wg sync.WaitGroup
	before := b.flaky.written()
	wg.Go(func() { _ = b.Refuse(context.Background(), audit.Event{Reason: "HOLDS_THE_WRITER"}) })
	eventually(t, "the writer is held", func() bool { return b.flaky.written() == before+1 })
	var won, conflicts atomic.Int64
	var winner atomic.Value
	firsts := make([]string, 30)
	for n := range firsts {
		wg.Go(func() {
			mine := again(c)
			switch i, err := b.Begin(context.Background(), mine); {
			case err == nil:
				won.Add(1)
				winner.Store(i.InvocationID())
			case fault.Is(err, fault.Conflict):
				conflicts.Add(1)
				firsts[n] = fault.From(err).Metadata["first_invocation_id"]
			}
		})
	}
	eventually(t, "all wait", func() bool { return audit.Waiting(b.Log) == len(firsts) })
	close(gate)
	wg.Wait()
	require.Equal(t, before+2, b.flaky.written(), "they shared one transaction")
	require.EqualValues(t, 1, won.Load())
	require.EqualValues(t, len(firsts)-1, conflicts.Load())
	for _, first := range firsts {
		if first != "" {
			require.Equal(t, winner.Load(), first)
		}
	}
}

func TestLimitOfCallsIsExact(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Calls: 7}))
	var wg sync.WaitGroup
	var allowed, refused atomic.Int64
	for range 100 {
		wg.Go(func() {
			switch _, err := b.Begin(context.Background(), again(c)); {
			case err == nil:
				allowed.Add(1)
			case fault.Is(err, fault.LimitReached) && fault.From(err).Metadata["limit"] == "calls" && fault.From(err).Metadata["grant_id"] == c.Grant.ID:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, allowed.Load())
	require.EqualValues(t, 93, refused.Load())
	require.Len(t, b.trail(t), 1+7)
	require.Zero(t, b.left(t, c).Calls)
}

func TestLimitsAreSettled(t *testing.T) {
	cases := map[string]struct {
		limits grant.Limits
		allow  audit.Allowance
		used   grant.Limits
		fits   bool
		left   grant.Limits
	}{
		"bytes fit":        {grant.Limits{Bytes: 100}, audit.Allowance{Bytes: 100, Rows: -1}, grant.Limits{Bytes: 60}, true, grant.Limits{Calls: -1, Bytes: 40, Rows: -1}},
		"bytes to the end": {grant.Limits{Bytes: 100}, audit.Allowance{Bytes: 100, Rows: -1}, grant.Limits{Bytes: 100}, true, grant.Limits{Calls: -1, Bytes: 0, Rows: -1}},
		"bytes over":       {grant.Limits{Bytes: 100}, audit.Allowance{Bytes: 100, Rows: -1}, grant.Limits{Bytes: 101}, false, grant.Limits{Calls: -1, Bytes: 100, Rows: -1}},
		"rows fit":         {grant.Limits{Rows: 3}, audit.Allowance{Bytes: -1, Rows: 3}, grant.Limits{Rows: 3}, true, grant.Limits{Calls: -1, Bytes: -1, Rows: 0}},
		"rows over":        {grant.Limits{Rows: 3, Calls: 2}, audit.Allowance{Bytes: -1, Rows: 3}, grant.Limits{Rows: 4}, false, grant.Limits{Calls: 1, Bytes: -1, Rows: 3}},
		"one of two over":  {grant.Limits{Rows: 3, Bytes: 100}, audit.Allowance{Bytes: 100, Rows: 3}, grant.Limits{Rows: 4, Bytes: 1}, false, grant.Limits{Calls: -1, Bytes: 100, Rows: 3}},
		"nothing used":     {grant.Limits{Rows: 3}, audit.Allowance{Bytes: -1, Rows: 3}, grant.Limits{}, true, grant.Limits{Calls: -1, Bytes: -1, Rows: 3}},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := callOf(b.task(t, k.limits))
			i, err := b.Begin(t.Context(), c)
			require.NoError(t, err)
			require.True(t, i.Limited())
			require.Equal(t, k.allow, i.Allowance())
			err = b.Settle(t.Context(), i, k.used)
			if k.fits {
				require.NoError(t, err)
			} else {
				require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
			}
			k.left.Tokens, k.left.MicroUSD = -1, -1
			require.Equal(t, k.left, b.left(t, c))
			if k.left.Bytes == 0 || k.left.Rows == 0 {
				_, err = b.Begin(t.Context(), again(c))
				require.True(t, fault.Is(err, fault.LimitReached), "what is used up allows no further call: %v", err)
			}
		})
	}
}

func TestUnlimitedGrant(t *testing.T) {
	b := newBench(t)
	i, err := b.Begin(t.Context(), b.call(t))
	require.NoError(t, err)
	require.False(t, i.Limited())
	require.Equal(t, audit.Allowance{Bytes: -1, Rows: -1}, i.Allowance())
	require.Zero(t, i.Reserved())
}

// Two calls in flight may each be allowed all that is left; only one can take it.
func TestSettleInParallelIsExact(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Bytes: 100}))
	var wg sync.WaitGroup
	var fitted atomic.Int64
	for range 20 {
		i, err := b.Begin(t.Context(), again(c))
		require.NoError(t, err)
		wg.Go(func() {
			if b.Settle(context.Background(), i, grant.Limits{Bytes: 30}) == nil {
				fitted.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 3, fitted.Load())
	require.EqualValues(t, 10, b.left(t, c).Bytes)
}

func TestSettleOutlivesItsCaller(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Bytes: 100}))
	i, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, b.Settle(ctx, i, grant.Limits{Bytes: 30}))
	require.EqualValues(t, 70, b.left(t, c).Bytes)
}

// A stream holds all the bytes that it may bring, and gives back what it did not.
func TestStreamReservation(t *testing.T) {
	cases := map[string]struct {
		limit, most, reserved, used, left int64
	}{
		"the tool's bound":  {5000, 1000, 1000, 300, 4700},
		"the grant's bound": {700, 1000, 700, 700, 0},
		"nothing came":      {5000, 1000, 1000, 0, 5000},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := callOf(b.task(t, grant.Limits{Bytes: k.limit}))
			c.Stream, c.MostBytes = true, k.most
			i, err := b.Begin(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, k.reserved, i.Allowance().Bytes)
			require.Equal(t, grant.Limits{Bytes: k.reserved}, i.Reserved())
			require.Equal(t, k.limit-k.reserved, b.left(t, c).Bytes, "held while it runs")
			b.Finish(i, audit.Outcome{Result: audit.OK, Used: grant.Limits{Bytes: k.used}, Unused: i.Reserved()})
			b.close(t)
			require.Equal(t, k.left, b.left(t, c).Bytes)
		})
	}
}
