package vault_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

func states(k *vault.Keyring, p vault.Purpose) map[string]vault.KeyState {
	out := map[string]vault.KeyState{}
	for _, row := range k.List() {
		if row.Purpose == p {
			out[row.ID] = row.State
		}
	}
	return out
}

func TestLoadMakesOneActiveKeyAPurpose(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	k := loadedKeyring(t, s, m, "a")
	rows := k.List()
	require.Len(t, rows, 3)
	for _, row := range rows {
		require.Equal(t, vault.KeyActive, row.State)
		require.Equal(t, row.CreatedAt, row.ActivatedAt)
		require.False(t, row.CreatedAt.IsZero())
		require.Empty(t, row.Wrapped, "a listing has no material")
	}
	require.Equal(t, []string{"a-1", "a-2", "a-3"}, k.Loaded())

	again := loadedKeyring(t, s, m, "b")
	require.Equal(t, k.Loaded(), again.Loaded(), "the second broker makes none")
}

func TestLoadAsksTheMasterOnceAKey(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	loadedKeyring(t, s, m, "a")
	m.unwraps.Store(0)
	k := loadedKeyring(t, s, m, "b")
	require.EqualValues(t, 3, m.unwraps.Load())
	require.NoError(t, k.Poll(ctx))
	require.NoError(t, k.Load(ctx))
	require.EqualValues(t, 3, m.unwraps.Load(), "what is loaded is not unwrapped again")
}

// raced makes another broker be first with every active key.
type raced struct {
	*vaulttest.Store
	other *vault.Keyring
}

func (r *raced) AddKey(ctx context.Context, k vault.WrappedKey) error {
	if err := r.other.Load(ctx); err != nil {
		return err
	}
	return r.Store.AddKey(ctx, k)
}

func TestLoadTakesTheKeysOfWhoWasFirst(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	winner := vault.NewKeyring(options(s, m, "winner"))
	k := loadedKeyring(t, &raced{Store: s, other: winner}, m, "loser")
	require.Equal(t, []string{"winner-1", "winner-2", "winner-3"}, k.Loaded())
}

func TestManyBrokersStartAtOnce(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	rings := make([]*vault.Keyring, 8)
	var all sync.WaitGroup
	for i := range rings {
		rings[i] = vault.NewKeyring(options(s, m, string(rune('a'+i))))
		all.Go(func() { require.NoError(t, rings[i].Load(ctx)) })
	}
	all.Wait()
	sealed := seal(t, vault.New(rings[0]), binding, canary)
	for _, k := range rings {
		require.Equal(t, rings[0].Loaded(), k.Loaded())
		requireOpens(t, vault.New(k), binding, sealed, canary)
	}
}

