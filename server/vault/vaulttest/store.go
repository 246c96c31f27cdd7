// Package vaulttest has a vault.Store in memory for tests. It keeps the promises of the
// interface, counts its readings, and can be told to fail.
package vaulttest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
)

// Store is a vault.Store in memory. The zero value is empty and ready, and safe for
// concurrent use.
type Store struct {
	mu      sync.Mutex
	rows    []vault.WrappedKey
	brokers map[string][]string
	fail    error
	reads   int
}

var _ vault.Store = (*Store)(nil)

// Keys returns a deep copy of all rows.
func (s *Store) Keys(context.Context) ([]vault.WrappedKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.fail != nil {
		return nil, s.fail
	}
	return s.copyRows(), nil
}

// AddKey keeps at most one active and one pending key a purpose.
func (s *Store) AddKey(_ context.Context, k vault.WrappedKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	taken := slices.ContainsFunc(s.rows, func(r vault.WrappedKey) bool {
		return r.Purpose == k.Purpose && r.State == k.State && k.State != vault.KeyRetired
	})
	if taken {
		return fmt.Errorf("%s key %s: %w", k.Purpose, k.State, store.ErrConflict)
	}
	k.Wrapped = bytes.Clone(k.Wrapped)
	s.rows = append(s.rows, k)
	return nil
}

// Promote activates a pending key and retires the active one.
func (s *Store) Promote(_ context.Context, p vault.Purpose, id string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	next := slices.IndexFunc(s.rows, func(r vault.WrappedKey) bool {
		return r.Purpose == p && r.ID == id && r.State == vault.KeyPending
	})
	if next < 0 {
		return fmt.Errorf("%s key %s: %w", p, id, store.ErrConflict)
	}
	for i, r := range s.rows {
		if r.Purpose == p && r.State == vault.KeyActive {
			s.rows[i].State = vault.KeyRetired
		}
	}
	s.rows[next].State, s.rows[next].ActivatedAt = vault.KeyActive, at
	return nil
}

// ReplaceAssertion activates the pending assertion key and deletes the active one.
func (s *Store) ReplaceAssertion(_ context.Context, id string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	next := slices.IndexFunc(s.rows, assertion(id, vault.KeyPending))
	if next < 0 {
		return fmt.Errorf("assertion key %s: %w", id, store.ErrConflict)
	}
	s.rows[next].ActivatedAt = at
	s.rows = slices.DeleteFunc(s.rows, assertion("", vault.KeyActive))
	s.rows[slices.IndexFunc(s.rows, assertion(id, vault.KeyPending))].State = vault.KeyActive
	return nil
}

// DeleteAssertion deletes a retired assertion key.
func (s *Store) DeleteAssertion(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	before := len(s.rows)
	if s.rows = slices.DeleteFunc(s.rows, assertion(id, vault.KeyRetired)); len(s.rows) == before {
		return fmt.Errorf("assertion key %s: %w", id, store.ErrConflict)
	}
	return nil
}

// assertion finds an assertion key in a state; an empty id means any.
func assertion(id string, state vault.KeyState) func(vault.WrappedKey) bool {
	return func(r vault.WrappedKey) bool {
		return r.Purpose == vault.Assertion && r.State == state && (id == "" || r.ID == id)
	}
}

// LiveBrokersWithout counts the brokers whose last Heartbeat did not name the key.
func (s *Store) LiveBrokersWithout(_ context.Context, keyID string, _ time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	without := 0
	for _, keys := range s.brokers {
		if !slices.Contains(keys, keyID) {
			without++
		}
	}
	return without, nil
}

// Heartbeat says which keys a broker has loaded; it lives from then on.
func (s *Store) Heartbeat(broker string, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.brokers == nil {
		s.brokers = map[string][]string{}
	}
	s.brokers[broker] = slices.Clone(keys)
}

// Fail makes every call return err; nil ends it.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Reads says how often the keys were read.
func (s *Store) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// Edit gives all rows to change and puts in place what it returns: what somebody with
// access to the database can do.
func (s *Store) Edit(change func([]vault.WrappedKey) []vault.WrappedKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = change(s.copyRows())
}

func (s *Store) copyRows() []vault.WrappedKey {
	rows := slices.Clone(s.rows)
	for i := range rows {
		rows[i].Wrapped = bytes.Clone(rows[i].Wrapped)
	}
	return rows
}
