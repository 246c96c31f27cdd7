package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
)

// die ends a broker as SIGKILL would: its lease runs out and nothing more is written.
// It gives the invocations that it leaves open.
func die(t *testing.T, b *bench, open int) (left []string) {
	t.Helper()
	c := b.call(t)
	for range open {
		next := again(c)
		_, err := b.Begin(t.Context(), next)
		require.NoError(t, err)
		left = append(left, next.InvocationID)
	}
	act := again(c).InvocationID
	_, err := b.BeginAdmin(t.Context(), audit.Event{Workspace: workspace, InvocationID: act, Tool: "Connectors.Apply"})
	require.NoError(t, err)
	done := again(c)
	i, err := b.Begin(t.Context(), done)
	require.NoError(t, err)
	b.Finish(i, audit.Outcome{Result: audit.OK})
	b.close(t)
	b.clock.advance(11 * time.Second)
	return append(left, act)
}

// outcomes gives the results that stand for an invocation in all chains.
func (b *bench) outcomes(t *testing.T, invocationID string) (results []audit.Result) {
	t.Helper()
	rows, err := b.store.Audit().Events(t.Context(), audit.Filter{Workspace: workspace, InvocationID: invocationID, Limit: 100})
	require.NoError(t, err)
	for _, e := range rows {
		if e.Kind == audit.OutcomeRow || e.Kind == audit.AdminOutcome {
			results = append(results, e.Outcome)
		}
	}
	return results
}

func TestSweepersCloseDeadIntentsOnce(t *testing.T) {
	dead := newBench(t)
	left := die(t, dead, 40)
	one, two := dead.another(t, "incarnation-2"), dead.another(t, "incarnation-3")
	var wg sync.WaitGroup
	for _, b := range []*bench{one, two} {
		wg.Go(func() {
			_, err := b.Sweep(context.Background())
			require.NoError(t, err)
		})
	}
	wg.Wait()
	for _, id := range left {
		require.Equal(t, []audit.Result{audit.Unknown}, one.outcomes(t, id))
	}
	mine, theirs := one.trail(t), two.trail(t)
	require.Len(t, append(mine[1:], theirs[1:]...), len(left), "in the sweepers' own chains, and nothing else")
	e := append(mine[1:], theirs[1:]...)[0]
	require.Equal(t, "BROKER_DIED", e.Reason)
	require.Positive(t, e.Duration)
	require.Equal(t, "agent", e.Agent, "who it was is said again")

	heads, err := one.store.Audit().OpenHeads(t.Context())
	require.NoError(t, err)
	require.Len(t, heads, 2, "the dead chain is closed")
	n, err := one.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestSweeperLeavesTheLivingAlone(t *testing.T) {
	living := newBench(t)
	c := living.call(t)
	i, err := living.Begin(t.Context(), c)
	require.NoError(t, err)
	other := living.another(t, "incarnation-2")
	n, err := other.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	living.clock.advance(11 * time.Second) // both leases have run out
	n, err = living.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "the other's chain has no intents, and nobody sweeps its own")
	require.Empty(t, living.outcomes(t, c.InvocationID))
	living.Finish(i, audit.Outcome{Result: audit.OK})
	living.close(t)
	require.Equal(t, []audit.Result{audit.OK}, living.outcomes(t, c.InvocationID))
}

func TestSweepOfMoreThanOneBatch(t *testing.T) {
	dead := newBench(t)
	c := dead.call(t)
	const many = 600
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range many / 20 {
				_, err := dead.Begin(context.Background(), again(c))
				require.NoError(t, err)
			}
		})
	}
	wg.Wait()
	dead.close(t)
	dead.clock.advance(11 * time.Second)
	b := dead.another(t, "incarnation-2")
	n, err := b.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, many, n)
	require.Len(t, b.trail(t), 1+many)
}

func TestSweepWithAFailingStore(t *testing.T) {
	dead := newBench(t)
	left := die(t, dead, 3)
	b := dead.another(t, "incarnation-2")
	b.flaky.set(func(f *flaky) { f.next = []failure{0, afterCommit, insideTransaction} })
	for {
		_, err := b.Sweep(t.Context())
		if err == nil {
			break
		}
		require.ErrorIs(t, err, errDown)
	}
	for _, id := range left {
		require.Equal(t, []audit.Result{audit.Unknown}, b.outcomes(t, id))
	}
	require.Len(t, b.trail(t), 1+len(left))
}

