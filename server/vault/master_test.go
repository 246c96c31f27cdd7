package vault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

// The masters that must not be used.
type (
	sealOnly  struct{ tink.AEAD }
	ignoresAD struct{ tink.AEAD }
)

func (sealOnly) Decrypt([]byte, []byte) ([]byte, error) { return nil, errors.New("access denied") }
func (m ignoresAD) Encrypt(p, _ []byte) ([]byte, error) { return m.AEAD.Encrypt(p, nil) }
func (m ignoresAD) Decrypt(c, _ []byte) ([]byte, error) { return m.AEAD.Decrypt(c, nil) }

// remote is a master behind a network: it must be called with a context that ends.
type remote struct {
	tink.AEAD
	bounded bool
}

func (m *remote) Encrypt(_, _ []byte) ([]byte, error) { return nil, errors.New("no context") }
func (m *remote) Decrypt(_, _ []byte) ([]byte, error) { return nil, errors.New("no context") }

func (m *remote) deadline(ctx context.Context) { _, m.bounded = ctx.Deadline() }

func (m *remote) EncryptWithContext(ctx context.Context, p, data []byte) ([]byte, error) {
	m.deadline(ctx)
	return m.AEAD.Encrypt(p, data)
}

func (m *remote) DecryptWithContext(ctx context.Context, c, data []byte) ([]byte, error) {
	m.deadline(ctx)
	return m.AEAD.Decrypt(c, data)
}

func TestMaster(t *testing.T) {
	good := newMaster(t, 1)
	t.Run("that cannot unwrap is refused before it wraps anything stored", func(t *testing.T) {
		s := &vaulttest.Store{}
		require.ErrorContains(t, vault.NewKeyring(options(s, sealOnly{good}, "a")).Load(ctx), "access denied")
		rows, err := s.Keys(ctx)
		require.NoError(t, err)
		require.Empty(t, rows)
	})
	t.Run("that ignores associated data is refused", func(t *testing.T) {
		s := &vaulttest.Store{}
		require.ErrorContains(t, vault.NewKeyring(options(s, ignoresAD{good}, "a")).Load(ctx), "ignores associated data")
		rows, err := s.Keys(ctx)
		require.NoError(t, err)
		require.Empty(t, rows)
	})
	t.Run("behind a network is called with a deadline", func(t *testing.T) {
		m := &remote{AEAD: good}
		loadedKeyring(t, &vaulttest.Store{}, m, "a")
		require.True(t, m.bounded)
	})
}
