package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	certificateLife = 365 * 24 * time.Hour
	renewBefore     = 30 * 24 * time.Hour
)

// OpenCertificate reads from a folder the certificate of upstreams on this machine, good
// for localhost, and its CA as PEM, or makes them anew where they are missing or about to
// expire at now. The CA's key is thrown away.
func OpenCertificate(dir string, now time.Time) (tls.Certificate, []byte, error) {
	chain, key, root := filepath.Join(dir, "upstream.crt"), filepath.Join(dir, "upstream.key"), filepath.Join(dir, "ca.crt")
	certificate, err := tls.LoadX509KeyPair(chain, key)
	ca, caErr := os.ReadFile(root) //nolint:gosec // a folder of ours
	if err == nil && caErr == nil && certificate.Leaf.NotAfter.Sub(now) > renewBefore {
		return certificate, ca, nil
	}
	leafPEM, keyPEM, caPEM, err := makeCertificate(now)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("demo certificate: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("demo certificate: %w", err)
	}
	for path, text := range map[string][]byte{chain: leafPEM, key: keyPEM, root: caPEM} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return tls.Certificate{}, nil, fmt.Errorf("demo certificate: %w", err)
		}
	}
	certificate, err = tls.X509KeyPair(leafPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("demo certificate: %w", err)
	}
	return certificate, caPEM, nil
}

func makeCertificate(now time.Time) (leafPEM, keyPEM, caPEM []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Onedoor demo upstreams"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, nil, err
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return block("CERTIFICATE", leafDER), block("PRIVATE KEY", keyDER), block("CERTIFICATE", caDER), nil
}
