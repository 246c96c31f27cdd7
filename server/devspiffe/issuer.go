package devspiffe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// caLife is longer than any development process lives.
	caLife = 365 * 24 * time.Hour
	// backdate allows for clocks that are a little behind ours.
	backdate = time.Minute
)

// issuer holds the authority's private keys and signs with them.
type issuer struct {
	o      Options
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	jwt    jose.Signer
	bundle *spiffebundle.Bundle
}

func newIssuer(o Options) (*issuer, error) {
	i := &issuer{o: o, bundle: spiffebundle.New(o.TrustDomain)}
	if err := i.makeCA(); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if err := i.makeJWTKey(); err != nil {
		return nil, fmt.Errorf("key for JWT-SVIDs: %w", err)
	}
	return i, nil
}

func (i *issuer) makeCA() (err error) {
	if i.caKey, err = newKey(); err != nil {
		return err
	}
	now := i.o.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Onedoor development"}, CommonName: "authority"},
		URIs:                  []*url.URL{i.o.TrustDomain.ID().URL()},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs leaves and no other authority
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(i.o.Rand, template, template, i.caKey.Public(), i.caKey)
	if err != nil {
		return err
	}
	if i.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	i.bundle.AddX509Authority(i.ca)
	return nil
}

func (i *issuer) makeJWTKey() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public := jose.JSONWebKey{Key: key.Public()}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	kid := base64.RawURLEncoding.EncodeToString(thumbprint)
	signing := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}
	if i.jwt, err = jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT")); err != nil {
		return err
	}
	return i.bundle.AddJWTAuthority(kid, key.Public())
}

// x509SVID makes a new key and a certificate for it: DER and PKCS #8. Serial numbers
// are left to the library, which draws them from Rand.
func (i *issuer) x509SVID(w *Workload) (cert, pkcs8 []byte, err error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	now := i.o.Now()
	template := &x509.Certificate{
		// Another name than the authority's: to OpenSSL, a certificate whose subject is
		// its issuer is self-signed.
		Subject:               pkix.Name{Organization: []string{"Onedoor development"}, CommonName: "workload"},
		URIs:                  []*url.URL{w.ID.URL()},
		DNSNames:              w.DNSNames,
		IPAddresses:           w.IPs,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(i.o.SVIDLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if cert, err = x509.CreateCertificate(i.o.Rand, template, i.ca, key.Public(), i.caKey); err != nil {
		return nil, nil, err
	}
	pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	return cert, pkcs8, err
}

func (i *issuer) jwtSVID(id spiffeid.ID, audience []string) (string, error) {
	now := i.o.Now()
	return jwt.Signed(i.jwt).Claims(jwt.Claims{
		Subject:  id.String(),
		Audience: audience,
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(i.o.JWTLife)),
	}).Serialize()
}

func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.ca.Raw})
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
