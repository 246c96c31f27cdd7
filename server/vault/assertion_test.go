package vault_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

var schedule = vault.Schedule{Lead: time.Hour, Active: 720 * time.Hour, Retire: 24 * time.Hour}

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// issuing makes loaded keyrings that share a store and a clock, and sign assertions.
func issuing(t *testing.T, brokers ...string) (*vaulttest.Store, *clock, []*vault.Keyring) {
	t.Helper()
	s, m, c := &vaulttest.Store{}, newMaster(t, 1), &clock{now: start}
	var rings []*vault.Keyring
	for _, name := range brokers {
		o := options(s, m, name)
		o.Now, o.Assertions, o.Log = c.Now, schedule, slog.New(slog.DiscardHandler)
		k := vault.NewKeyring(o)
		require.NoError(t, k.Load(t.Context()))
		rings = append(rings, k)
	}
	for i, k := range rings {
		require.NoError(t, k.Poll(t.Context()))
		s.Heartbeat(brokers[i], k.Loaded())
	}
	return s, c, rings
}

func signer(t *testing.T, k *vault.Keyring) string {
	t.Helper()
	id, _, err := k.AssertionKey()
	require.NoError(t, err)
	return id
}

// published gives the assertion keys as published: id to state.
func published(k *vault.Keyring) map[string]vault.KeyState {
	out := map[string]vault.KeyState{}
	for _, one := range k.AssertionPublicKeys() {
		out[one.ID] = one.State
	}
	return out
}

func pendingOf(t *testing.T, k *vault.Keyring) string {
	t.Helper()
	for id, state := range published(k) {
		if state == vault.KeyPending {
			return id
		}
	}
	require.Fail(t, "no key stands by")
	return ""
}

func TestAssertionKeyIsES256UnderItsThumbprint(t *testing.T) {
	_, _, rings := issuing(t, "a")
	id, sign, err := rings[0].AssertionKey()
	require.NoError(t, err)
	sig, err := sign([]byte("input"))
	require.NoError(t, err)
	require.Len(t, sig, 64)
	for _, one := range rings[0].AssertionPublicKeys() {
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, one.X, one.Y))
		require.NoError(t, err)
		jwk := jose.JSONWebKey{Key: public}
		sum, err := jwk.Thumbprint(crypto.SHA256)
		require.NoError(t, err)
		require.Equal(t, base64.RawURLEncoding.EncodeToString(sum), one.ID)
		digest := sha256.Sum256([]byte("input"))
		ok := ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		require.Equal(t, one.ID == id, ok)
	}
}

// TestAssertionKeysLive: a whole life by the schedule, each step neither too early nor
// without the other broker.
func TestAssertionKeysLive(t *testing.T) {
	s, c, rings := issuing(t, "a", "b")
	a, b := rings[0], rings[1]
	poll := func() {
		for _, k := range rings {
			require.NoError(t, k.Poll(t.Context()))
		}
	}
	first := signer(t, a)
	require.Equal(t, first, signer(t, b), "born active, once for all")
	second := pendingOf(t, a)
	require.Equal(t, second, pendingOf(t, b), "one stands by at once")

	c.add(schedule.Active - time.Second)
	poll()
	require.Equal(t, first, signer(t, a), "not before its time")
	s.Heartbeat("b", []string{first}) // b has not loaded it
	c.add(time.Second)
	poll()
	require.Equal(t, first, signer(t, a), "not while a live broker lacks it")
	s.Heartbeat("b", b.Loaded())
	poll()
	require.Equal(t, second, signer(t, a))
	require.Equal(t, second, signer(t, b))
	third := pendingOf(t, a)
	require.Equal(t, map[string]vault.KeyState{first: vault.KeyRetired, second: vault.KeyActive, third: vault.KeyPending}, published(b))

	c.add(schedule.Retire - time.Second)
	poll()
	require.Contains(t, published(b), first, "published while verifiers may meet it")
	c.add(time.Second)
	poll()
	require.Equal(t, map[string]vault.KeyState{second: vault.KeyActive, third: vault.KeyPending}, published(b))
	require.Equal(t, second, signer(t, a))
}

// TestAStandbyWaitsForItsLead even where its predecessor is long due.
func TestAStandbyWaitsForItsLead(t *testing.T) {
	s, c, rings := issuing(t, "a")
	k := rings[0]
	first := signer(t, k)
	s.Edit(func(rows []vault.WrappedKey) []vault.WrappedKey { // nobody ran for a year
		for i := range rows {
			if rows[i].State == vault.KeyActive {
				rows[i].ActivatedAt = start.AddDate(-1, 0, 0)
			}
		}
		return rows
	})
	c.add(schedule.Lead - time.Second)
	require.NoError(t, k.Poll(t.Context()))
	require.Equal(t, first, signer(t, k))
	c.add(time.Second)
	require.NoError(t, k.Poll(t.Context()))
	require.NotEqual(t, first, signer(t, k))
}

