//go:build !kms_aws && !kms_gcp && !kms_hcvault && !kms_all

package masters_test

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/vault/masters"
)

func TestOpenSaysWhatTheBinaryLacks(t *testing.T) {
	for tag, uri := range map[string]string{
		"kms_aws":     "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k",
		"kms_gcp":     "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k",
		"kms_hcvault": "hcvault://vault.example/transit/keys/k",
	} {
		t.Run(tag, func(t *testing.T) {
			_, err := masters.Open(context.Background(), uri, masters.Options{Random: rand.Reader})
			require.ErrorIs(t, err, masters.ErrNotLinked)
			require.ErrorContains(t, err, tag)
			require.ErrorContains(t, err, "kms_all")
			require.ErrorContains(t, err, uri)
		})
	}
}
