package vault_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

func TestDigest(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	a, b := loadedKeyring(t, s, m, "a"), loadedKeyring(t, s, m, "b")
	first, id := a.Digest([]byte("key one"))
	require.Len(t, first, 32)
	active, err := a.ActiveID(vault.Pepper)
	require.NoError(t, err)
	require.Equal(t, active, id)

	again, _ := a.Digest([]byte("key one"))
	require.Equal(t, first, again, "nothing of a call stays in the pooled state")
	other, _ := b.Digest([]byte("key one"))
	require.Equal(t, first, other, "every broker has the same pepper")
	different, _ := a.Digest([]byte("key two"))
	require.NotEqual(t, first, different)
	foreign, _ := loadedKeyring(t, &vaulttest.Store{}, m, "c").Digest([]byte("key one"))
	require.NotEqual(t, first, foreign, "another installation has another pepper")
}

func TestDigestsOfEveryPepper(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	a, b := loadedKeyring(t, s, m, "a"), loadedKeyring(t, s, m, "b")
	text := []byte("key one")
	oldest, _ := a.Digest(text)
	require.Equal(t, [][]byte{oldest}, a.Digests(text))

	s.Heartbeat("b", b.Loaded())
	_, err := a.Rotate(ctx, vault.Pepper)
	require.NoError(t, err)
	require.NoError(t, b.Poll(ctx))
	pending := b.Digests(text)
	require.Len(t, pending, 2, "a pending pepper counts already")
	require.Equal(t, oldest, pending[0], "after the active one")

	s.Heartbeat("b", b.Loaded())
	require.NoError(t, a.Poll(ctx)) // a sees the activation, b not yet
	newer, _ := a.Digest(text)
	require.Equal(t, pending[1], newer, "what a minted now b knows")
	require.Equal(t, [][]byte{newer, oldest}, a.Digests(text))

	s.Heartbeat("b", b.Loaded())
	newest := rotate(t, vault.Pepper, a)
	s.Heartbeat("b", append(b.Loaded(), newest))
	require.NoError(t, a.Poll(ctx))
	third, id := a.Digest(text)
	require.Equal(t, newest, id)
	require.Equal(t, [][]byte{third, newer, oldest}, a.Digests(text), "active first, then by age")
}

func TestDigestsDoNotShareRoom(t *testing.T) {
	k := loadedKeyring(t, &vaulttest.Store{}, newMaster(t, 1), "a")
	rotate(t, vault.Pepper, k)
	digests := k.Digests([]byte("key"))
	second := string(digests[1])
	_ = append(digests[0], 'x')
	require.Equal(t, second, string(digests[1]))
}

func TestDigestBeforeLoad(t *testing.T) {
	k := vault.NewKeyring(options(&vaulttest.Store{}, newMaster(t, 1), "a"))
	require.Panics(t, func() { k.Digest([]byte("key")) })
	require.Empty(t, k.Digests([]byte("key")), "nothing matches nothing")
}

func TestDigestConcurrently(t *testing.T) {
	k := loadedKeyring(t, &vaulttest.Store{}, newMaster(t, 1), "a")
	want := map[string]string{}
	texts := []string{"", "a", "b", "a longer key that fills more than one block of the hash function used here"}
	for _, text := range texts {
		d, _ := k.Digest([]byte(text))
		want[text] = string(d)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				text := texts[i%len(texts)]
				if got := k.Digests([]byte(text))[0]; string(got) != want[text] {
					t.Errorf("digest of %q differs under concurrency", text)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkDigests(b *testing.B) {
	text := []byte("od1t_0123456789abcdefghijABCDEFGHIJ0123456789abcXYZ123")
	for name, rotations := range map[string]int{"one pepper": 0, "three peppers": 2} {
		b.Run(name, func(b *testing.B) {
			k := loadedKeyring(b, &vaulttest.Store{}, newMaster(b, 1), "a")
			for range rotations {
				rotate(b, vault.Pepper, k)
			}
			b.ReportAllocs()
			for b.Loop() {
				k.Digests(text)
			}
		})
	}
}
