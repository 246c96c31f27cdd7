package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/devspiffe"
)

// ServeTLS serves under a TLS configuration until the test ends, over HTTP/2 too unless
// its NextProtos are http/1.1 alone, and gives the origin. Unlike with an Upstream the
// handler sees the connection's state.
func ServeTLS(t testing.TB, config *tls.Config, h http.Handler) (origin string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: h, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(discard{}, "", 0)}
	if slices.Equal(config.NextProtos, []string{"http/1.1"}) {
		server.Protocols = &http.Protocols{}
		server.Protocols.SetHTTP1(true)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return "https://localhost:" + port
}

// Workload gives the identity of one more workload of the site, which is also good for
// the name localhost, as it is renewed.
func (s *Site) Workload(t testing.TB, path string) *workloadapi.X509Source {
	t.Helper()
	socket, err := s.Authority.Add(devspiffe.Workload{ID: id(path).ID, Socket: "w" + strings.ReplaceAll(path, "/", "-"), DNSNames: []string{"localhost"}})
	require.NoError(t, err)
	return source(t, socket)
}

// As is the TLS configuration of a client that shows the SVID of one more workload.
func (s *Site) As(t testing.TB, b *Broker, path string) *tls.Config {
	t.Helper()
	svid, err := s.Workload(t, path).GetX509SVID()
	require.NoError(t, err)
	chain := tls.Certificate{PrivateKey: svid.PrivateKey}
	for _, c := range svid.Certificates {
		chain.Certificate = append(chain.Certificate, c.Raw)
	}
	config := b.Anonymous(t)
	config.Certificates = []tls.Certificate{chain}
	return config
}

// BrokerSource gives what a broker of the site gets from the Workload API: an SVID of the
// same ID, and another key.
func (s *Site) BrokerSource(t testing.TB, b *Broker) *workloadapi.X509Source {
	t.Helper()
	return source(t, "unix://"+s.Dir+"/s/"+b.ID[len("spiffe://"+Domain+"/"):])
}

func source(t testing.TB, socket string) *workloadapi.X509Source {
	t.Helper()
	made, err := workloadapi.NewX509Source(t.Context(), workloadapi.WithClientOptions(workloadapi.WithAddr(socket)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = made.Close() })
	return made
}

// ClientCA is an authority for client certificates.
type ClientCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewClientCA makes one.
func NewClientCA(t testing.TB) *ClientCA {
	t.Helper()
	ca := &ClientCA{}
	ca.cert, ca.key = ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test client CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return ca
}

// Pool holds the authority alone, for tls.Config.ClientCAs.
func (ca *ClientCA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// PEM is the authority's own certificate.
func (ca *ClientCA) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
}

// Issue gives a certificate for a name and its key, as the PEM text of a credential.
func (ca *ClientCA) Issue(t testing.TB, name string) string {
	t.Helper()
	leaf, key := ca.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// issue signs with the authority's key, or with its own where there is no authority yet.
func (ca *ClientCA) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return made, key
}

// Thumbprint is x5t#S256 of a certificate (RFC 8705, 3.1).
func Thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
