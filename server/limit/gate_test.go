package limit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/limit"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1e9, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func key(s limit.Scope, name string) limit.Key {
	return limit.Key{Scope: s, Workspace: "w", Name: name}
}

func refusal(t *testing.T, err error) *limit.Refusal {
	t.Helper()
	var r *limit.Refusal
	require.ErrorAs(t, err, &r)
	require.Positive(t, r.After)
	return r
}

func TestRates(t *testing.T) {
	c := newClock()
	g := limit.NewGate(limit.Options{Now: c.Now, Keys: 100, Bounds: map[limit.Scope]limit.Bound{
		limit.Task: {PerSecond: 2, Burst: 3}, limit.User: {PerSecond: 1, Burst: 4},
	}})
	enter := func(task string) error {
		p, err := g.Enter(t.Context(), key(limit.Task, task), key(limit.User, "u"))
		if err == nil {
			p.Leave()
		}
		return err
	}
	for range 3 {
		require.NoError(t, enter("a"))
	}
	r := refusal(t, enter("a"))
	require.Equal(t, limit.Refusal{Scope: limit.Task, Rate: true, After: 500 * time.Millisecond}, *r, "the time to the next token")
	require.NoError(t, enter("b"), "what was refused to a took nothing from their user")
	r = refusal(t, enter("b"))
	require.Equal(t, limit.User, r.Scope)
	c.pass(r.After)
	require.NoError(t, enter("b"), "as was said")
	require.Error(t, enter("b"))
	c.pass(time.Hour)
	for range 3 {
		require.NoError(t, enter("a"), "a burst and no more, however long it was quiet")
	}
	require.Error(t, enter("a"))
}

// TestUndo: a call that is refused elsewhere costs nobody anything.
func TestUndo(t *testing.T) {
	c := newClock()
	g := limit.NewGate(limit.Options{Now: c.Now, Keys: 100, Bounds: map[limit.Scope]limit.Bound{limit.Task: {PerSecond: 1, Burst: 1, Running: 1}}})
	for range 10 {
		p, err := g.Enter(t.Context(), key(limit.Task, "a"))
		require.NoError(t, err)
		p.Undo()
		p.Undo()
		p.Leave()
	}
	p, err := g.Enter(t.Context(), key(limit.Task, "a"))
	require.NoError(t, err)
	p.Leave()
	_, err = g.Enter(t.Context(), key(limit.Task, "a"))
	require.True(t, refusal(t, err).Rate)
}

func TestPlaces(t *testing.T) {
	c := newClock()
	g := limit.NewGate(limit.Options{Now: c.Now, Keys: 100, Bounds: map[limit.Scope]limit.Bound{limit.Task: {Running: 2}, limit.Workspace: {Running: 3}}})
	enter := func(task string) (*limit.Pass, error) {
		return g.Enter(t.Context(), key(limit.Task, task), key(limit.Workspace, ""))
	}
	first, err := enter("a")
	require.NoError(t, err)
	_, err = enter("a")
	require.NoError(t, err)
	_, err = enter("a")
	require.Equal(t, limit.Task, refusal(t, err).Scope)
	_, err = enter("b")
	require.NoError(t, err)
	_, err = enter("b")
	require.Equal(t, limit.Workspace, refusal(t, err).Scope, "refused at once where nobody may wait")
	c.pass(8 * time.Second)
	first.Leave()
	_, err = enter("b")
	require.NoError(t, err)
	_, err = enter("c")
	require.Equal(t, time.Second/3, refusal(t, err).After, "an eighth of the 8 s that one took, at three places")
}

// TestAFullQueueIsSharedToo: one who fills it does not keep others out of it.
func TestAFullQueueIsSharedToo(t *testing.T) {
	g := limit.NewGate(limit.Options{Now: newClock().Now, Keys: 100, Wait: time.Hour, Waiting: 4, Bounds: map[limit.Scope]limit.Bound{
		limit.Task: {Running: 100}, limit.Workspace: {Running: 1},
	}})
	arrive := func(task string) (*limit.Pass, error) {
		return g.Arrive(key(limit.Task, task), key(limit.Workspace, ""))
	}
	inside, err := arrive("noisy")
	require.NoError(t, err)
	var noisy []*limit.Pass
	for range 4 {
		p, err := arrive("noisy")
		require.NoError(t, err)
		noisy = append(noisy, p)
	}
	_, err = arrive("noisy")
	require.Equal(t, limit.Workspace, refusal(t, err).Scope)
	quiet, err := arrive("quiet")
	require.NoError(t, err, "there is room for one who has fewer")
	require.True(t, noisy[3].GaveWay(), "the latest of those who have most gives way")
	require.Equal(t, 4, g.Waiting())
	inside.Leave()
	require.True(t, quiet.Entered(), "and comes before all of them")
}

