package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How well a Clock must know the time. Brokers judge leases, expiry and revocation
// by it, and all of them have to mean the same moment.
const (
	// SampleEvery is how often the database's clock is read.
	SampleEvery = 30 * time.Second
	// MaxUncertainty is how far off the time may be before the broker is unready.
	MaxUncertainty = 500 * time.Millisecond
	// MaxSampleAge is how long the clock may run on without the database.
	MaxSampleAge = 2 * time.Minute

	sampleTimeout = 5 * time.Second
	retryAfter    = time.Second
)

// Clock tells the database's time: a sample of it, carried on by the local monotonic
// clock. So brokers whose own clocks differ, or are set, still agree.
type Clock struct {
	source func(ctx context.Context) (time.Time, error)
	local  func() time.Time

	mu   sync.Mutex
	best sample
}

// sample says that the database's clock showed theirs when the local one showed
// ours, give or take off.
type sample struct {
	theirs, ours time.Time
	off          time.Duration
}

// NewClock reads the database's clock for the first time; without that there is no
// clock. local is time.Now, or what a test gives for it.
func NewClock(ctx context.Context, source func(ctx context.Context) (time.Time, error), local func() time.Time) (*Clock, error) {
	c := &Clock{source: source, local: local}
	if err := c.Sample(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Now is the database's time, in UTC and whole microseconds, which is what it stores.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best.at(c.local()).UTC().Truncate(time.Microsecond)
}

// Healthy reports why the time is not known well enough, or nil.
func (c *Clock) Healthy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.best.age(c.local())
	switch {
	case age > MaxSampleAge:
		return fmt.Errorf("clock: the database's clock was last read %v ago: %w", age.Round(time.Second), ErrUnavailable)
	case c.best.off > MaxUncertainty:
		return fmt.Errorf("clock: the database's clock is known only to ±%v: %w", c.best.off.Round(time.Millisecond), ErrUnavailable)
	}
	return nil
}

// Run reads the database's clock every 30 seconds, and every second while that fails
// or is too uncertain, until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	wait := SampleEvery
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = SampleEvery
		if c.Sample(ctx) != nil || c.Healthy() != nil {
			wait = retryAfter
		}
	}
}

// Sample reads the database's clock once. A failure leaves the clock running on the
// sample before.
func (c *Clock) Sample(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	sent := c.local()
	theirs, err := c.source(ctx)
	if err != nil {
		return fmt.Errorf("clock: read the database's clock: %w", err)
	}
	got := c.local()
	if theirs.IsZero() || got.Before(sent) {
		return errors.New("clock: the database or this machine gave no usable time")
	}
	// The answer was given somewhere between the two: at worst half the way off.
	half := got.Sub(sent) / 2
	next := sample{theirs: theirs.Add(half), ours: got, off: half}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.best.theirs.IsZero() || next.beats(c.best) {
		c.best = next
	}
	return nil
}

func (s sample) at(local time.Time) time.Time      { return s.theirs.Add(local.Sub(s.ours)) }
func (s sample) age(local time.Time) time.Duration { return local.Sub(s.ours) }

// beats reports whether s should replace old. A sample that was held up on its way
// says less than an older one; but an older one drifts, and when the two contradict
// each other the database's clock was set.
func (s sample) beats(old sample) bool {
	age := old.age(s.ours)
	oldOff := old.off + age/1000 // far more than a clock drifts
	if s.off <= oldOff || age >= MaxSampleAge/2 {
		return true
	}
	return s.theirs.Sub(old.at(s.ours)).Abs() > s.off+oldOff
}
