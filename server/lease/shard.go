package lease

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// evictionSample is how many entries are looked at to find one to give up.
const evictionSample = 8

// shard is one lock's share of a cache.
type shard[K comparable, V any] struct {
	mu      sync.RWMutex
	limit   int
	entries map[K]*entry[V]
	flights map[K]*flight[K, V]
}

// entry is a value that was read; all but the mark of use is fixed once it is stored.
type entry[V any] struct {
	value   V
	started time.Time // before the read was sent
	used    atomic.Bool
}

// flight is a load under way. value, err and abandoned are written before done is
// closed and read only after it; forgets is guarded by the shard's lock.
type flight[K comparable, V any] struct {
	started   time.Time
	done      chan struct{}
	value     V
	err       error
	abandoned bool // the caller that ran it gave up: its error is nobody else's
	forgets   []func(K, V) bool
}

func (s *shard[K, V]) init(limit int) {
	s.limit = limit
	s.entries = make(map[K]*entry[V])
	s.flights = make(map[K]*flight[K, V])
}

// board finds a trusted entry, or the flight under way, or opens one, which is then
// the caller's to fly. Its start is taken here, before anything is read.
func (c *Cache[K, V]) board(s *shard[K, V], key K) (e *entry[V], f *flight[K, V], mine bool) {
	t := c.terms.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil && c.trusted(e.started, t) {
		return e, nil, false
	}
	if f := s.flights[key]; f != nil {
		return nil, f, false
	}
	f = &flight[K, V]{started: c.now(), done: make(chan struct{}), err: errPanicked}
	s.flights[key] = f
	return nil, f, true
}

// fly runs load and lands the flight even when load panics. Its own caller is given
// the result in any case: it was read after the call began.
func (c *Cache[K, V]) fly(ctx context.Context, s *shard[K, V], key K, f *flight[K, V], load func(context.Context) (V, error)) (V, error) {
	defer s.land(key, f)
	f.value, f.err = load(ctx)
	f.abandoned = f.err != nil && ctx.Err() != nil
	return f.value, f.err
}

// land ends a flight, and keeps what it brought unless it failed or something about
// it was forgotten on the way. The flight is gone from the map before anybody who
// waits for it wakes, so that whoever asks again gets a newer one.
func (s *shard[K, V]) land(key K, f *flight[K, V]) {
	defer close(f.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, key)
	if f.err != nil {
		return
	}
	for _, match := range f.forgets {
		if match(key, f.value) {
			return
		}
	}
	if _, there := s.entries[key]; !there && len(s.entries) >= s.limit {
		s.evict()
	}
	s.entries[key] = &entry[V]{value: f.value, started: f.started}
}

func (s *shard[K, V]) forget(match func(K, V) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.entries {
		if match(key, e.value) {
			delete(s.entries, key)
		}
	}
	// What a flight will bring is not known yet: it is asked when it lands.
	for _, f := range s.flights {
		f.forgets = append(f.forgets, match)
	}
}

// evict gives up one entry: of a few in the map's random order, the first that was
// not used since the last time it was looked at, or else the last one.
func (s *shard[K, V]) evict() {
	var victim K
	looked := 0
	for key, e := range s.entries {
		victim = key
		looked++
		if !e.used.Swap(false) || looked == evictionSample {
			break
		}
	}
	delete(s.entries, victim)
}