func TestWaiting(t *testing.T) {
	gate := func(wait time.Duration) *limit.Gate {
		return limit.NewGate(limit.Options{Now: time.Now, Keys: 100, Wait: wait, Waiting: 10, Bounds: map[limit.Scope]limit.Bound{limit.Workspace: {PerSecond: 0.001, Burst: 2, Running: 1}}})
	}
	enter := func(ctx context.Context, g *limit.Gate) (*limit.Pass, error) {
		return g.Enter(ctx, key(limit.Task, "a"), key(limit.Workspace, ""))
	}
	t.Run("gets the place that becomes free", func(t *testing.T) {
		g := gate(time.Hour)
		first, err := enter(t.Context(), g)
		require.NoError(t, err)
		got := make(chan error)
		go func() { _, err := enter(t.Context(), g); got <- err }()
		require.Eventually(t, func() bool { return g.Waiting() == 1 }, time.Minute, time.Millisecond)
		first.Leave()
		require.NoError(t, <-got)
		require.Zero(t, g.Waiting())
	})
	t.Run("not for ever, and then costs nothing", func(t *testing.T) {
		g := gate(time.Millisecond)
		first, err := enter(t.Context(), g)
		require.NoError(t, err)
		for range 3 {
			_, err = enter(t.Context(), g)
			require.False(t, refusal(t, err).Rate)
		}
		first.Leave()
		require.Zero(t, g.Waiting())
		_, err = enter(t.Context(), g)
		require.NoError(t, err)
	})
	t.Run("until its caller goes away", func(t *testing.T) {
		g := gate(time.Hour)
		first, err := enter(t.Context(), g)
		require.NoError(t, err)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error)
		go func() { _, err := enter(ctx, g); got <- err }()
		require.Eventually(t, func() bool { return g.Waiting() == 1 }, time.Minute, time.Millisecond)
		cancel(gone)
		require.ErrorIs(t, <-got, gone)
		require.Zero(t, g.Waiting())
		first.Leave()
		_, err = enter(t.Context(), g)
		require.NoError(t, err, "its token and its place are there again")
	})
}

// TestNothingLeaks: many come, wait, give up and go, all at once. In the end nothing runs
// or waits, and all places are free.
func TestNothingLeaks(t *testing.T) {
	g := limit.NewGate(limit.Options{Now: time.Now, Keys: 1000, Wait: 2 * time.Millisecond, Waiting: 20, Bounds: map[limit.Scope]limit.Bound{
		limit.Task: {Running: 5}, limit.Workspace: {Running: 4},
	}})
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for j := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*j%5)*time.Millisecond)
				p, err := g.Enter(ctx, key(limit.Task, fmt.Sprint(i%7)), key(limit.Workspace, ""))
				if err == nil {
					p.Leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.Zero(t, g.Waiting())
	for i := range 4 {
		_, err := g.Enter(t.Context(), key(limit.Task, fmt.Sprint(i)), key(limit.Workspace, ""))
		require.NoError(t, err)
	}
}

// TestKeysAreBounded: what is in use is never forgotten, what is idle makes room, and a
// gate that is full of what is in use refuses.
func TestKeysAreBounded(t *testing.T) {
	c := newClock()
	g := limit.NewGate(limit.Options{Now: c.Now, Keys: 64, Bounds: map[limit.Scope]limit.Bound{limit.Task: {PerSecond: 1, Burst: 1, Running: 1}}})
	enter := func(i int) (*limit.Pass, error) { return g.Enter(t.Context(), key(limit.Task, fmt.Sprint(i))) }
	for i := range 1000 {
		c.pass(time.Second)
		p, err := enter(i)
		require.NoError(t, err)
		p.Leave()
		require.LessOrEqual(t, g.Remembered(), 64)
	}
	c.pass(time.Second)
	var inside []*limit.Pass
	for i := range 64 {
		p, err := enter(10000 + i)
		if err != nil {
			break // what is idle was not found among those looked at
		}
		inside = append(inside, p)
	}
	for i := range 10000 {
		if p, err := enter(20000 + i); err == nil {
			inside = append(inside, p)
		}
		require.LessOrEqual(t, g.Remembered(), 64)
	}
	require.Len(t, inside, 64)
	_, err := enter(30000)
	require.Equal(t, limit.Broker, refusal(t, err).Scope)
	_, err = enter(10000)
	require.Equal(t, limit.Task, refusal(t, err).Scope, "who is inside is still known")
}

func BenchmarkGate(b *testing.B) {
	bounds := map[limit.Scope]limit.Bound{}
	for _, s := range []limit.Scope{limit.Task, limit.User, limit.Workspace, limit.Broker} {
		bounds[s] = limit.Bound{PerSecond: 1e9, Burst: 1e9, Running: 1e6}
	}
	for _, tasks := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			g := limit.NewGate(limit.Options{Bounds: bounds, Wait: time.Second, Waiting: 1000, Keys: 1_000_000, Now: time.Now})
			keys := make([][4]limit.Key, tasks)
			for i := range keys {
				keys[i] = [4]limit.Key{key(limit.Task, fmt.Sprintf("%036d", i)), key(limit.User, fmt.Sprintf("%036d", i%100)), key(limit.Workspace, ""), {Scope: limit.Broker}}
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					p, err := g.Enter(context.Background(), keys[i%tasks][:]...)
					if err != nil {
						b.Error(err)
						return
					}
					p.Leave()
				}
			})
		})
	}
}
