//go:build !kms_aws && !kms_all

package masters

import (
	"context"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/tink"
)

func openAWS(context.Context, string, Options) (tink.AEAD, error) {
	return nil, fmt.Errorf("%w: release images are built with the tag kms_all, this needs at least kms_aws", ErrNotLinked)
}
