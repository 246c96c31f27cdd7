package egress

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"
)

// Certificate is what the broker shows of itself in the TLS handshake with an upstream:
// a chain, and the private key of its leaf. It is unprintable, and nothing gives the key
// out again. The zero Certificate shows nothing and cannot be attached.
type Certificate struct{ reveal func() *certificate }

type certificate struct {
	pair tls.Certificate
	leaf certificateID
}

// certificateID is the SHA-256 of a leaf's DER; zero where no certificate is shown.
type certificateID [sha256.Size]byte

var (
	errNoCertificate  = errors.New("certificate: neither chain nor key may be missing")
	errOtherKey       = errors.New("certificate: the private key is not that of the leaf")
	errTwoIdentities  = errors.New("attachment: it shows a certificate already")
	errNotAsked       = errors.New("the upstream asked for no client certificate, so that it cannot know who calls")
	errNotCertificate = errors.New("attachment: not a certificate made by NewCertificate")
)

// NewCertificate makes a Certificate of a chain, the leaf first, and the leaf's key.
// Whether it is still valid is for its user to say: see NotAfter.
func NewCertificate(chain []*x509.Certificate, key crypto.Signer) (Certificate, error) {
	if len(chain) == 0 || key == nil {
		return Certificate{}, errNoCertificate
	}
	public, ok := key.Public().(interface {
		Equal(other crypto.PublicKey) bool
	})
	if !ok || !public.Equal(chain[0].PublicKey) {
		return Certificate{}, errOtherKey
	}
	c := &certificate{pair: tls.Certificate{PrivateKey: key, Leaf: chain[0]}, leaf: sha256.Sum256(chain[0].Raw)}
	for _, one := range chain {
		c.pair.Certificate = append(c.pair.Certificate, one.Raw)
	}
	return Certificate{func() *certificate { return c }}, nil
}

// Thumbprint is x5t#S256 of the leaf (RFC 8705, 3.1): unpadded base64url of the SHA-256
// of its DER. The zero Certificate has none and gives "".
func (c Certificate) Thumbprint() string {
	if c.reveal == nil {
		return ""
	}
	leaf := c.reveal().leaf
	return base64.RawURLEncoding.EncodeToString(leaf[:])
}

// NotAfter is the end of the leaf's validity; the zero time for the zero Certificate.
func (c Certificate) NotAfter() time.Time {
	if c.reveal == nil {
		return time.Time{}
	}
	return c.reveal().pair.Leaf.NotAfter
}

// Format keeps the key out of every verb.
func (c Certificate) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[certificate]") }

// MarshalText keeps it out of encoders and structured logs.
func (c Certificate) MarshalText() ([]byte, error) { return []byte("[certificate]"), nil }

// SetCertificate has the exchange's connection show c, and no other: it is made anew or
// taken from those that were made with c. An Attachment shows one certificate at most.
func (a Attachment) SetCertificate(c Certificate) error {
	switch {
	case a.reveal == nil:
		return errNoAttachment
	case c.reveal == nil:
		return errNotCertificate
	case a.reveal().shows != nil:
		return errTwoIdentities
	}
	a.reveal().shows = c.reveal()
	return nil
}

// Certificate is the one that the connection will show; the zero Certificate for none.
func (a Attachment) Certificate() Certificate {
	if a.reveal == nil || a.reveal().shows == nil {
		return Certificate{}
	}
	shows := a.reveal().shows
	return Certificate{func() *certificate { return shows }}
}

// id is by what pools are told apart.
func (c *certificate) id() certificateID {
	if c == nil {
		return certificateID{}
	}
	return c.leaf
}
