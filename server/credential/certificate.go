package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/vault"
)

// certificate shows a client certificate in the TLS handshake: the secret is PEM text
// that holds the chain, the leaf first, and the leaf's private key before or behind it.
// No byte of it goes into the request.
type certificate struct{ now func() time.Time }

const (
	maxCertificate = 64 << 10
	maxChain       = 16
	minRSA, maxRSA = 2048, 8192 // bits
	minLine        = 16         // a shorter line of PEM would be found by chance
)

// The faults of a certificate credential. None repeats anything of the text.
var (
	errCertSize      = errors.New("the secret is larger than 64 KiB, or holds more than 16 certificates")
	errCertBlock     = errors.New("the secret is PEM text of certificates and one private key, and nothing else")
	errCertNoLeaf    = errors.New("the secret holds no certificate in PEM")
	errCertNoKey     = errors.New("the secret holds no private key in PEM")
	errCertKeys      = errors.New("the secret holds more than one private key")
	errCertEncrypted = errors.New("the private key is encrypted: put it decrypted, it is sealed here")
	errCertUnread    = errors.New("a certificate cannot be read")
	errCertKeyUnread = errors.New("the private key cannot be read: want PKCS #8, PKCS #1 or SEC 1")
	errCertKeyKind   = errors.New("the private key is of a kind that TLS does not take: want RSA, ECDSA on P-256, P-384 or P-521, or Ed25519")
	errCertWeak      = errors.New("the RSA key must have 2048 to 8192 bits")
	errCertOtherKey  = errors.New("the private key is not that of the first certificate: put the leaf before the others of its chain")
	errCertExpired   = errors.New("the certificate has expired")
	errCertEarly     = errors.New("the certificate is not valid yet")
	errCertPurpose   = errors.New("the certificate's extended key usage does not allow client authentication")
)

func (c certificate) check(secret string) error {
	p, err := parsePair(secret)
	if err != nil {
		return err
	}
	leaf, now := p.chain[0], c.now()
	switch {
	case now.After(leaf.NotAfter):
		return errCertExpired
	case now.Before(leaf.NotBefore):
		return errCertEarly
	case !mayBeClient(leaf):
		return errCertPurpose
	}
	_, err = p.certificate()
	return err
}

// attach has the connection show the certificate. The key is searched for in answers,
// though TLS sends it nowhere, as it stands in the text: its lines, and its bytes.
func (certificate) attach(_ connector.Slot, secret string, to *egress.Attachment) error {
	p, err := parsePair(secret)
	if err != nil {
		return err
	}
	shown, err := p.certificate()
	if err != nil {
		return err
	}
	if err := to.SetCertificate(shown); err != nil {
		return err
	}
	return to.Use(egress.NewPlainScrubber(p.keyForms()...))
}

func (certificate) derived(connector.Slot, string) [][]byte { return nil }

// divided: the long text is never sent, and its key is searched for by a scrubber of its own.
func (certificate) divided() {}

// usable refuses a credential whose certificate has expired since it was put.
func usable(c *connector.Connector, a egress.Attachment, now time.Time) error {
	if end := a.Certificate().NotAfter(); end.IsZero() || !now.After(end) {
		return nil
	}
	var slot connector.Slot
	for _, s := range c.Slots { // a connector shows one certificate
		if s.Kind == connector.CertificateSlot {
			slot = s
		}
	}
	return unusable(c, slot, mendPut, "the client certificate has expired; put a new one", nil)
}

// pair is the parsed secret.
type pair struct {
	chain []*x509.Certificate
	key   crypto.Signer
	der   []byte // the key's
}

// parsePair reads the text. Whatever stands between PEM blocks is passed over, as
// openssl writes descriptions there.
func parsePair(secret string) (*pair, error) {
	if len(secret) > maxCertificate {
		return nil, errCertSize
	}
	p := &pair{}
	for rest := []byte(secret); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if err := p.add(block); err != nil {
			return nil, err
		}
	}
	switch {
	case len(p.chain) == 0:
		return nil, errCertNoLeaf
	case p.key == nil:
		return nil, errCertNoKey
	}
	return p, nil
}

func (p *pair) add(block *pem.Block) error {
	switch {
	case block.Type == "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return errCertUnread
		}
		if p.chain = append(p.chain, c); len(p.chain) > maxChain {
			return errCertSize
		}
		return nil
	case block.Type == "EC PARAMETERS": // the curve's name, which openssl writes before a key
		return nil
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return errCertEncrypted
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return errCertBlock
	case p.key != nil:
		return errCertKeys
	}
	var err error
	p.key, err = parseKey(block)
	p.der = block.Bytes
	return err
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	key, err := vault.PrivateKey(block)
	if err != nil {
		return nil, errCertKeyUnread
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, errCertWeak
		}
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521() {
			return key, nil
		}
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errCertKeyKind
}

func (p *pair) certificate() (egress.Certificate, error) {
	c, err := egress.NewCertificate(p.chain, p.key)
	if err != nil {
		return egress.Certificate{}, errCertOtherKey
	}
	return c, nil
}

// keyForms are the key's bytes, their base64 in one piece, and the lines of its PEM.
func (p *pair) keyForms() [][]byte {
	forms := [][]byte{p.der, []byte(base64.RawStdEncoding.EncodeToString(p.der))}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p.der})
	for line := range strings.Lines(string(block)) {
		if line = strings.TrimSpace(line); len(line) >= minLine && !strings.HasPrefix(line, "-----") {
			forms = append(forms, []byte(line))
		}
	}
	return forms
}

// mayBeClient says whether a leaf that says what it is for (RFC 5280, 4.2.1.12) is for
// TLS clients.
func mayBeClient(leaf *x509.Certificate) bool {
	return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}