func TestRotateAssertion(t *testing.T) {
	s, c, rings := issuing(t, "a", "b")
	a := rings[0]
	first, second := signer(t, a), pendingOf(t, a)

	_, err := a.Rotate(t.Context(), vault.Assertion)
	require.True(t, fault.Is(err, fault.Conflict), "not published long enough: %v", err)
	c.add(schedule.Lead)
	s.Heartbeat("b", []string{first})
	_, err = a.Rotate(t.Context(), vault.Assertion)
	require.True(t, fault.Is(err, fault.Conflict), "not loaded by b: %v", err)
	require.Equal(t, first, signer(t, a))

	s.Heartbeat("b", rings[1].Loaded())
	row, err := a.Rotate(t.Context(), vault.Assertion)
	require.NoError(t, err)
	require.Equal(t, second, row.ID)
	require.Equal(t, vault.KeyActive, row.State)
	require.Empty(t, row.Wrapped)
	require.Equal(t, second, signer(t, a))
	require.Equal(t, vault.KeyRetired, published(a)[first])
	require.NoError(t, a.Poll(t.Context()))
	require.NotEqual(t, second, pendingOf(t, a), "the next one stands by")
}

// TestReplaceAssertion: in an emergency nothing is waited for, and the old key is gone.
func TestReplaceAssertion(t *testing.T) {
	s, _, rings := issuing(t, "a", "b")
	a, b := rings[0], rings[1]
	first, second := signer(t, a), pendingOf(t, a)
	row, err := a.ReplaceAssertion(t.Context())
	require.NoError(t, err)
	require.Equal(t, second, row.ID)
	require.NoError(t, b.Poll(t.Context()))
	for _, k := range rings {
		require.Equal(t, second, signer(t, k))
		require.NotContains(t, published(k), first)
		require.NotEmpty(t, pendingOf(t, k), "one stands by again at once")
	}
	rows, err := s.Keys(t.Context())
	require.NoError(t, err)
	for _, r := range rows {
		require.NotEqual(t, first, r.ID, "no copy of it is left")
	}
}

// TestWithoutAScheduleNothingIsMade: and what other brokers made is loaded all the same,
// else they would wait for this one.
func TestWithoutAScheduleNothingIsMade(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	k := loadedKeyring(t, s, m, "a")
	require.NoError(t, k.Poll(t.Context()))
	require.Empty(t, k.AssertionPublicKeys())
	_, _, err := k.AssertionKey()
	require.ErrorIs(t, err, vault.ErrKeyUnknown)
	_, err = k.Rotate(t.Context(), vault.Assertion)
	require.True(t, fault.Is(err, fault.ArgumentInvalid))
	_, err = k.ReplaceAssertion(t.Context())
	require.True(t, fault.Is(err, fault.ArgumentInvalid))

	o := options(s, m, "b")
	o.Assertions = schedule
	other := vault.NewKeyring(o)
	require.NoError(t, other.Load(t.Context()))
	require.NoError(t, k.Poll(t.Context()))
	require.Contains(t, k.Loaded(), signer(t, other))
}

// TestAKeyUnderAnothersIDIsRefused: what is published under a kid is what signs under it.
func TestAKeyUnderAnothersIDIsRefused(t *testing.T) {
	s, _, rings := issuing(t, "a")
	s.Edit(func(rows []vault.WrappedKey) []vault.WrappedKey {
		var one, two int
		for i, r := range rows {
			switch {
			case r.Purpose == vault.Assertion && r.State == vault.KeyActive:
				one = i
			case r.Purpose == vault.Assertion:
				two = i
			}
		}
		rows[one].Wrapped, rows[two].Wrapped = rows[two].Wrapped, rows[one].Wrapped
		return rows
	})
	require.Error(t, rings[0].Poll(context.Background()))
}

// TestRotationsUnderLoad: three brokers sign all the time, over many lives of keys that
// each last fractions of a second. Whatever is signed verifies, at that very moment, by
// the keys that any other broker publishes.
func TestRotationsUnderLoad(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	brokers := []string{"a", "b", "c"}
	var rings []*vault.Keyring
	for _, name := range brokers {
		o := options(s, m, name)
		o.Now = time.Now
		o.Assertions = vault.Schedule{Lead: 50 * time.Millisecond, Active: 100 * time.Millisecond, Retire: 100 * time.Millisecond}
		k := vault.NewKeyring(o)
		require.NoError(t, k.Load(t.Context()))
		s.Heartbeat(name, k.Loaded())
		rings = append(rings, k)
	}
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	var all sync.WaitGroup
	for i, k := range rings {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := k.Poll(t.Context()); err != nil {
					t.Error(err)
					return
				}
				s.Heartbeat(brokers[i], k.Loaded())
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	var mu sync.Mutex
	used, deleted := map[string]bool{}, 0
	for i, k := range rings {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id, _, err := k.AssertionKey()
				if err != nil {
					t.Error(err)
					return
				}
				if _, there := published(rings[(i+n)%len(rings)])[id]; !there {
					t.Errorf("%s signs with %s, which another broker does not publish", brokers[i], id)
					return
				}
				mu.Lock()
				used[id] = true
				mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	all.Wait()
	for id := range used {
		if _, there := published(rings[0])[id]; !there {
			deleted++
		}
	}
	require.GreaterOrEqual(t, len(used), 3, "two rotations at least")
	require.Positive(t, deleted, "old keys are gone")
}
