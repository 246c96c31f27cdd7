package idtoken

import (
	"crypto"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// head is what must be known of a token before its signature can be checked. Nothing
// is decided by it but which key of whom to check with.
type head struct {
	algorithm string
	keyID     string
	issuer    string
}

// readHead reads a token in the compact form alone (RFC 7519, section 1).
func readHead(raw string) (head, error) {
	jws, err := jose.ParseSignedCompact(raw, algorithms())
	if err != nil || len(jws.Signatures) != 1 {
		return head{}, invalid("not a JWT signed with RS, PS, ES or EdDSA")
	}
	signed := jws.Signatures[0].Header
	// An access token or a logout token of the same issuer is no ID token (RFC 8725,
	// 3.11); those that are one say JWT, or nothing.
	if typ, ok := signed.ExtraHeaders[jose.HeaderType]; ok {
		if name, _ := typ.(string); !strings.EqualFold(name, "JWT") {
			return head{}, invalid("a JWT of another type than an ID token")
		}
	}
	var unverified struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &unverified) != nil {
		return head{}, invalid("its claims are no JSON object")
	}
	return head{algorithm: signed.Algorithm, keyID: signed.KeyID, issuer: unverified.Issuer}, nil
}

// publicOf gives the keys that may be used with the token's algorithm.
func (h head) publicOf(keys []jose.JSONWebKey) []crypto.PublicKey {
	var fit []crypto.PublicKey
	for _, k := range keys {
		if k.Algorithm == "" || k.Algorithm == h.algorithm {
			fit = append(fit, k.Key)
		}
	}
	return fit
}
