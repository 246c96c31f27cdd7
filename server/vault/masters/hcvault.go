//go:build kms_hcvault || kms_all

package masters

import (
	"context"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault/hcvault"
)

func openHCVault(ctx context.Context, ref string, opts Options) (tink.AEAD, error) {
	host, path, _ := strings.Cut(ref, "/")
	return hcvault.New(ctx, hcvault.Config{
		Host:      host,
		KeyPath:   "/" + path,
		TokenFile: opts.VaultTokenFile,
		CAFile:    opts.VaultCAFile,
	})
}
