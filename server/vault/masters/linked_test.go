//go:build kms_all

package masters_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/vault/masters"
)

func TestOpenWithEveryKMS(t *testing.T) {
	opts := masters.Options{Random: rand.Reader, VaultTokenFile: filepath.Join(t.TempDir(), "token")}
	for name, tt := range map[string]struct {
		uri  string
		want string // part of the error; empty where it opens
	}{
		"AWS":                     {"aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k", ""},
		"AWS, an alias's ARN":     {"aws-kms://arn:aws-cn:kms:cn-north-1:111122223333:alias/onedoor", ""},
		"AWS, a key id":           {"aws-kms://1234abcd-12ab-34cd-56ef-1234567890ab", "is not the ARN"},
		"AWS, an ARN of no KMS":   {"aws-kms://arn:aws:s3:::bucket", "region"},
		"GCP, no name of a key":   {"gcp-kms://projects/p/locations/l/keyRings/r", "is not the resource name"},
		"GCP, no resource":        {"gcp-kms://my-key", "is not the resource name"},
		"Vault":                   {"hcvault://vault.example:8200/transit/keys/k", ""},
		"Vault, a nested mount":   {"hcvault://vault.example/team/transit/keys/k", ""},
		"Vault, no key":           {"hcvault://vault.example", "want /MOUNT/keys/NAME"},
		"Vault, a path of no key": {"hcvault://vault.example/transit/encrypt/k", "want /MOUNT/keys/NAME"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := masters.Open(context.Background(), tt.uri, opts)
			if tt.want == "" {
				require.NoError(t, err)
				require.NotNil(t, m)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotErrorIs(t, err, masters.ErrNotLinked)
			require.Nil(t, m)
		})
	}
	t.Run("Vault, no token file", func(t *testing.T) {
		_, err := masters.Open(context.Background(), "hcvault://vault.example/transit/keys/k", masters.Options{})
		require.ErrorContains(t, err, "token file are required")
	})
}
