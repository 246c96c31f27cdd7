package authn_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
)

func TestCertFilesFollowTheFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ours := newAuthority(t, home)
	first, second := ours.issue(t, nil), ours.issue(t, nil)
	writePair(t, cert, key, first)

	now := time.Unix(1_000_000, 0)
	var logged bytes.Buffer
	files, err := authn.NewCertFiles(cert, key, func() time.Time { return now }, slog.New(slog.NewTextHandler(&logged, nil)))
	require.NoError(t, err)
	served := func() []byte {
		t.Helper()
		c, err := files.GetCertificate(nil)
		require.NoError(t, err)
		return c.Certificate[0]
	}
	require.Equal(t, first.Certificate[0], served())

	// Half replaced: the new certificate with the old key.
	oldKey, err := os.ReadFile(key)
	require.NoError(t, err)
	writePair(t, cert, key, second)
	newKey, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, oldKey, 0o600))
	require.Equal(t, first.Certificate[0], served(), "not looked at again within a second")
	require.Empty(t, logged.String())
	for range 3 {
		now = now.Add(time.Second)
		require.Equal(t, first.Certificate[0], served(), "a pair that does not match is not served")
	}
	require.Equal(t, 1, strings.Count(logged.String(), "cannot be used"), "said once")

	require.NoError(t, os.WriteFile(key, newKey, 0o600))
	now = now.Add(time.Second)
	require.Equal(t, second.Certificate[0], served())

	require.NoError(t, os.Remove(cert))
	now = now.Add(time.Second)
	require.Equal(t, second.Certificate[0], served(), "files that are gone for a moment change nothing")
}

func TestCertFilesMustBeGoodAtTheStart(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	_, err := authn.NewCertFiles(cert, key, time.Now, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	ours := newAuthority(t, home)
	writePair(t, cert, key, ours.issue(t, nil))
	require.NoError(t, os.WriteFile(key, []byte("no key"), 0o600))
	_, err = authn.NewCertFiles(cert, key, time.Now, nil)
	require.ErrorContains(t, err, "certificate "+cert)
}