// An outcome that the dead broker's own commit brought after all is not contradicted.
func TestSweeperYieldsToAnOutcome(t *testing.T) {
	dead := newBench(t)
	left := die(t, dead, 1)
	b := dead.another(t, "incarnation-2")
	stale := &staleOrphans{Store: b.store.Audit()}
	late, err := audit.Open(t.Context(), audit.Options{
		Store: stale, Signer: b.keys, Now: b.clock.now, NewID: func() string { return "late" }, BrokerID: "broker", Incarnation: "incarnation-3",
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, late.Close(context.Background())) })
	stale.between = func() {
		_, err := b.Sweep(context.Background())
		require.NoError(t, err)
	}
	_, err = late.Sweep(t.Context())
	require.NoError(t, err)
	for _, id := range left {
		require.Equal(t, []audit.Result{audit.Unknown}, b.outcomes(t, id))
	}
}

// staleOrphans lets somebody else sweep between reading the orphans and closing them.
type staleOrphans struct {
	audit.Store
	between func()
}

func (s *staleOrphans) Orphans(ctx context.Context, chainID string, limit int) ([]audit.Event, error) {
	orphans, err := s.Store.Orphans(ctx, chainID, limit)
	if run := s.between; run != nil {
		s.between = nil
		run()
	}
	return orphans, err
}

func TestSweepEveryEndsWithItsContext(t *testing.T) {
	dead := newBench(t)
	left := die(t, dead, 1)
	b := dead.another(t, "incarnation-2")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		b.SweepEvery(ctx, time.Hour)
		close(done)
	}()
	eventually(t, "it sweeps at once", func() bool { return len(b.outcomes(t, left[0])) == 1 })
	cancel(errors.New("enough"))
	<-done
}

// TestABrokerTakenForDeadGoesOn: it was only slow, another broker closed its chain, and
// it opens a new one instead of refusing calls for good.
func TestABrokerTakenForDeadGoesOn(t *testing.T) {
	slow := newBench(t)
	c := slow.call(t)
	i, err := slow.Begin(t.Context(), c)
	require.NoError(t, err)
	before := slow.ChainID()
	slow.clock.advance(11 * time.Second)
	other := slow.another(t, "incarnation-2")
	n, err := other.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)

	_, err = slow.Begin(t.Context(), again(c))
	requireUnavailable(t, audit.Intent{}, err) // its lease has run out
	until := slow.clock.now().Add(10 * time.Second)
	require.NoError(t, slow.store.Brokers().Heartbeat(t.Context(), "broker", "incarnation-1", until, nil))
	slow.Live(until)
	next := again(c)
	j, err := slow.Begin(t.Context(), next)
	require.NoError(t, err)
	require.NotEqual(t, before, slow.ChainID())
	slow.Finish(i, audit.Outcome{Result: audit.OK})
	slow.Finish(j, audit.Outcome{Result: audit.OK})
	slow.close(t)
	require.ElementsMatch(t, []audit.Result{audit.Unknown, audit.OK}, slow.outcomes(t, c.InvocationID), "what was learnt later stands beside")
	require.Equal(t, []audit.Result{audit.OK}, slow.outcomes(t, next.InvocationID))
}

// A broker that was taken for dead wakes up: its calls were closed as UNKNOWN, and how
// they really ended is said in a new chain.
func TestOutcomeOfABrokerThatWakesUp(t *testing.T) {
	asleep := newBench(t)
	c := asleep.call(t)
	i, err := asleep.Begin(t.Context(), c)
	require.NoError(t, err)
	asleep.clock.advance(11 * time.Second)
	n, err := asleep.another(t, "incarnation-2").Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	closed := asleep.ChainID()
	asleep.Finish(i, audit.Outcome{Result: audit.OK})
	asleep.close(t)
	require.NotEqual(t, closed, asleep.ChainID())
	require.Equal(t, []audit.Result{audit.OK, audit.Unknown}, asleep.outcomes(t, c.InvocationID), "newest first")
	opening := asleep.trail(t)[0]
	require.Equal(t, audit.ChainOpened, opening.Kind)
	require.NoError(t, asleep.keys.VerifyAudit(opening.SigningKeyID, opening.Sum(), opening.Signature))
}
