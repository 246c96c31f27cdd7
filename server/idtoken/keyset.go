package idtoken

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is how long keys are used without asking for them again.
	keysFresh = 10 * time.Minute
	// keysTrusted is how long they are used while the issuer cannot be asked: it bounds
	// how long a key lives here that the issuer has withdrawn.
	keysTrusted = time.Hour
	// askEvery is how often an issuer is asked at most, whatever key ids tokens name.
	askEvery = 10 * time.Second
)

// keySet remembers an issuer's keys.
type keySet struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time
	// turn is held by the one who asks the issuer; the others wait for what comes of it.
	turn chan struct{}

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time
	asked   time.Time
	failed  error // what came of it when asked last
}

func newKeySet(fetch func(context.Context) ([]jose.JSONWebKey, error), now func() time.Time) *keySet {
	return &keySet{fetch: fetch, now: now, turn: make(chan struct{}, 1)}
}

// find gives the keys that a token with this key id may be signed with; none where the
// issuer has no such key. An error says that the issuer could not be asked.
func (k *keySet) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	if found := k.known(kid, keysFresh); len(found) > 0 {
		return found, nil
	}
	failed := k.refresh(ctx)
	if found := k.known(kid, keysTrusted); len(found) > 0 {
		return found, nil
	}
	return nil, failed
}

func (k *keySet) known(kid string, age time.Duration) []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now().Sub(k.fetched) >= age {
		return nil
	}
	// Without a key id there must be no choice (OpenID Connect Core 1.0, section 10.1).
	if kid == "" && len(k.keys) == 1 {
		return k.keys
	}
	var found []jose.JSONWebKey
	for _, one := range k.keys {
		if kid != "" && one.KeyID == kid {
			found = append(found, one)
		}
	}
	return found
}

// refresh asks the issuer, unless that was done just now; then it repeats what came of
// that.
func (k *keySet) refresh(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for the issuer's keys: %w", ctx.Err())
	}
	began := k.now()
	k.mu.Lock()
	recent, failed := began.Sub(k.asked) < askEvery, k.failed
	k.mu.Unlock()
	if recent {
		return failed
	}
	// A caller that goes away must not make the issuer look unavailable to the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.failed = began, err
	if err == nil {
		k.keys, k.fetched = keys, began
	}
	return err
}
