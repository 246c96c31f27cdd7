//go:build !kms_hcvault && !kms_all

package masters

import (
	"context"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/tink"
)

func openHCVault(context.Context, string, Options) (tink.AEAD, error) {
	return nil, fmt.Errorf("%w: release images are built with the tag kms_all, this needs at least kms_hcvault", ErrNotLinked)
}
