package vault_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

func TestSignAudit(t *testing.T) {
	s, m := &vaulttest.Store{}, newMaster(t, 1)
	k := loadedKeyring(t, s, m, "a")
	msg := []byte("head of chain 1")
	sig, id, err := k.SignAudit(msg)
	require.NoError(t, err)
	require.Len(t, sig, ed25519.SignatureSize)
	require.NoError(t, k.VerifyAudit(id, msg, sig))

	t.Run("is plain Ed25519", func(t *testing.T) {
		keys := k.AuditPublicKeys()
		require.Len(t, keys, 1)
		require.Equal(t, id, keys[0].ID)
		require.Equal(t, vault.KeyActive, keys[0].State)
		require.True(t, ed25519.Verify(keys[0].Key, msg, sig))
	})
	t.Run("verifies on another broker", func(t *testing.T) {
		require.NoError(t, loadedKeyring(t, s, m, "b").VerifyAudit(id, msg, sig))
	})
	t.Run("verifies after rotation", func(t *testing.T) {
		newID := rotate(t, vault.Audit, k)
		require.NoError(t, k.VerifyAudit(id, msg, sig))
		_, signer, err := k.SignAudit(msg)
		require.NoError(t, err)
		require.Equal(t, newID, signer)
		require.ErrorIs(t, k.VerifyAudit(newID, msg, sig), vault.ErrSignature, "not under the new key")
		keys := k.AuditPublicKeys()
		require.Len(t, keys, 2)
		require.Equal(t, newID, keys[0].ID, "newest first")
		require.Equal(t, vault.KeyRetired, keys[1].State)
	})
	t.Run("gives public keys that nobody can change", func(t *testing.T) {
		clear(k.AuditPublicKeys()[0].Key)
		require.NotEqual(t, make([]byte, 32), []byte(k.AuditPublicKeys()[0].Key))
	})
}

func TestVerifyAuditRefuses(t *testing.T) {
	k := loadedKeyring(t, &vaulttest.Store{}, newMaster(t, 1), "a")
	msg := []byte("head of chain 1")
	sig, id, err := k.SignAudit(msg)
	require.NoError(t, err)
	kek, err := k.ActiveID(vault.KEK)
	require.NoError(t, err)
	flipped := append([]byte{sig[0] ^ 1}, sig[1:]...)
	for name, tt := range map[string]struct {
		id       string
		msg, sig []byte
		want     error
	}{
		"another message":      {id, []byte("head of chain 2"), sig, vault.ErrSignature},
		"no message":           {id, nil, sig, vault.ErrSignature},
		"a flipped bit":        {id, msg, flipped, vault.ErrSignature},
		"no signature":         {id, msg, nil, vault.ErrSignature},
		"a longer signature":   {id, msg, append(sig[:64:64], 0), vault.ErrSignature},
		"an unknown key":       {"no-such-key", msg, sig, vault.ErrKeyUnknown},
		"a key that signs not": {kek, msg, sig, vault.ErrKeyUnknown},
		"the id of nothing":    {"", msg, sig, vault.ErrKeyUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, k.VerifyAudit(tt.id, tt.msg, tt.sig), tt.want)
		})
	}
	t.Run("before loading", func(t *testing.T) {
		empty := vault.NewKeyring(options(&vaulttest.Store{}, newMaster(t, 1), "a"))
		_, _, err := empty.SignAudit(msg)
		require.ErrorIs(t, err, vault.ErrKeyUnknown)
		require.ErrorIs(t, empty.VerifyAudit(id, msg, sig), vault.ErrKeyUnknown)
		require.Empty(t, empty.AuditPublicKeys())
	})
}
