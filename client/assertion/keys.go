package assertion

import (
	"context"
	"crypto/ecdsa"
	"sync"
	"time"
)

// keySet holds the issuer's public keys.
//
//	younger than KeysFresh            used as they are
//	an unknown kid, or older          asked for again first, at most once in RefreshInterval
//	the broker is away                used until KeysStale after they were fetched
//	an answer came                    exactly its keys, no other
//
// One fetch runs at a time and serves all who wait for it.
type keySet struct {
	fetch                  func(context.Context) (map[string]*ecdsa.PublicKey, error)
	now                    func() time.Time
	fresh, stale, interval time.Duration
	timeout                time.Duration

	mu      sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	fetched time.Time     // when the keys were asked for; zero before the first answer
	tried   time.Time     // when the last fetch began
	failure error         // of the last fetch; nil if it gave keys
	running chan struct{} // closed when the fetch that runs has ended; nil if none runs
}

func newKeySet(o *Options) *keySet {
	source := jwksSource{url: o.JWKSURL, client: *o.HTTPClient}
	source.client.CheckRedirect = noRedirect
	return &keySet{
		fetch: source.fetch, now: o.Now, timeout: defaultFetchTimeout,
		fresh: o.KeysFresh, stale: o.KeysStale, interval: o.RefreshInterval,
	}
}

// find gives the key that kid names.
func (s *keySet) find(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	s.mu.Lock()
	key := s.usable(kid)
	if key != nil && s.younger(s.fresh) {
		s.mu.Unlock()
		return key, nil
	}
	running := s.refresh(ctx)
	away := s.away()
	s.mu.Unlock()

	// While the broker is known to be away nobody waits for it again and again.
	if key != nil && (running == nil || away) {
		return key, nil
	}
	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			return nil, refuseFor(KeysUnavailable, "the issuer's keys did not come in time", ctx.Err())
		}
	}
	return s.settled(kid)
}

// settled gives the key by what is known now.
func (s *keySet) settled(kid string) (*ecdsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.usable(kid); key != nil {
		return key, nil
	}
	if s.away() || !s.younger(s.stale) {
		return nil, refuseFor(KeysUnavailable, "the issuer's keys could not be fetched", s.failure)
	}
	return nil, refuse(KeyUnknown, "the issuer publishes no key of this kid")
}

// away reports whether the last fetch failed. The lock is held.
func (s *keySet) away() bool { return s.failure != nil }

// usable gives a key that may still be believed, else nil. The lock is held.
func (s *keySet) usable(kid string) *ecdsa.PublicKey {
	if !s.younger(s.stale) {
		return nil
	}
	return s.keys[kid]
}

// younger reports whether the keys are younger than age. A clock that was set back
// makes them old, never eternal. The lock is held.
func (s *keySet) younger(age time.Duration) bool {
	since := s.now().Sub(s.fetched)
	return !s.fetched.IsZero() && since >= 0 && since < age
}

// refresh starts a fetch unless one runs or the last began too short a time ago. It
// gives what is closed at its end, nil where there is none to wait for. The fetch
// outlives the request that caused it: others wait for it too. The lock is held.
func (s *keySet) refresh(ctx context.Context) <-chan struct{} {
	if s.running != nil {
		return s.running
	}
	now := s.now()
	if since := now.Sub(s.tried); !s.tried.IsZero() && since >= 0 && since < s.interval {
		return nil
	}
	s.tried = now
	done := make(chan struct{})
	s.running = done
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		keys, err := s.fetch(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failure = err
		if err == nil {
			// Counted from before the question: what the broker changed since is not in it.
			s.keys, s.fetched = keys, now
		}
		s.running = nil
		close(done)
	}()
	return done
}
