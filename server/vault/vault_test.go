package vault_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

var ctx = context.Background()

func seal(t testing.TB, v *vault.Vault, b vault.Binding, text string) vault.Sealed {
	t.Helper()
	s, err := v.Seal(ctx, b, vault.NewSecret([]byte(text)))
	require.NoError(t, err)
	return s
}

func requireOpens(t testing.TB, v *vault.Vault, b vault.Binding, s vault.Sealed, want string) {
	t.Helper()
	got, err := v.Open(ctx, b, s)
	require.NoError(t, err)
	require.Equal(t, want, string(got.Reveal()))
}

// requireRefused demands the error of a sealed secret that does not open, without a
// trace of what was in it.
func requireRefused(t testing.TB, v *vault.Vault, b vault.Binding, s vault.Sealed) {
	t.Helper()
	got, err := v.Open(ctx, b, s)
	require.ErrorIs(t, err, vault.ErrSealed)
	require.Nil(t, got.Reveal())
	require.NotContains(t, err.Error(), canary)
	require.NotContains(t, err.Error(), "size")
	require.NotContains(t, err.Error(), "origins")
}

func TestSealThenOpen(t *testing.T) {
	v, k := newVault(t)
	id, err := k.ActiveID(vault.KEK)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"one byte": "x", "text": canary, "with zeros": "\x00\x00", "large": string(bytes.Repeat([]byte("s"), 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			s := seal(t, v, binding, text)
			require.Equal(t, id, s.KEKID)
			require.NotContains(t, string(s.Ciphertext), canary)
			requireOpens(t, v, binding, s, text)
		})
	}
	t.Run("never twice the same", func(t *testing.T) {
		a, b := seal(t, v, binding, canary), seal(t, v, binding, canary)
		require.NotEqual(t, a.Ciphertext, b.Ciphertext)
		require.NotEqual(t, a.WrappedDEK, b.WrappedDEK)
	})
}

// changedBindings has every field changed by itself, and fields that run together.
func changedBindings() map[string]func(*vault.Binding) {
	return map[string]func(*vault.Binding){
		"workspace":            func(b *vault.Binding) { b.Workspace = "other" },
		"workspace case":       func(b *vault.Binding) { b.Workspace = "Default" },
		"credential":           func(b *vault.Binding) { b.CredentialID = "cred-2" },
		"kind":                 func(b *vault.Binding) { b.Kind = "basic" },
		"older version":        func(b *vault.Binding) { b.Version = 2 },
		"newer version":        func(b *vault.Binding) { b.Version = 4 },
		"destination":          func(b *vault.Binding) { b.Destination = `{"origins":["https://evil.example"]}` },
		"destination removed":  func(b *vault.Binding) { b.Destination = "" },
		"workspace removed":    func(b *vault.Binding) { b.Workspace = "" },
		"credential removed":   func(b *vault.Binding) { b.CredentialID = "" },
		"fields run together":  func(b *vault.Binding) { b.Workspace, b.CredentialID = "defaultc", "red-1" },
		"kind into credential": func(b *vault.Binding) { b.CredentialID, b.Kind = "cred-1b", "earer" },
		"version into kind":    func(b *vault.Binding) { b.Kind, b.Version = "bearer3", 0 },
	}
}

func TestOpenDemandsTheWholeBinding(t *testing.T) {
	v, _ := newVault(t)
	s := seal(t, v, binding, canary)
	for name, change := range changedBindings() {
		t.Run(name, func(t *testing.T) {
			b := binding
			change(&b)
			requireRefused(t, v, b, s)
		})
	}
	requireOpens(t, v, binding, s, canary)
}