func TestLoadRefuses(t *testing.T) {
	first := func(p vault.Purpose, change func(*vault.WrappedKey)) func([]vault.WrappedKey) []vault.WrappedKey {
		return func(rows []vault.WrappedKey) []vault.WrappedKey {
			for i := range rows {
				if rows[i].Purpose == p {
					change(&rows[i])
				}
			}
			return rows
		}
	}
	for name, tt := range map[string]struct {
		edit func([]vault.WrappedKey) []vault.WrappedKey
		want []string
	}{
		"a flipped bit": {
			first(vault.Pepper, func(k *vault.WrappedKey) { k.Wrapped[len(k.Wrapped)-20] ^= 1 }),
			[]string{"unwrap pepper key a-2"},
		},
		"no material": {
			first(vault.KEK, func(k *vault.WrappedKey) { k.Wrapped = nil }),
			[]string{"unwrap kek key a-1"},
		},
		"another id": {
			first(vault.Audit, func(k *vault.WrappedKey) { k.ID = "a-9" }),
			[]string{"unwrap audit key a-9"},
		},
		"the material of another purpose": {
			func(rows []vault.WrappedKey) []vault.WrappedKey {
				rows[0].Wrapped, rows[1].Wrapped = rows[1].Wrapped, rows[0].Wrapped
				return rows
			},
			[]string{"unwrap", "key a-"},
		},
		"a row posing as another purpose": {
			func(rows []vault.WrappedKey) []vault.WrappedKey {
				for i := range rows {
					if rows[i].Purpose == vault.Pepper {
						rows[i].Purpose, rows[i].State = vault.KEK, vault.KeyRetired
					}
				}
				return rows
			},
			[]string{"unwrap kek key a-2"},
		},
		"an unknown state": {
			first(vault.KEK, func(k *vault.WrappedKey) { k.State = "asleep" }),
			[]string{"kek key a-1", "asleep"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := &vaulttest.Store{}, newMaster(t, 1)
			loadedKeyring(t, s, m, "a")
			s.Edit(tt.edit)
			k := vault.NewKeyring(options(s, m, "b"))
			err := k.Load(ctx)
			require.Error(t, err)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			require.Empty(t, k.Loaded(), "nothing is half loaded")
		})
	}
	for name, tt := range map[string]struct {
		edit func(rows []vault.WrappedKey) []vault.WrappedKey
		want string
	}{
		"two active keys": {
			func(rows []vault.WrappedKey) []vault.WrappedKey {
				for i := range rows {
					rows[i].State = vault.KeyActive
				}
				return rows
			},
			"two active kek keys, a-4 and a-1",
		},
		"the same row twice": {
			func(rows []vault.WrappedKey) []vault.WrappedKey { return append(rows, rows[0]) },
			`kek key "a-1" has no id of its own`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := &vaulttest.Store{}, newMaster(t, 1)
			rotate(t, vault.KEK, loadedKeyring(t, s, m, "a")) // a-4 is active, a-1 retired
			s.Edit(tt.edit)
			require.ErrorContains(t, vault.NewKeyring(options(s, m, "b")).Load(ctx), tt.want)
		})
	}
	t.Run("another master key", func(t *testing.T) {
		s := &vaulttest.Store{}
		loadedKeyring(t, s, newMaster(t, 1), "a")
		err := vault.NewKeyring(options(s, newMaster(t, 2), "b")).Load(ctx)
		require.ErrorContains(t, err, "unwrap audit key a-3 with the master key")
	})
	t.Run("a store that is down", func(t *testing.T) {
		s := &vaulttest.Store{}
		s.Fail(store.ErrUnavailable)
		err := vault.NewKeyring(options(s, newMaster(t, 1), "a")).Load(ctx)
		require.ErrorIs(t, err, store.ErrUnavailable)
	})
}

func TestRotateAndPoll(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	a, b := loadedKeyring(t, s, m, "a"), loadedKeyring(t, s, m, "b")
	s.Heartbeat("a", a.Loaded())
	s.Heartbeat("b", b.Loaded())
	old, err := a.ActiveID(vault.KEK)
	require.NoError(t, err)

	row, err := a.Rotate(ctx, vault.KEK)
	require.NoError(t, err)
	require.Equal(t, vault.KeyPending, row.State)
	require.True(t, row.ActivatedAt.IsZero())
	require.Empty(t, row.Wrapped)
	want := func(k *vault.Keyring, oldState, newState vault.KeyState) {
		t.Helper()
		require.Equal(t, map[string]vault.KeyState{old: oldState, row.ID: newState}, states(k, vault.KEK))
	}

	require.NoError(t, a.Poll(ctx)) // a has it, but has not said so
	want(a, vault.KeyActive, vault.KeyPending)
	s.Heartbeat("a", a.Loaded())
	require.NoError(t, a.Poll(ctx)) // b has not
	want(a, vault.KeyActive, vault.KeyPending)
	require.NoError(t, b.Poll(ctx))
	s.Heartbeat("b", b.Loaded())
	require.NoError(t, b.Poll(ctx)) // everybody has
	want(b, vault.KeyRetired, vault.KeyActive)
	want(a, vault.KeyActive, vault.KeyPending)
	require.NoError(t, a.Poll(ctx))
	want(a, vault.KeyRetired, vault.KeyActive)
	for _, listed := range a.List() {
		require.False(t, listed.ActivatedAt.IsZero())
	}
}

// overtaken makes another broker activate a key just before this one does.
type overtaken struct{ *vaulttest.Store }

func (o overtaken) Promote(ctx context.Context, p vault.Purpose, id string, at time.Time) error {
	if err := o.Store.Promote(ctx, p, id, at); err != nil {
		return err
	}
	return o.Store.Promote(ctx, p, id, at)
}

func TestPollWhenAnotherBrokerActivatesFirst(t *testing.T) {
	k := loadedKeyring(t, overtaken{&vaulttest.Store{}}, newMaster(t, 1), "a")
	id := rotate(t, vault.KEK, k)
	active, err := k.ActiveID(vault.KEK)
	require.NoError(t, err)
	require.Equal(t, id, active)
}

