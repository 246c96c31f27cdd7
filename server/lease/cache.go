// Package lease remembers what was read from the store, and for how long that may
// still be believed.
//
// An entry is trusted until one window after the later of two moments: the one
// before its own read was sent, and the start of the last poll of the change feed
// that found nothing wrong with it.
//
//	Get ──miss──▶ load (one a key) ──▶ entry, trusted from before the read
//	Poller ──▶ On(changes, started) ──▶ Forget(what changed) ──▶ Renew(started)
//
// So a change is heeded within one window even when the poller stands still: the
// leases run out and every Get reads the store again. And no poll carries an entry on for
// longer than a minute after its own read: a change that bears a time from before its
// transaction can show later than any poll reaches back.
package lease

import (
	"context"
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"
)

// Longest is how long an entry is served without being read again, whatever the polls say: the
// change that would have ended it may have shown later than they reach back.
const Longest = time.Minute

// maxShards bounds how far the locks are split. It stays a power of two.
const maxShards = 32

// errPanicked is what those waiting for a load are told when it panicked.
var errPanicked = errors.New("lease: the load panicked")

// Cache is a bounded map from K to V whose entries are trusted for a limited time.
// It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	window time.Duration
	now    func() time.Time
	seed   maphash.Seed
	shards []shard[K, V]
	terms  atomic.Pointer[terms]
}

// terms is what the last Renew says about every entry.
type terms struct {
	// renewed is the start of the newest poll.
	renewed time.Time
	// floor lies behind every entry that was still trusted at each poll since it
	// was read. What is not after it ran out once, and a poll that knows nothing of
	// the gap must not bring it back.
	floor time.Time
}

// New makes an empty cache of at most size entries (at least one), each trusted for
// window. now is a local clock with a monotonic reading: it measures, it tells no date.
func New[K comparable, V any](window time.Duration, now func() time.Time, size int) *Cache[K, V] {
	size = max(size, 1)
	n := 1
	for n < maxShards && n*2 <= size {
		n *= 2
	}
	c := &Cache[K, V]{window: window, now: now, seed: maphash.MakeSeed(), shards: make([]shard[K, V], n)}
	for i := range c.shards {
		c.shards[i].init(size / n)
	}
	c.terms.Store(&terms{})
	return c
}

// Get returns the entry of key while it is trusted, and otherwise what load returns.
// Concurrent calls for a key share one load, which runs under the context of the
// caller that began it. Nobody is given a result that is older than their own call
// unless it could have been served from the cache. Errors of load are passed on
// unchanged and not remembered; a caller whose ctx ends while waiting gets its cause.
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	s := c.shardOf(key)
	if v, ok := c.lookup(s, key); ok {
		return v, nil
	}
	for waited := false; ; waited = true {
		e, f, mine := c.board(s, key)
		switch {
		case e != nil:
			return e.value, nil
		case mine:
			return c.fly(ctx, s, key, f, load)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
		// The first flight joined may have begun before this call did, so only
		// what it left in the cache counts. Every later one began after.
		if waited && !f.abandoned {
			return f.value, f.err
		}
	}
}

// Forget drops every entry for which match is true, and keeps loads that are in
// flight from leaving such an entry behind. Once it has returned, no Get that begins
// afterwards sees them. match runs under a lock: it must not use the cache.
func (c *Cache[K, V]) Forget(match func(K, V) bool) {
	for i := range c.shards {
		c.shards[i].forget(match)
	}
}

// Renew says that a poll of the change feed which started at readStarted (by the
// cache's own clock) has seen nothing more to forget: call it after Forget. It
// extends what is trusted at that time, never what has already run out.
func (c *Cache[K, V]) Renew(readStarted time.Time) {
	for {
		old := c.terms.Load()
		if !readStarted.After(old.renewed) {
			return
		}
		next := &terms{renewed: readStarted, floor: old.floor}
		if !readStarted.Before(old.renewed.Add(c.window)) {
			next.floor = readStarted.Add(-c.window)
		}
		if c.terms.CompareAndSwap(old, next) {
			return
		}
	}
}

func (c *Cache[K, V]) shardOf(key K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)&uint64(len(c.shards)-1)] //nolint:gosec // 32 at most
}

// lookup takes the terms before the entry: an entry fetched before a Forget must not
// be judged by the Renew that followed it.
func (c *Cache[K, V]) lookup(s *shard[K, V], key K) (V, bool) {
	t := c.terms.Load()
	s.mu.RLock()
	e := s.entries[key]
	s.mu.RUnlock()
	if e == nil || !c.trusted(e.started, t) {
		var none V
		return none, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.value, true
}

func (c *Cache[K, V]) trusted(started time.Time, t *terms) bool {
	if !started.After(t.floor) {
		return false
	}
	until := started.Add(c.window)
	if renewed := t.renewed.Add(c.window); renewed.After(until) {
		until = renewed
	}
	// What is good for longer by itself never changes, and stays as it is.
	if most := started.Add(max(c.window, Longest)); until.After(most) {
		until = most
	}
	return c.now().Before(until)
}