func TestOpenRefusesExchangedParts(t *testing.T) {
	v, k := newVault(t)
	first := seal(t, v, binding, canary)
	secondBinding, olderBinding := binding, binding
	secondBinding.CredentialID = "cred-2"
	olderBinding.Version = 2
	second, older := seal(t, v, secondBinding, "second"), seal(t, v, olderBinding, "older")
	oldKEK := first.KEKID
	newKEK := rotate(t, vault.KEK, k)
	require.NotEqual(t, oldKEK, newKEK)

	for name, tt := range map[string]struct {
		b vault.Binding
		s vault.Sealed
	}{
		"the row of another credential":   {binding, second},
		"the row of an older version":     {binding, older},
		"the data key of another row":     {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: second.WrappedDEK, Ciphertext: first.Ciphertext}},
		"the data key of an old version":  {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: older.WrappedDEK, Ciphertext: first.Ciphertext}},
		"the payload of another row":      {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: first.WrappedDEK, Ciphertext: second.Ciphertext}},
		"the name of another KEK":         {binding, vault.Sealed{KEKID: newKEK, WrappedDEK: first.WrappedDEK, Ciphertext: first.Ciphertext}},
		"payload and data key exchanged":  {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: first.Ciphertext, Ciphertext: first.WrappedDEK}},
		"no data key":                     {binding, vault.Sealed{KEKID: oldKEK, Ciphertext: first.Ciphertext}},
		"no payload":                      {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: first.WrappedDEK}},
		"a byte more":                     {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: first.WrappedDEK, Ciphertext: append(bytes.Clone(first.Ciphertext), 0)}},
		"a byte less":                     {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: first.WrappedDEK, Ciphertext: first.Ciphertext[:len(first.Ciphertext)-1]}},
		"a byte less of the data key":     {binding, vault.Sealed{KEKID: oldKEK, WrappedDEK: first.WrappedDEK[1:], Ciphertext: first.Ciphertext}},
		"the right row, wrong credential": {secondBinding, first},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, v, tt.b, tt.s) })
	}
	requireOpens(t, v, binding, first, canary)
}

func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	v, _ := newVault(t)
	s := seal(t, v, binding, canary)
	parts := map[string][]byte{"data key": s.WrappedDEK, "payload": s.Ciphertext}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			for i := range len(part) * 8 {
				part[i/8] ^= 1 << (i % 8)
				requireRefused(t, v, binding, s)
				part[i/8] ^= 1 << (i % 8)
			}
		})
	}
	requireOpens(t, v, binding, s, canary)
}

func TestOpenAfterRotation(t *testing.T) {
	s := &vaulttest.Store{}
	m := newMaster(t, 1)
	maker, reader := loadedKeyring(t, s, m, "a"), loadedKeyring(t, s, m, "b")
	rotate(t, vault.KEK, maker) // no heartbeats: nobody to wait for
	sealed := seal(t, vault.New(maker), binding, canary)
	require.NotContains(t, reader.Loaded(), sealed.KEKID)

	reads := s.Reads()
	requireOpens(t, vault.New(reader), binding, sealed, canary)
	require.Equal(t, reads+1, s.Reads(), "an unknown KEK is looked for once")
	requireOpens(t, vault.New(reader), binding, sealed, canary)
	require.Equal(t, reads+1, s.Reads(), "and then it is known")
}

func TestOpenWithoutTheKEK(t *testing.T) {
	s := &vaulttest.Store{}
	k := loadedKeyring(t, s, newMaster(t, 1), "a")
	v := vault.New(k)
	sealed := seal(t, v, binding, canary)
	audit, err := k.ActiveID(vault.Audit)
	require.NoError(t, err)
	for name, id := range map[string]string{"unknown": "no-such-key", "empty": "", "a key for something else": audit} {
		t.Run(name, func(t *testing.T) {
			other, reads := sealed, s.Reads()
			other.KEKID = id
			_, err := v.Open(ctx, binding, other)
			require.ErrorIs(t, err, vault.ErrKeyUnknown)
			require.Equal(t, reads+1, s.Reads())
			_, err = v.Rewrap(ctx, binding, vault.Sealed{KEKID: id})
			require.ErrorIs(t, err, vault.ErrKeyUnknown)
		})
	}
	t.Run("and without the store", func(t *testing.T) {
		s.Fail(store.ErrUnavailable)
		defer s.Fail(nil)
		other := sealed
		other.KEKID = "no-such-key"
		_, err := v.Open(ctx, binding, other)
		require.ErrorIs(t, err, store.ErrUnavailable)
		requireOpens(t, v, binding, sealed, canary) // what is loaded needs no store
	})
}

