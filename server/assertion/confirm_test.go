package assertion_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

// shown makes a client certificate, and gives the thumbprint that it must have.
func shown(t *testing.T) (c egress.Certificate, thumbprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	c, err = egress.NewCertificate([]*x509.Certificate{leaf}, key)
	require.NoError(t, err)
	sum := sha256.Sum256(der)
	return c, base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestBoundToTheCertificate: cnf is of the certificate that the connection shows, and the
// assertion goes with no other. A Transaction Token goes on over other connections.
func TestBoundToTheCertificate(t *testing.T) {
	b := newBench(t)
	ours, thumbprint := shown(t)
	another, _ := shown(t)
	over := func(c egress.Certificate) egress.Attachment {
		a := egress.NewAttachment()
		if c.Thumbprint() != "" {
			require.NoError(t, a.SetCertificate(c))
		}
		return a
	}
	for name, c := range map[string]struct {
		wants, header string
		shown         egress.Certificate
		cnf           any
		refused       []egress.Certificate
	}{
		"over ours":         {wantsDefault, "X-Onedoor-Jwt-Assertion", ours, map[string]any{"x5t#S256": thumbprint}, []egress.Certificate{another, {}}},
		"over none":         {wantsDefault, "X-Onedoor-Jwt-Assertion", egress.Certificate{}, nil, []egress.Certificate{ours}},
		"Transaction Token": {wantsTxnToken, "Txn-Token", ours, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			call := bound(t, c.wants, "payslip.get", `{"user":"alice"}`)
			made, err := b.Mint(t.Context(), b.intent(t, "default", "one"), caller(), call, c.shown)
			require.NoError(t, err)
			both, err := made.AddTo(over(c.shown))
			require.NoError(t, err)
			require.Equal(t, c.shown.Thumbprint(), both.Certificate().Thumbprint())
			var token, peer string
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				token = r.Header.Get(c.header)
				for _, one := range r.TLS.PeerCertificates {
					sum := sha256.Sum256(one.Raw)
					peer = base64.RawURLEncoding.EncodeToString(sum[:])
				}
			}))
			upstream.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			upstream.StartTLS()
			defer upstream.Close()
			deliver(t, upstream, call, both)
			_, claims := b.read(t, token)
			require.Equal(t, c.cnf, claims["cnf"])
			require.Equal(t, c.shown.Thumbprint(), peer)
			for _, other := range c.refused {
				_, err := made.AddTo(over(other))
				require.True(t, fault.Is(err, fault.Internal), "another connection's")
			}
		})
	}
}