func TestRotateRefuses(t *testing.T) {
	k := loadedKeyring(t, &vaulttest.Store{}, newMaster(t, 1), "a")
	_, err := k.Rotate(ctx, "assertion")
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	_, err = k.Rotate(ctx, vault.Audit)
	require.NoError(t, err)
	_, err = k.Rotate(ctx, vault.Audit)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.ErrorIs(t, err, store.ErrConflict)
	_, err = k.Rotate(ctx, vault.Pepper)
	require.NoError(t, err, "another purpose does not wait for it")
}

func TestPollKeepsWhatIsLoaded(t *testing.T) {
	broken := func(rows []vault.WrappedKey) []vault.WrappedKey { rows[0].Wrapped[9] ^= 1; return rows }
	for name, edit := range map[string]func([]vault.WrappedKey) []vault.WrappedKey{
		"when all rows are gone":     func([]vault.WrappedKey) []vault.WrappedKey { return nil },
		"when a row does not unwrap": broken,
		"when no key is active any more": func(rows []vault.WrappedKey) []vault.WrappedKey {
			for i := range rows {
				rows[i].State = vault.KeyRetired
			}
			return rows
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &vaulttest.Store{}
			k := loadedKeyring(t, s, newMaster(t, 1), "a")
			v := vault.New(k)
			sealed := seal(t, v, binding, canary)
			s.Edit(edit)
			require.Error(t, k.Poll(ctx))
			requireOpens(t, v, binding, sealed, canary)
			seal(t, v, binding, canary)
		})
	}
	t.Run("when the store is down", func(t *testing.T) {
		s := &vaulttest.Store{}
		k := loadedKeyring(t, s, newMaster(t, 1), "a")
		s.Fail(store.ErrUnavailable)
		require.ErrorIs(t, k.Poll(ctx), store.ErrUnavailable)
		require.Len(t, k.Loaded(), 3)
	})
}

func TestPollLeavesUnknownPurposesAlone(t *testing.T) {
	s := &vaulttest.Store{}
	k := loadedKeyring(t, s, newMaster(t, 1), "a")
	s.Edit(func(rows []vault.WrappedKey) []vault.WrappedKey {
		return append(rows, vault.WrappedKey{Purpose: "of a newer version", ID: "x-1", State: vault.KeyPending, CreatedAt: start})
	})
	require.NoError(t, k.Poll(ctx))
	require.NotContains(t, k.Loaded(), "x-1", "it is not reported, so nobody activates it")
	rows, err := s.Keys(ctx)
	require.NoError(t, err)
	require.Equal(t, vault.KeyPending, rows[3].State)
}

func TestRotationUnderLoad(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	a, b := loadedKeyring(t, s, m, "a"), loadedKeyring(t, s, m, "b")
	va, vb := vault.New(a), vault.New(b)
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sealed, err := va.Seal(ctx, binding, vault.NewSecret([]byte(canary)))
				if err == nil {
					_, err = vb.Open(ctx, binding, sealed)
				}
				if err != nil {
					t.Errorf("a call failed during rotation: %v", err)
					return
				}
				digest, _ := a.Digest([]byte(canary))
				if !bytes.Equal(digest, a.Digests([]byte(canary))[0]) && len(a.Digests(nil)) == 1 {
					t.Error("digest under no pepper of the ring")
					return
				}
				b.List()
			}
		})
	}
	for range 5 {
		for _, p := range []vault.Purpose{vault.KEK, vault.Pepper, vault.Audit} {
			rotate(t, p, a, b)
		}
	}
	time.Sleep(10 * time.Millisecond)
	close(stop)
	callers.Wait()
	require.Len(t, a.Loaded(), 18)
}

func TestKeysAreLoggedByIDAlone(t *testing.T) {
	var log bytes.Buffer
	s := &vaulttest.Store{}
	opts := options(s, newMaster(t, 1), "a")
	opts.Log = slog.New(slog.NewJSONHandler(&log, nil))
	k := vault.NewKeyring(opts)
	require.NoError(t, k.Load(ctx))
	rotate(t, vault.KEK, k)
	require.Contains(t, log.String(), `"msg":"key made","purpose":"kek","key_id":"a-1","state":"active"`)
	require.Contains(t, log.String(), `"msg":"key activated","purpose":"kek","key_id":"a-4"`)
}
