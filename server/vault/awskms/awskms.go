//go:build kms_aws || kms_all

// Package awskms gives a master key in AWS KMS.
package awskms

import (
	"context"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Scheme opens the URI of such a key: aws-kms://ARN.
const Scheme = "aws-kms://"

// Config names the key. Region and partition are the ARN's; the credentials are those
// of AWS's default chain (workload identity, instance role, environment, profile).
type Config struct {
	// KeyARN is the key's or an alias's ARN, arn:aws:kms:REGION:ACCOUNT:key/ID.
	KeyARN string
}

// New gives the key. It makes no call to AWS. The associated data travels as the
// encryption context "associatedData", so that a key policy and CloudTrail see it; it
// names purpose and id of a key, nothing secret. Of the broker the key policy must
// allow kms:Encrypt and kms:Decrypt. The result is a tink.AEADWithContext too.
func New(ctx context.Context, config Config) (tink.AEAD, error) {
	if !strings.HasPrefix(config.KeyARN, "arn:") {
		return nil, fmt.Errorf("AWS KMS: %q is not the ARN of a key", config.KeyARN)
	}
	// NewClient would take an encryption context under an old name; the options do not.
	client, err := awskms.NewClientWithOptions(ctx, Scheme+config.KeyARN)
	if err != nil {
		return nil, fmt.Errorf("AWS KMS key %s: %w", config.KeyARN, err)
	}
	return client.GetAEAD(Scheme + config.KeyARN)
}
