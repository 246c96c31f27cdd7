//go:build kms_gcp || kms_all

package masters

import (
	"context"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault/gcpkms"
)

func openGCP(ctx context.Context, ref string, _ Options) (tink.AEAD, error) {
	return gcpkms.New(ctx, gcpkms.Config{Key: ref})
}
