package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

// golden is what version 1 of the formats wrote once, under a master key that is in
// this file too. It must open for ever: whoever changes the encoding of associated
// data makes every stored secret unreadable.
type golden struct {
	Master    []byte
	Keys      []vault.WrappedKey
	Binding   vault.Binding
	Sealed    vault.Sealed
	Secret    string
	Text      string
	Digest    []byte
	PepperID  string
	Message   string
	Signature []byte
	AuditID   string
	PublicKey []byte
}

func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/v1.json")
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(text, &g))
	m, err := subtle.NewAESGCM(g.Master)
	require.NoError(t, err)
	s := &vaulttest.Store{}
	s.Edit(func([]vault.WrappedKey) []vault.WrappedKey { return g.Keys })
	k := loadedKeyring(t, s, m, "unused")

	t.Run("secret opens", func(t *testing.T) {
		requireOpens(t, vault.New(k), g.Binding, g.Sealed, g.Secret)
	})
	t.Run("digest is the same", func(t *testing.T) {
		digest, id := k.Digest([]byte(g.Text))
		require.Equal(t, g.Digest, digest)
		require.Equal(t, g.PepperID, id)
	})
	t.Run("signature verifies, and is made the same", func(t *testing.T) {
		require.NoError(t, k.VerifyAudit(g.AuditID, []byte(g.Message), g.Signature))
		require.True(t, ed25519.Verify(g.PublicKey, []byte(g.Message), g.Signature))
		sig, id, err := k.SignAudit([]byte(g.Message))
		require.NoError(t, err)
		require.Equal(t, g.AuditID, id)
		require.Equal(t, g.Signature, sig)
	})
	t.Run("Tink itself reads the pepper and digests the same", func(t *testing.T) {
		for _, row := range g.Keys {
			if row.Purpose != vault.Pepper {
				continue
			}
			data := "\x00\x00\x00\x00\x00\x00\x00\x0eonedoor-key|v1" +
				"\x00\x00\x00\x00\x00\x00\x00\x06pepper" +
				"\x00\x00\x00\x00\x00\x00\x00\x08golden-2"
			reader := keyset.NewBinaryReader(bytes.NewReader(row.Wrapped))
			handle, err := keyset.ReadWithAssociatedData(reader, m, []byte(data))
			require.NoError(t, err)
			set, err := prf.NewPRFSet(handle)
			require.NoError(t, err)
			digest, err := set.ComputePrimaryPRF([]byte(g.Text), 32)
			require.NoError(t, err)
			require.Equal(t, g.Digest, digest)
		}
	})
}
