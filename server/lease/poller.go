package lease

import (
	"context"
	"log/slog"
	"time"

	"github.com/onedoor/onedoor/server/store"
)

const (
	// Every is how often a poller asks unless told otherwise.
	Every = 250 * time.Millisecond
	// overlap is how far each poll reaches back behind the last: a change bears the
	// time at which it was written, and shows only once its transaction commits.
	overlap = 15 * time.Second
	// pollTimeout ends a poll that hangs, so that a later one can succeed.
	pollTimeout = 2 * time.Second
)

// Poller reads the change feed again and again and hands over what is new. Feed, Now,
// StoreNow and On are required.
type Poller struct {
	// Feed is what is polled.
	Feed store.ChangeFeed
	// Every is the time from the start of one poll to the next; zero means 250 ms.
	Every time.Duration
	// Now is the clock of the caches that On renews: local and monotonic.
	Now func() time.Time
	// StoreNow is the store's clock, by which changes are dated. The local one will
	// not do: where it runs ahead, "since" by it would pass changes over.
	StoreNow func() time.Time
	// On is called after every successful poll, one call at a time, with the changes
	// not handed over before (often none) and when the poll started by Now. It
	// forgets what changed, then renews.
	On func(changes []store.Change, started time.Time)
	// Log hears of polls that fail; nil means slog.Default.
	Log *slog.Logger
}

// Run polls until ctx ends. A failed poll is logged and renews nothing: leases then
// run out by themselves, and the next poll that succeeds covers the whole gap.
func (p *Poller) Run(ctx context.Context) {
	log := p.Log
	if log == nil {
		log = slog.Default()
	}
	every := p.Every
	if every <= 0 {
		every = Every
	}
	r := &round{Poller: p, covered: p.StoreNow(), seen: map[store.Change]bool{}}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for failing := false; ; {
		err := r.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			log.ErrorContext(ctx, "change feed cannot be read; caches run out", "error", err)
		case err == nil && failing:
			log.InfoContext(ctx, "change feed is read again")
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// round is where one Run stands.
type round struct {
	*Poller
	covered time.Time // by StoreNow: the start of the last poll that succeeded
	seen    map[store.Change]bool
}

func (r *round) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	started, storeStarted := r.Now(), r.StoreNow()
	since := r.covered.Add(-overlap)
	changes, err := r.Feed.Changes(ctx, since)
	if err != nil {
		return err
	}
	r.covered = storeStarted
	r.On(r.fresh(changes, since), started)
	return nil
}

// fresh leaves out what was handed over before, and stops remembering what no later
// poll can return.
func (r *round) fresh(changes []store.Change, since time.Time) []store.Change {
	for c := range r.seen {
		if c.At.Before(since) {
			delete(r.seen, c)
		}
	}
	var fresh []store.Change
	for _, c := range changes {
		// One moment has several representations; as a key it must have one.
		id := c
		id.At = c.At.Round(0).UTC()
		if r.seen[id] {
			continue
		}
		r.seen[id] = true
		fresh = append(fresh, c)
	}
	return fresh
}
