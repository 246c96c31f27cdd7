package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

func keys(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Keys
	key := func(p vault.Purpose, state vault.KeyState) vault.WrappedKey {
		k := vault.WrappedKey{Purpose: p, ID: id(), State: state, Wrapped: []byte("wrapped " + id()), CreatedAt: noon}
		if state != vault.KeyPending {
			k.ActivatedAt = noon
		}
		return k
	}
	errs := parallel(6, func(int) error { return s.AddKey(context.WithoutCancel(ctx), key(vault.KEK, vault.KeyActive)) })
	require.Equal(t, 5, failures(errs), "one is born active: %v", errs)
	for _, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, store.ErrConflict)
		}
	}
	pending := key(vault.KEK, vault.KeyPending)
	require.NoError(t, s.AddKey(ctx, pending))
	require.ErrorIs(t, s.AddKey(ctx, key(vault.KEK, vault.KeyPending)), store.ErrConflict)
	pepper := key(vault.Pepper, vault.KeyActive)
	require.NoError(t, s.AddKey(ctx, pepper), "each purpose has its own")
	require.Error(t, s.AddKey(ctx, vault.WrappedKey{Purpose: vault.Audit, ID: id(), State: vault.KeyActive}), "not wrapped")
	require.Error(t, s.AddKey(ctx, key(vault.Audit, "open")), "no such state")

	require.ErrorIs(t, s.Promote(ctx, vault.KEK, id(), later), store.ErrConflict)
	require.ErrorIs(t, s.Promote(ctx, vault.Pepper, pending.ID, later), store.ErrConflict)
	states := func() map[vault.Purpose]map[vault.KeyState]int {
		all, err := s.Keys(ctx)
		require.NoError(t, err)
		count := map[vault.Purpose]map[vault.KeyState]int{}
		for _, k := range all {
			if count[k.Purpose] == nil {
				count[k.Purpose] = map[vault.KeyState]int{}
			}
			count[k.Purpose][k.State]++
		}
		return count
	}
	require.Equal(t, map[vault.Purpose]map[vault.KeyState]int{
		vault.KEK: {vault.KeyActive: 1, vault.KeyPending: 1}, vault.Pepper: {vault.KeyActive: 1},
	}, states(), "a promotion that failed retired nothing")

	errs = parallel(4, func(int) error { return s.Promote(context.WithoutCancel(ctx), vault.KEK, pending.ID, later) })
	require.Equal(t, 3, failures(errs), "promoted once: %v", errs)
	require.Equal(t, map[vault.KeyState]int{vault.KeyActive: 1, vault.KeyRetired: 1}, states()[vault.KEK])
	all, err := s.Keys(ctx)
	require.NoError(t, err)
	pending.State, pending.ActivatedAt = vault.KeyActive, later
	require.Contains(t, all, pending)
	require.Contains(t, all, pepper)
}

// assertionKeys: only they can be deleted, and only when they sign nothing any more.
func assertionKeys(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Keys
	add := func(p vault.Purpose, state vault.KeyState) string {
		k := vault.WrappedKey{Purpose: p, ID: id(), State: state, Wrapped: []byte("wrapped"), CreatedAt: noon}
		if state != vault.KeyPending {
			k.ActivatedAt = noon
		}
		require.NoError(t, s.AddKey(ctx, k))
		return k.ID
	}
	states := func() map[string]vault.KeyState {
		all, err := s.Keys(ctx)
		require.NoError(t, err)
		found := map[string]vault.KeyState{}
		for _, k := range all {
			found[k.ID] = k.State
		}
		return found
	}
	kek, oldKEK := add(vault.KEK, vault.KeyActive), add(vault.KEK, vault.KeyRetired)
	nextKEK := add(vault.KEK, vault.KeyPending)
	active, retired := add(vault.Assertion, vault.KeyActive), add(vault.Assertion, vault.KeyRetired)
	pending := add(vault.Assertion, vault.KeyPending)
	before := states()

	for _, refused := range []string{kek, oldKEK, nextKEK, active, pending, id()} {
		require.ErrorIs(t, s.DeleteAssertion(ctx, refused), store.ErrConflict)
	}
	for _, refused := range []string{kek, oldKEK, nextKEK, active, retired, id()} {
		require.ErrorIs(t, s.ReplaceAssertion(ctx, refused, later), store.ErrConflict)
	}
	require.Equal(t, before, states(), "what was refused changed nothing")

	errs := parallel(4, func(int) error { return s.ReplaceAssertion(context.WithoutCancel(ctx), pending, later) })
	require.Equal(t, 3, failures(errs), "replaced once: %v", errs)
	errs = parallel(4, func(int) error { return s.DeleteAssertion(context.WithoutCancel(ctx), retired) })
	require.Equal(t, 3, failures(errs), "deleted once: %v", errs)
	require.Equal(t, map[string]vault.KeyState{
		kek: vault.KeyActive, oldKEK: vault.KeyRetired, nextKEK: vault.KeyPending, pending: vault.KeyActive,
	}, states())
	all, err := s.Keys(ctx)
	require.NoError(t, err)
	for _, k := range all {
		if k.ID == pending {
			require.Equal(t, later, k.ActivatedAt)
		}
	}
}

