package vault_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

const canary = "canary-7f3a-do-not-print"

var (
	start   = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	binding = vault.Binding{
		Workspace: "default", CredentialID: "cred-1", Kind: "bearer", Version: 3,
		Destination: `{"origins":["https://api.example.com"]}`,
	}
)

// master is a master key that counts how often it is asked.
type master struct {
	tink.AEAD
	unwraps atomic.Int64
}

func (m *master) Decrypt(ciphertext, data []byte) ([]byte, error) {
	m.unwraps.Add(1)
	return m.AEAD.Decrypt(ciphertext, data)
}

func newMaster(t testing.TB, fill byte) *master {
	t.Helper()
	gcm, err := subtle.NewAESGCM(bytes.Repeat([]byte{fill}, 32))
	require.NoError(t, err)
	return &master{AEAD: gcm}
}

// ids makes ids that can be read in a failure and never repeat over brokers.
func ids(prefix string) func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("%s-%d", prefix, n.Add(1)) }
}

// options makes a broker's options; each call of Now is one second later.
func options(s vault.Store, m tink.AEAD, broker string) vault.Options {
	var ticks atomic.Int64
	return vault.Options{
		Store:  s,
		Master: m,
		Rand:   rand.Reader,
		Now:    func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * time.Second) },
		NewID:  ids(broker),
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func loadedKeyring(t testing.TB, s vault.Store, m tink.AEAD, broker string) *vault.Keyring {
	t.Helper()
	k := vault.NewKeyring(options(s, m, broker))
	require.NoError(t, k.Load(context.Background()))
	return k
}

func newVault(t testing.TB) (*vault.Vault, *vault.Keyring) {
	t.Helper()
	k := loadedKeyring(t, &vaulttest.Store{}, newMaster(t, 1), "a")
	return vault.New(k), k
}

// rotate brings a new key of the purpose into use on every given keyring and returns
// its id.
func rotate(t testing.TB, p vault.Purpose, rings ...*vault.Keyring) string {
	t.Helper()
	row, err := rings[0].Rotate(context.Background(), p)
	require.NoError(t, err)
	for _, k := range rings {
		require.NoError(t, k.Poll(context.Background()))
	}
	return row.ID
}
