package audit_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// requireUnavailable: the caller is told that nothing was sent, and of the store only
// the log hears.
func requireUnavailable(t testing.TB, i audit.Intent, err error) {
	t.Helper()
	require.True(t, fault.Is(err, fault.AuditUnavailable), "%v", err)
	require.NotContains(t, err.Error(), "the test's store")
	require.False(t, i.Valid(), "no intent, so nothing can be attached or sent")
}

func TestBeginWithAFailingStore(t *testing.T) {
	cases := map[string]struct {
		fail    failure
		blind   bool // the head cannot be read back at first
		refused bool
		rows    []audit.Kind // in the end
	}{
		"before the transaction":                     {beforeTransaction, false, true, nil},
		"inside the transaction":                     {insideTransaction, false, true, nil},
		"inside the transaction, head unreadable":    {insideTransaction, true, true, nil},
		"acknowledgement lost":                       {afterCommit, false, false, []audit.Kind{audit.IntentRow, audit.OutcomeRow}},
		"acknowledgement lost, head unreadable then": {afterCommit, true, true, []audit.Kind{audit.IntentRow, audit.OutcomeRow}},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := callOf(b.task(t, grant.Limits{Calls: 10}))
			b.flaky.set(func(f *flaky) { f.next, f.blind = []failure{k.fail}, k.blind })
			i, err := b.Begin(t.Context(), c)
			if k.refused {
				requireUnavailable(t, i, err)
			} else {
				require.NoError(t, err)
				b.Finish(i, audit.Outcome{Result: audit.OK})
			}
			b.flaky.set(func(f *flaky) { f.blind = false })

			next := again(c)
			i, err = b.Begin(t.Context(), next)
			require.NoError(t, err, "the store is back")
			b.Finish(i, audit.Outcome{Result: audit.OK})
			b.close(t)

			rows := b.trail(t)
			kinds, last := of(rows, c.InvocationID)
			require.Equal(t, k.rows, kinds)
			calls := int64(9)
			if k.rows != nil {
				calls--
			}
			require.Equal(t, calls, b.left(t, c).Calls, "what was not committed was not reserved")
			if k.refused && k.rows != nil {
				require.Equal(t, audit.NotSent, last.Outcome, "it stands in the trail, and its caller was refused")
				require.Equal(t, "AUDIT_UNAVAILABLE", last.Reason)
			}
			kinds, _ = of(rows, next.InvocationID)
			require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds)
		})
	}
}

// A whole batch of intents, outcomes and refusals is in doubt. None is written twice,
// and none is lost.
func TestDoubtedBatchIsResolved(t *testing.T) {
	for name, blind := range map[string]bool{"read back at once": false, "read back later": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			running := b.call(t)
			open, err := b.Begin(t.Context(), running)
			require.NoError(t, err)

			gate := make(chan struct{})
			b.flaky.set(func(f *flaky) { f.gate = gate })
			var wg sync.WaitGroup
			before := b.flaky.written()
			wg.Go(func() { _ = b.Refuse(context.Background(), audit.Event{Reason: "FIRST"}) })
			eventually(t, "the writer is held", func() bool { return b.flaky.written() == before+1 })
			b.flaky.set(func(f *flaky) { f.next, f.blind = []failure{afterCommit}, blind })

			calls := make([]audit.Call, 20)
			errs := make([]error, len(calls))
			for n := range calls {
				calls[n] = again(running)
				wg.Go(func() {
					var i audit.Intent
					if i, errs[n] = b.Begin(context.Background(), calls[n]); errs[n] == nil {
						b.Finish(i, audit.Outcome{Result: audit.OK})
					}
				})
			}
			b.Finish(open, audit.Outcome{Result: audit.OK})
			eventually(t, "all wait", func() bool { return audit.Waiting(b.Log) == len(calls) })
			close(gate)
			wg.Wait()
			b.flaky.set(func(f *flaky) { f.blind = false })
			b.close(t)

			rows := b.trail(t)
			for n, c := range append(calls, running) {
				kinds, last := of(rows, c.InvocationID)
				require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds)
				if n < len(calls) && blind {
					requireUnavailable(t, audit.Intent{}, errs[n])
					require.Equal(t, audit.NotSent, last.Outcome)
				} else {
					require.Equal(t, audit.OK, last.Outcome)
				}
			}
			require.Len(t, rows, 1+1+2*(len(calls)+1))
		})
	}
}

