//go:build kms_aws || kms_all

package masters

import (
	"context"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault/awskms"
)

func openAWS(ctx context.Context, ref string, _ Options) (tink.AEAD, error) {
	return awskms.New(ctx, awskms.Config{KeyARN: ref})
}
