// Package masters opens the master key that a URI names. Each KMS brings a large
// client library, so it is linked by a build tag: kms_aws, kms_gcp, kms_hcvault, or
// kms_all, with which release images are built.
package masters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/vault/localkey"
)

// ErrNotLinked says that this binary was built without the client of that KMS.
var ErrNotLinked = errors.New("not linked into this binary")

// Options is what some masters need beside their URI.
type Options struct {
	// Random makes the key of a new local file. Required.
	Random io.Reader
	// VaultTokenFile holds the token for a HashiCorp Vault server. Required there.
	VaultTokenFile string
	// VaultCAFile holds the certificates to trust for a HashiCorp Vault server; empty
	// means the system's.
	VaultCAFile string
}

// opener opens one kind of master; ref is the URI without its scheme.
type opener func(ctx context.Context, ref string, opts Options) (tink.AEAD, error)

// kind is one scheme. The open functions stand in files that build tags select.
type kind struct {
	scheme string
	form   string // for people
	open   opener
}

func kinds() []kind {
	return []kind{
		{"file:", "file:PATH", openFile},
		{"aws-kms://", "aws-kms://ARN", openAWS},
		{"gcp-kms://", "gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K", openGCP},
		{"hcvault://", "hcvault://HOST/MOUNT/keys/NAME", openHCVault},
	}
}

// Open gives the master key of a URI: file:PATH, aws-kms://ARN, gcp-kms://RESOURCE or
// hcvault://HOST/MOUNT/keys/NAME. Only the file is touched; a KMS is first asked when
// the first key is unwrapped. ErrNotLinked where the binary lacks that KMS.
func Open(ctx context.Context, uri string, opts Options) (tink.AEAD, error) {
	forms := make([]string, 0, 4)
	for _, k := range kinds() {
		forms = append(forms, k.form)
		ref, ok := strings.CutPrefix(uri, k.scheme)
		if !ok {
			continue
		}
		if ref == "" {
			return nil, fmt.Errorf("master key %q: want %s", uri, k.form)
		}
		master, err := k.open(ctx, ref, opts)
		if err != nil {
			return nil, fmt.Errorf("master key %q: %w", uri, err)
		}
		return master, nil
	}
	return nil, fmt.Errorf("master key %q: want %s", uri, strings.Join(forms, " or "))
}

func openFile(_ context.Context, ref string, opts Options) (tink.AEAD, error) {
	return localkey.Open(ref, opts.Random)
}
