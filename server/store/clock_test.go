package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store"
)

// world is a fake database clock and a fake local one that differ by skew. Reading
// the database takes two halves: there and back.
type world struct {
	local       time.Time
	skew        time.Duration
	there, back time.Duration
	err         error
}

func (w *world) now() time.Time { return w.local }

func (w *world) source(context.Context) (time.Time, error) {
	w.local = w.local.Add(w.there)
	theirs := w.local.Add(w.skew)
	w.local = w.local.Add(w.back)
	return theirs, w.err
}

func (w *world) truth() time.Time { return w.local.Add(w.skew) }

func newWorld() *world {
	return &world{local: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), skew: time.Hour, there: 2 * time.Millisecond, back: 2 * time.Millisecond}
}

func TestClockTellsTheDatabasesTime(t *testing.T) {
	w := newWorld()
	c, err := store.NewClock(t.Context(), w.source, w.now)
	require.NoError(t, err)
	require.Equal(t, w.truth(), c.Now())
	w.local = w.local.Add(17 * time.Second)
	require.Equal(t, w.truth(), c.Now(), "the local clock carries it on")
	require.NoError(t, c.Healthy())

	w.there, w.back = 10*time.Millisecond, 0
	w.local = w.local.Add(time.Minute)
	require.NoError(t, c.Sample(t.Context()))
	require.WithinDuration(t, w.truth(), c.Now(), 5*time.Millisecond, "off by half the round trip at most")
}

func TestClockNeedsAFirstSample(t *testing.T) {
	w := newWorld()
	w.err = store.ErrUnavailable
	_, err := store.NewClock(t.Context(), w.source, w.now)
	require.ErrorIs(t, err, store.ErrUnavailable)

	_, err = store.NewClock(t.Context(), func(context.Context) (time.Time, error) { return time.Time{}, nil }, w.now)
	require.Error(t, err, "the zero time is no time")
}

func TestClockHealth(t *testing.T) {
	cases := map[string]struct {
		change  func(w *world, c *store.Clock)
		healthy bool
	}{
		"fresh":                {func(*world, *store.Clock) {}, true},
		"two minutes old":      {func(w *world, _ *store.Clock) { w.local = w.local.Add(2 * time.Minute) }, true},
		"older":                {func(w *world, _ *store.Clock) { w.local = w.local.Add(2*time.Minute + 1) }, false},
		"failing, still young": {func(w *world, c *store.Clock) { w.err = errors.New("down"); _ = c.Sample(context.Background()) }, true},
		"failing for long": {func(w *world, c *store.Clock) {
			w.err = errors.New("down")
			w.local = w.local.Add(3 * time.Minute)
			_ = c.Sample(context.Background())
		}, false},
		"half a second off": {func(w *world, c *store.Clock) {
			w.local = w.local.Add(3 * time.Minute)
			w.there = 996 * time.Millisecond
			w.back = 4 * time.Millisecond
			_ = c.Sample(context.Background())
		}, true},
		"more than that": {func(w *world, c *store.Clock) {
			w.local = w.local.Add(3 * time.Minute)
			w.there = 1002 * time.Millisecond
			_ = c.Sample(context.Background())
		}, false},
		"well again": {func(w *world, c *store.Clock) {
			w.local = w.local.Add(3 * time.Minute)
			_ = c.Sample(context.Background())
		}, true},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c, err := store.NewClock(t.Context(), w.source, w.now)
			require.NoError(t, err)
			k.change(w, c)
			if k.healthy {
				require.NoError(t, c.Healthy())
			} else {
				require.ErrorIs(t, c.Healthy(), store.ErrUnavailable)
			}
		})
	}
}

func TestClockChoosesSamples(t *testing.T) {
	cases := map[string]struct {
		change func(w *world)
		off    time.Duration // how far Now may be from the truth after the second sample
	}{
		"a slow sample is worse than a quick one of before": {func(w *world) { w.there = 800 * time.Millisecond }, time.Microsecond},
		"the database's clock was set forward":              {func(w *world) { w.skew += time.Minute; w.there = 100 * time.Millisecond }, 60 * time.Millisecond},
		"the database's clock was set back":                 {func(w *world) { w.skew -= time.Minute; w.there = 100 * time.Millisecond }, 60 * time.Millisecond},
		"an old sample gives way to a slow new one": {func(w *world) {
			w.local = w.local.Add(time.Minute)
			w.skew += 300 * time.Millisecond
			w.there = 400 * time.Millisecond
		}, 250 * time.Millisecond},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c, err := store.NewClock(t.Context(), w.source, w.now)
			require.NoError(t, err)
			w.local = w.local.Add(store.SampleEvery)
			k.change(w)
			require.NoError(t, c.Sample(t.Context()))
			require.WithinDuration(t, w.truth(), c.Now(), k.off)
		})
	}
}

func TestClockRunEndsWithItsContext(t *testing.T) {
	c, err := store.NewClock(t.Context(), func(context.Context) (time.Time, error) { return time.Now(), nil }, time.Now)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	cancel()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Run goes on after its context ended")
	}
}
