// Package brokertest is what the client's tests talk to: an authority that issues SVIDs
// out of memory, a Workload API, and a broker whose answers the test decides. It is
// imported by tests only.
package brokertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Authority issues SVIDs for one trust domain.
type Authority struct {
	domain spiffeid.TrustDomain
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a fresh root.
func NewAuthority(domain string) (*Authority, error) {
	td, err := spiffeid.TrustDomainFromString(domain)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: domain},
		URIs:                  []*url.URL{td.ID().URL()},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a := &Authority{domain: td}
	a.cert, a.key, err = issue(template, nil)
	return a, err
}

// Bundle gives the authority's root.
func (a *Authority) Bundle() *x509bundle.Bundle {
	return x509bundle.FromX509Authorities(a.domain, []*x509.Certificate{a.cert})
}

// Issue makes a new SVID for the path of a workload.
func (a *Authority) Issue(path string) (*x509svid.SVID, error) {
	id, err := spiffeid.FromPath(a.domain, path)
	if err != nil {
		return nil, err
	}
	cert, key, err := issue(&x509.Certificate{
		URIs:        []*url.URL{id.URL()},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a)
	if err != nil {
		return nil, err
	}
	return &x509svid.SVID{ID: id, Certificates: []*x509.Certificate{cert}, PrivateKey: key}, nil
}

// issue signs template by parent, or by itself where there is none.
func issue(template *x509.Certificate, parent *Authority) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// Source is the X.509 source of one workload, rotated by hand.
type Source struct {
	authority *Authority
	path      string

	mu   sync.Mutex
	svid *x509svid.SVID
}

// NewSource makes a source with its first SVID.
func (a *Authority) NewSource(path string) (*Source, error) {
	s := &Source{authority: a, path: path}
	return s, s.Rotate()
}

// Rotate replaces the SVID by a new one.
func (s *Source) Rotate() error {
	svid, err := s.authority.Issue(s.path)
	if err != nil {
		return fmt.Errorf("rotate %s: %w", s.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.svid = svid
	return nil
}

// GetX509SVID implements x509svid.Source.
func (s *Source) GetX509SVID() (*x509svid.SVID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.svid, nil
}

// GetX509BundleForTrustDomain implements x509bundle.Source.
func (s *Source) GetX509BundleForTrustDomain(td spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	return s.authority.Bundle().GetX509BundleForTrustDomain(td)
}