func TestRewrap(t *testing.T) {
	v, k := newVault(t)
	old := seal(t, v, binding, canary)

	same, err := v.Rewrap(ctx, binding, old)
	require.NoError(t, err)
	require.Equal(t, old, same, "nothing to do under the active KEK")

	id := rotate(t, vault.KEK, k)
	next, err := v.Rewrap(ctx, binding, old)
	require.NoError(t, err)
	require.Equal(t, id, next.KEKID)
	require.NotEqual(t, old.WrappedDEK, next.WrappedDEK)
	require.Equal(t, old.Ciphertext, next.Ciphertext)
	requireOpens(t, v, binding, next, canary)
	requireOpens(t, v, binding, old, canary)

	other := binding
	other.CredentialID = "cred-2"
	_, err = v.Rewrap(ctx, other, old)
	require.ErrorIs(t, err, vault.ErrSealed)
	old.WrappedDEK[7] ^= 1
	_, err = v.Rewrap(ctx, binding, old)
	require.ErrorIs(t, err, vault.ErrSealed)
}

func TestSealRefuses(t *testing.T) {
	v, _ := newVault(t)
	for name, change := range map[string]func(*vault.Binding){
		"no workspace":   func(b *vault.Binding) { b.Workspace = "" },
		"no credential":  func(b *vault.Binding) { b.CredentialID = "" },
		"no kind":        func(b *vault.Binding) { b.Kind = "" },
		"no version":     func(b *vault.Binding) { b.Version = 0 },
		"no destination": func(b *vault.Binding) { b.Destination = "" },
	} {
		t.Run(name, func(t *testing.T) {
			b := binding
			change(&b)
			_, err := v.Seal(ctx, b, vault.NewSecret([]byte(canary)))
			require.ErrorContains(t, err, "binding is incomplete")
		})
	}
	t.Run("the zero secret", func(t *testing.T) {
		_, err := v.Seal(ctx, binding, vault.Secret{})
		require.ErrorIs(t, err, vault.ErrEmpty)
	})
	t.Run("an empty secret", func(t *testing.T) {
		_, err := v.Seal(ctx, binding, vault.NewSecret(nil))
		require.ErrorIs(t, err, vault.ErrEmpty)
	})
	t.Run("without randomness", func(t *testing.T) {
		opts := options(&vaulttest.Store{}, newMaster(t, 1), "a")
		broken := errors.New("no entropy")
		opts.Rand = iotest.ErrReader(broken)
		k := vault.NewKeyring(opts)
		require.NoError(t, k.Load(ctx))
		_, err := vault.New(k).Seal(ctx, binding, vault.NewSecret([]byte(canary)))
		require.ErrorIs(t, err, broken)
	})
	t.Run("before the keyring was loaded", func(t *testing.T) {
		k := vault.NewKeyring(options(&vaulttest.Store{}, newMaster(t, 1), "a"))
		_, err := vault.New(k).Seal(ctx, binding, vault.NewSecret([]byte(canary)))
		require.ErrorIs(t, err, vault.ErrKeyUnknown)
	})
}

func FuzzOpen(f *testing.F) {
	v, k := newVault(f)
	id, err := k.ActiveID(vault.KEK)
	require.NoError(f, err)
	good := seal(f, v, binding, canary)
	f.Add(good.KEKID, good.WrappedDEK, good.Ciphertext)
	f.Add(id, []byte{}, []byte{})
	f.Add("", good.Ciphertext, good.WrappedDEK)
	f.Add(id, good.WrappedDEK[:20], good.Ciphertext[:20])
	f.Fuzz(func(t *testing.T, kekID string, wrapped, ciphertext []byte) {
		s := vault.Sealed{KEKID: kekID, WrappedDEK: wrapped, Ciphertext: ciphertext}
		got, err := v.Open(ctx, binding, s)
		if kekID == good.KEKID && bytes.Equal(wrapped, good.WrappedDEK) && bytes.Equal(ciphertext, good.Ciphertext) {
			require.NoError(t, err)
			return
		}
		require.Error(t, err)
		require.Nil(t, got.Reveal())
	})
}

func BenchmarkOpen1KiB(b *testing.B) {
	v, _ := newVault(b)
	s := seal(b, v, binding, string(bytes.Repeat([]byte("s"), 1024)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Open(ctx, binding, s); err != nil {
			b.Fatal(err)
		}
	}
}
