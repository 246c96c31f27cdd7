//go:build kms_aws || kms_all

// Package kms_test runs the keyring over a master key in AWS KMS, which moto's server
// stands in for.
package kms_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/masters"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
)

var binding = vault.Binding{
	Workspace: "default", CredentialID: "cred-1", Kind: "bearer", Version: 1, Destination: `{"origins":[]}`,
}

func openMaster(t *testing.T, arn string) tink.AEAD {
	t.Helper()
	m, err := masters.Open(context.Background(), "aws-kms://"+arn, masters.Options{Random: rand.Reader})
	require.NoError(t, err)
	return m
}

func newKeyring(s vault.Store, m tink.AEAD, broker string) *vault.Keyring {
	var n atomic.Int64
	return vault.NewKeyring(vault.Options{
		Store:  s,
		Master: m,
		Rand:   rand.Reader,
		Now:    time.Now,
		NewID:  func() string { return fmt.Sprintf("%s-%d", broker, n.Add(1)) },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func TestAWS(t *testing.T) {
	stop := startMoto(t)
	client := newKMS(t)
	arn := createKey(t, client)
	ctx := context.Background()
	m := openMaster(t, arn)

	t.Run("wraps and unwraps", func(t *testing.T) {
		wrapped, err := m.Encrypt([]byte("text"), []byte("data"))
		require.NoError(t, err)
		require.NotContains(t, string(wrapped), "text")
		text, err := m.Decrypt(wrapped, []byte("data"))
		require.NoError(t, err)
		require.Equal(t, "text", string(text))
		_, err = m.Decrypt(wrapped, []byte("other data"))
		require.Error(t, err, "associated data is bound")
		_, err = openMaster(t, createKey(t, client)).Decrypt(wrapped, []byte("data"))
		require.Error(t, err, "another key does not unwrap it")
	})

	t.Run("takes a context", func(t *testing.T) {
		remote, ok := m.(tink.AEADWithContext)
		require.True(t, ok)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err := remote.EncryptWithContext(ended, []byte("text"), []byte("data"))
		require.ErrorIs(t, err, context.Canceled)
	})

	t.Run("carries a keyring", func(t *testing.T) {
		s := &vaulttest.Store{}
		a, b := newKeyring(s, m, "a"), newKeyring(s, openMaster(t, arn), "b")
		require.NoError(t, a.Load(ctx))
		require.NoError(t, b.Load(ctx))
		require.Equal(t, a.Loaded(), b.Loaded())

		old, err := vault.New(a).Seal(ctx, binding, vault.NewSecret([]byte("secret")))
		require.NoError(t, err)
		row, err := a.Rotate(ctx, vault.KEK)
		require.NoError(t, err)
		require.NoError(t, a.Poll(ctx))
		next, err := vault.New(a).Rewrap(ctx, binding, old)
		require.NoError(t, err)
		require.Equal(t, row.ID, next.KEKID)
		opened, err := vault.New(b).Open(ctx, binding, next)
		require.NoError(t, err)
		require.Equal(t, "secret", string(opened.Reveal()))
		digestA, _ := a.Digest([]byte("key"))
		digestB, _ := b.Digest([]byte("key"))
		require.Equal(t, digestA, digestB)
	})

	t.Run("when it is down, stops a start but not the traffic", func(t *testing.T) {
		s := &vaulttest.Store{}
		running := newKeyring(s, m, "running")
		require.NoError(t, running.Load(ctx))
		sealed, err := vault.New(running).Seal(ctx, binding, vault.NewSecret([]byte("secret")))
		require.NoError(t, err)

		stop()
		require.ErrorContains(t, newKeyring(s, openMaster(t, arn), "starting").Load(ctx), "with the master key")
		_, err = running.Rotate(ctx, vault.KEK)
		require.ErrorContains(t, err, "with the master key")
		require.NoError(t, running.Poll(ctx), "nothing new to unwrap")
		_, err = vault.New(running).Open(ctx, binding, sealed)
		require.NoError(t, err)
	})
}

func TestAWSRefusesWhatIsNoARN(t *testing.T) {
	for name, uri := range map[string]string{
		"an alias alone": "aws-kms://alias/onedoor",
		"a key id":       "aws-kms://1234abcd-12ab-34cd-56ef-1234567890ab",
		"another ARN":    "aws-kms://arn:aws:s3:::bucket",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := masters.Open(context.Background(), uri, masters.Options{Random: rand.Reader})
			require.Error(t, err)
		})
	}
}