func TestOutcomesOutliveTheStore(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Calls: 10, Bytes: 1000}))
	c.Stream = true
	i, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	b.flaky.set(func(f *flaky) { f.down = true })
	before := b.flaky.written()
	b.Finish(i, audit.Outcome{Result: audit.OK, Used: grant.Limits{Bytes: 300}, Unused: i.Reserved()})
	eventually(t, "it was tried several times", func() bool { return b.flaky.written() >= before+3 })
	_, err = b.Begin(t.Context(), again(c))
	requireUnavailable(t, audit.Intent{}, err)
	kinds, _ := of(b.trail(t), c.InvocationID)
	require.Equal(t, []audit.Kind{audit.IntentRow}, kinds)

	b.flaky.set(func(f *flaky) { f.down = false })
	eventually(t, "the outcome is written when the store is back", func() bool { return len(b.outcomes(t, c.InvocationID)) == 1 })
	b.close(t)
	b.trail(t)
	require.EqualValues(t, 700, b.left(t, c).Bytes, "settled once")
	require.Zero(t, audit.Behind(b.Log))
}

func TestLeaseIsDemanded(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	b.clock.advance(11 * time.Second)
	i, err := b.Begin(t.Context(), c)
	requireUnavailable(t, i, err)
	i, err = b.BeginAdmin(t.Context(), audit.Event{Workspace: workspace, InvocationID: "act"})
	requireUnavailable(t, i, err)
	require.Len(t, b.trail(t), 1)
	b.Live(b.clock.now().Add(10 * time.Second))
	_, err = b.Begin(t.Context(), c)
	require.NoError(t, err)
}

// A broker that was thought dead and wakes up cannot add to the chain that another
// one has closed: what it writes goes to a new one.
func TestClosedChainTakesNothing(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	closed := b.ChainID()
	require.NoError(t, b.store.Audit().CloseChain(t.Context(), closed))
	_, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	seq, _, err := b.store.Audit().Head(t.Context(), closed)
	require.NoError(t, err)
	require.EqualValues(t, 1, seq)
	require.NotEqual(t, closed, b.ChainID())
	require.Len(t, b.trail(t), 2)
}

// Somebody else writes to our chain: nothing more is written on top of it.
func TestForeignRowStopsTheLog(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	alien := audit.Event{ChainID: b.ChainID(), Seq: 2, Workspace: workspace, Time: b.clock.now(), Kind: audit.Refusal, Hash: []byte("alien")}
	require.NoError(t, b.store.Audit().Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
		return tx.Append(ctx, []audit.Event{alien})
	}))
	for range 2 {
		i, err := b.Begin(t.Context(), c)
		requireUnavailable(t, i, err)
	}
	seq, _, err := b.store.Audit().Head(t.Context(), b.ChainID())
	require.NoError(t, err)
	require.EqualValues(t, 2, seq)
}

func TestCloseWritesWhatWaits(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	var calls []audit.Call
	for range 20 {
		next := again(c)
		i, err := b.Begin(t.Context(), next)
		require.NoError(t, err)
		calls = append(calls, next)
		b.Finish(i, audit.Outcome{Result: audit.OK})
	}
	b.flaky.set(func(f *flaky) { f.next = []failure{beforeTransaction, insideTransaction, afterCommit} })
	b.close(t)
	rows := b.trail(t)
	require.Len(t, rows, 1+2*len(calls))
	for _, c := range calls {
		kinds, _ := of(rows, c.InvocationID)
		require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds)
	}
	i, err := b.Begin(t.Context(), again(c))
	requireUnavailable(t, i, err)
	require.True(t, fault.Is(b.Refuse(t.Context(), audit.Event{}), fault.AuditUnavailable))
	b.close(t) // a second time does no harm
	require.Len(t, b.trail(t), len(rows))
}

func TestCloseGivesUp(t *testing.T) {
	b := newBench(t)
	i, err := b.Begin(t.Context(), b.call(t))
	require.NoError(t, err)
	gate := make(chan struct{})
	b.flaky.set(func(f *flaky) { f.gate = gate })
	b.Finish(i, audit.Outcome{Result: audit.OK})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Close(ctx), context.Canceled)
	close(gate)
	b.close(t)
	require.Len(t, b.trail(t), 3)
}

// Whoever gives up before the call leaves has it recorded as not sent.
func TestCancelledBegin(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Bytes: 5000}))
	c.Stream = true
	gate := make(chan struct{})
	b.flaky.set(func(f *flaky) { f.gate = gate })
	before := b.flaky.written()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Begin(ctx, c)
		done <- err
	}()
	eventually(t, "it is being written", func() bool { return b.flaky.written() == before+1 })
	cancel()
	close(gate)
	require.True(t, fault.Is(<-done, fault.UpstreamUnavailable))
	b.close(t)
	kinds, last := of(b.trail(t), c.InvocationID)
	require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds)
	require.Equal(t, audit.NotSent, last.Outcome)
	require.Equal(t, "CANCELLED", last.Reason)
	require.EqualValues(t, 5000, b.left(t, c).Bytes, "what was reserved is given back")
}