func brokers(t *testing.T, b Backend) {
	ctx := t.Context()
	one, two := id(), id()
	without := func(key string, now time.Time) int {
		n, err := b.Keys.LiveBrokersWithout(ctx, key, now)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, without("k", noon))
	require.NoError(t, b.Brokers.Heartbeat(ctx, "one", one, later, nil))
	require.NoError(t, b.Brokers.Heartbeat(ctx, "two", two, later, []string{"k"}))
	require.Equal(t, 1, without("k", noon))
	require.Equal(t, 2, without("l", noon))
	require.Equal(t, 2, without("", noon), "no key is loaded by its mere absence")
	require.Zero(t, without("k", later), "a lease that ends now has ended")
	require.NoError(t, b.Brokers.Heartbeat(ctx, "one", one, later.Add(time.Minute), []string{"j", "k"}))
	require.Zero(t, without("k", noon))
	require.Equal(t, 1, without("l", later), "the lease was renewed")
	require.ErrorIs(t, b.Brokers.Heartbeat(ctx, "two", one, later, nil), store.ErrConflict, "an incarnation is one broker's")

	require.NoError(t, b.Brokers.Leave(ctx, one))
	require.Equal(t, 1, without("l", noon))
	require.ErrorIs(t, b.Brokers.Heartbeat(ctx, "one", one, later, nil), store.ErrConflict, "who left does not come back")
	require.ErrorIs(t, b.Brokers.Leave(ctx, id()), store.ErrNotFound)
}

func feed(t *testing.T, b Backend) {
	ctx := t.Context()
	m, n := aTask(t, b, here), aTask(t, b, there)
	require.NoError(t, end(ctx, b, here, m.Task.ID, task.Ended, noon))
	require.NoError(t, end(ctx, b, there, n.Task.ID, task.Revoked, noon.Add(time.Microsecond)))
	r := aCredential(here, "")
	r.CreatedAt = later
	require.NoError(t, b.Credentials.Put(ctx, r))
	r.Version, r.CreatedAt = 2, later.Add(-time.Minute) // by a clock that is behind
	require.NoError(t, b.Credentials.Put(ctx, r))

	want := []store.Change{
		{Workspace: here, Kind: store.TaskChanged, ID: m.Task.ID, At: noon},
		{Workspace: there, Kind: store.TaskChanged, ID: n.Task.ID, At: noon.Add(time.Microsecond)},
		{Workspace: here, Kind: store.CredentialChanged, ID: r.ID, At: later},
	}
	since := func(at time.Time) []store.Change {
		changes, err := b.Feed.Changes(ctx, at)
		require.NoError(t, err)
		return changes
	}
	require.Equal(t, want, since(time.Time{}))
	require.Equal(t, want, since(noon), "at or after")
	require.Equal(t, want[1:], since(noon.Add(time.Microsecond)))
	require.Empty(t, since(later.Add(time.Microsecond)), "a change never moves back in time")

	require.NoError(t, b.Feed.Prune(ctx, noon.Add(10*time.Minute)))
	require.Equal(t, want, since(time.Time{}), "ten minutes are kept")
	require.NoError(t, b.Feed.Prune(ctx, noon.Add(10*time.Minute+time.Microsecond)))
	require.Equal(t, want[1:], since(time.Time{}))
}
