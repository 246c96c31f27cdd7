//go:build kms_gcp || kms_all

// Package gcpkms gives a master key in Google Cloud KMS.
package gcpkms

import (
	"context"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go-gcpkms/v2/integration/gcpkms"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Scheme opens the URI of such a key: gcp-kms://RESOURCE.
const Scheme = "gcp-kms://"

// Config names the key. The credentials are Google's application default credentials.
type Config struct {
	// Key is the key's resource name without a version:
	// projects/P/locations/L/keyRings/R/cryptoKeys/K.
	Key string
}

// New gives the key, over gRPC. Of the broker its IAM policy must allow to encrypt and
// decrypt (roles/cloudkms.cryptoKeyEncrypterDecrypter). The result is a
// tink.AEADWithContext too; its connection lives as long as the process.
func New(ctx context.Context, config Config) (tink.AEAD, error) {
	if !strings.HasPrefix(config.Key, "projects/") || !strings.Contains(config.Key, "/cryptoKeys/") {
		return nil, fmt.Errorf("GCP KMS: %q is not the resource name of a key", config.Key)
	}
	client, err := gcpkms.NewClient(ctx, Scheme+config.Key)
	if err != nil {
		return nil, fmt.Errorf("GCP KMS key %s: %w", config.Key, err)
	}
	return client.GetAEAD(Scheme + config.Key)
}
