package oauth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/vault"
)

const (
	// backdated is how far in the past iat lies: a provider whose clock is behind ours
	// must not read it as in the future. GitHub asks for it.
	backdated = 45 * time.Second
	// signedLife is from now to exp; with backdated it is less than the five minutes
	// that the strictest providers allow.
	signedLife = 2 * time.Minute
)

// signedClaims are those of RFC 7523, section 3, and the scope that some providers
// read there.
type signedClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub,omitempty"`
	Audience string `json:"aud,omitempty"`
	Scope    string `json:"scope,omitempty"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// Sign makes a JWT that says s, signed with a private key in PEM. It is good for two
// minutes and is new each time, since a provider may take each but once. Its errors hold
// nothing of the key.
func (c *Client) Sign(key vault.Secret, s connector.Signed) (vault.Secret, error) {
	private, err := readKey(key.Reveal(), s.Algorithm)
	if err != nil {
		return vault.Secret{}, err
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(c.random, id); err != nil {
		return vault.Secret{}, fmt.Errorf("make the id of a JWT: %w", err)
	}
	now := c.now()
	claims, err := json.Marshal(signedClaims{
		Issuer: s.Issuer, Subject: s.Subject, Audience: s.Audience, Scope: s.Scope,
		ID: base64.RawURLEncoding.EncodeToString(id), IssuedAt: now.Add(-backdated).Unix(), Expires: now.Add(signedLife).Unix(),
	})
	if err != nil {
		return vault.Secret{}, fmt.Errorf("write a JWT: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.KeyID != "" {
		options = options.WithHeader("kid", s.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.Algorithm), Key: private}, options)
	if err != nil {
		return vault.Secret{}, errKey
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return vault.Secret{}, errKey
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return vault.Secret{}, errKey
	}
	return vault.NewSecret([]byte(token)), nil
}
