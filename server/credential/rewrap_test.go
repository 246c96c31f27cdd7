package credential_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/vault"
)

// rotate brings a new KEK into use and gives its id.
func (b *bench) rotate(t *testing.T) string {
	t.Helper()
	row, err := b.keys.Rotate(t.Context(), vault.KEK)
	require.NoError(t, err)
	require.NoError(t, b.keys.Poll(t.Context()))
	active, err := b.keys.ActiveID(vault.KEK)
	require.NoError(t, err)
	require.Equal(t, row.ID, active)
	return active
}

func (b *bench) active(t *testing.T, user string) credential.Record {
	t.Helper()
	r, err := b.store.Credentials().Active(t.Context(), workspace, "crm", "main", user)
	require.NoError(t, err)
	return r
}

func TestRewrapUnderANewKEK(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	b.put(t, c, "main", b.alice, secret)
	b.put(t, c, "main", b.bob, another)
	before := b.active(t, b.alice)
	n, err := b.Rewrap(t.Context(), before.Sealed.KEKID)
	require.NoError(t, err)
	require.Zero(t, n, "all stand under the active KEK")

	kek := b.rotate(t)
	require.Equal(t, "Bearer "+secret, b.send(t, b.keeper(), c, b.alice).Header.Get("Authorization"), "the retired KEK still opens")
	n, err = b.Rewrap(t.Context(), kek)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	after := b.active(t, b.alice)
	require.Equal(t, kek, after.Sealed.KEKID)
	require.NotEqual(t, before.Sealed.WrappedDEK, after.Sealed.WrappedDEK)
	require.Equal(t, before.Sealed.Ciphertext, after.Sealed.Ciphertext, "the payload stays")
	require.Equal(t, before.Version, after.Version)
	for _, k := range []*credential.Keeper{b.Keeper, b.keeper()} {
		require.Equal(t, "Bearer "+secret, b.send(t, k, c, b.alice).Header.Get("Authorization"))
		require.Equal(t, "Bearer "+another, b.send(t, k, c, b.bob).Header.Get("Authorization"))
	}
	n, err = b.Rewrap(t.Context(), kek)
	require.NoError(t, err)
	require.Zero(t, n)
}

// meddled lets something happen to the records between their reading and the rewrap.
type meddled struct {
	credential.Store
	between func(records []credential.Record)
}

func (m *meddled) SealedWithout(ctx context.Context, kek string, limit int) ([]credential.Record, error) {
	records, err := m.Store.SealedWithout(ctx, kek, limit)
	m.between(records)
	return records, err
}

// A record that does not open is told, and holds up no other.
func TestRewrapPassesOverADamagedRecord(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	b.put(t, c, "main", b.alice, secret)
	b.put(t, c, "main", b.bob, another)
	kek := b.rotate(t)
	damaged := ""
	b.edited.Store = &meddled{b.store.Credentials(), func(records []credential.Record) {
		if len(records) == 2 {
			damaged = records[0].ID
			records[0].Sealed.WrappedDEK[0] ^= 1
		}
	}}
	n, err := b.Rewrap(t.Context(), kek)
	require.ErrorIs(t, err, vault.ErrSealed)
	require.ErrorContains(t, err, damaged)
	requireSilent(t, err)
	require.Equal(t, 1, n)
}

// Whoever puts a new secret meanwhile is not undone.
func TestRewrapYieldsToAPut(t *testing.T) {
	b := newBench(t)
	c := b.connector(t)
	b.put(t, c, "main", b.alice, secret)
	kek := b.rotate(t)
	b.edited.Store = &meddled{b.store.Credentials(), func([]credential.Record) { b.put(t, c, "main", b.alice, another) }}
	n, err := b.Rewrap(t.Context(), kek)
	require.NoError(t, err)
	require.Zero(t, n)
	require.EqualValues(t, 2, b.active(t, b.alice).Version)
	require.Equal(t, "Bearer "+another, b.send(t, b.keeper(), c, b.alice).Header.Get("Authorization"))
}
