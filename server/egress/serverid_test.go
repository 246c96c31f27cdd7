package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// TestTheUpstreamIsKnownByItsSPIFFEID: exactly that ID, by the bundle of its own trust
// domain; neither its name nor the connector's CA count.
func TestTheUpstreamIsKnownByItsSPIFFEID(t *testing.T) {
	const wanted = "spiffe://home.test/payroll"
	home, foreign, web := newAuthority(t), newAuthority(t), newAuthority(t)
	bundles := x509bundle.NewSet(
		x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("home.test"), []*x509.Certificate{home.cert}),
		x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("foreign.test"), []*x509.Certificate{foreign.cert}),
	)
	svid := func(ids ...string) *x509.Certificate {
		c := &x509.Certificate{NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
		for _, id := range ids {
			u, err := url.Parse(id)
			require.NoError(t, err)
			c.URIs = append(c.URIs, u)
		}
		return c
	}
	with := func(c *x509.Certificate, change func(*x509.Certificate)) *x509.Certificate { change(c); return c }
	for name, c := range map[string]struct {
		by     *authority
		leaf   *x509.Certificate
		change func(*httptest.Server)
		door   egress.Options
		says   string // empty: it is accepted
	}{
		"the one":          {by: home, leaf: svid(wanted)},
		"that may serve":   {by: home, leaf: with(svid(wanted), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		"that may not":     {by: home, leaf: with(svid(wanted), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), says: "SPIFFE ID"},
		"another":          {by: home, leaf: svid("spiffe://home.test/crm"), says: "SPIFFE ID"},
		"one below it":     {by: home, leaf: svid(wanted + "/x"), says: "SPIFFE ID"},
		"of another CA":    {by: foreign, leaf: svid(wanted), says: "SPIFFE ID"},
		"another domain's": {by: foreign, leaf: svid("spiffe://foreign.test/payroll"), says: "SPIFFE ID"},
		"two IDs":          {by: home, leaf: svid(wanted, "spiffe://home.test/crm"), says: "SPIFFE ID"},
		"a name alone":     {by: web, leaf: with(svid(), func(c *x509.Certificate) { c.DNSNames = []string{host} }), says: "SPIFFE ID"},
		"expired":          {by: home, leaf: with(svid(wanted), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), says: "SPIFFE ID"},
		"TLS 1.2": {
			by: home, leaf: svid(wanted), change: func(s *httptest.Server) { s.TLS.MaxVersion = tls.VersionTLS12 }, says: "the TLS handshake was refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaf, key := c.by.issue(t, c.leaf)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
			s.TLS = &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert,
			}
			s.EnableHTTP2 = true
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			if c.change != nil {
				c.change(s)
			}
			s.StartTLS()
			defer s.Close()
			b := newBench(t, web, s.Listener.Addr(), answer("127.0.0.1"))
			b.policy.ServerID = spiffeid.RequireFromString(wanted)
			_, err := b.do(t, b.get("/path"))
			require.ErrorContains(t, requireError(t, err, egress.Denied, false), "no bundles", "what cannot be verified is refused")

			b.door = egress.New(egress.Options{Resolver: answer("127.0.0.1"), Bundles: bundles})
			defer b.door.Close()
			shown, _ := home.client(t, "broker", time.Hour)
			for kind, att := range map[string]egress.Attachment{"as nobody": bearer(t), "with a certificate": showing(t, shown)} {
				res, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), att, b.limits)
				if c.says != "" {
					require.ErrorContains(t, requireError(t, err, egress.Unreachable, false), c.says, kind)
					continue
				}
				require.NoError(t, err, kind)
				text, err := res.Bytes()
				require.NoError(t, err)
				require.Equal(t, "hello", string(text), fmt.Sprint(kind))
			}
		})
	}
}
