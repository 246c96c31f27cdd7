package masters_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/vault/masters"
)

func TestOpenFile(t *testing.T) {
	uri := "file:" + filepath.Join(t.TempDir(), "master.json")
	m, err := masters.Open(context.Background(), uri, masters.Options{Random: rand.Reader})
	require.NoError(t, err)
	wrapped, err := m.Encrypt([]byte("text"), []byte("data"))
	require.NoError(t, err)
	again, err := masters.Open(context.Background(), uri, masters.Options{Random: rand.Reader})
	require.NoError(t, err)
	text, err := again.Decrypt(wrapped, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, "text", string(text))
}

func TestOpenRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ uri, want string }{
		"nothing":           {"", "want file:PATH or aws-kms://ARN"},
		"a bare path":       {"/var/lib/key", "want file:PATH"},
		"an unknown scheme": {"azure-kms://key", "want file:PATH"},
		"a scheme in case":  {"FILE:key", "want file:PATH"},
		"no path":           {"file:", "want file:PATH"},
		"no ARN":            {"aws-kms://", "want aws-kms://ARN"},
		"no resource":       {"gcp-kms://", "want gcp-kms://projects/"},
		"no host":           {"hcvault://", "want hcvault://HOST"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := masters.Open(context.Background(), tt.uri, masters.Options{Random: rand.Reader})
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, m)
		})
	}
}
