package authn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
)

var (
	home    = spiffeid.RequireTrustDomainFromString("home.test")
	foreign = spiffeid.RequireTrustDomainFromString("foreign.test")
)

// authority is a CA of one trust domain that issues whatever a test asks for.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, td spiffeid.TrustDomain) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: td.Name()},
		URIs: []*url.URL{td.ID().URL()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

// issue makes a leaf with these URI SANs, valid for an hour, after change.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate), uris ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	for _, u := range uris {
		parsed, err := url.Parse(u)
		require.NoError(t, err)
		template.URIs = append(template.URIs, parsed)
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// source is a source of SVIDs whose bundles change under the test's hands.
type source struct {
	svid *x509svid.SVID
	mu   sync.Mutex
	set  *x509bundle.Set
}

func newSource(t *testing.T, own *authority, more ...*x509bundle.Bundle) *source {
	c := own.issue(t, nil, "spiffe://home.test/onedoor")
	set := x509bundle.NewSet(append(more, x509bundle.FromX509Authorities(home, []*x509.Certificate{own.cert}))...)
	return &source{
		svid: &x509svid.SVID{
			ID:           spiffeid.RequireFromString("spiffe://home.test/onedoor"),
			Certificates: []*x509.Certificate{c.Leaf}, PrivateKey: c.PrivateKey.(*ecdsa.PrivateKey),
		},
		set: set,
	}
}

func (s *source) GetX509SVID() (*x509svid.SVID, error) { return s.svid, nil }

func (s *source) GetX509BundleForTrustDomain(td spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.GetX509BundleForTrustDomain(td)
}

func (s *source) trust(set *x509bundle.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = set
}

// connect makes one connection and returns the server's view of it and the error
// that either side met first. A TLS 1.3 client learns of a refusal when it reads.
func connect(t *testing.T, server, client *tls.Config) (seen, got tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	type result struct {
		state tls.ConnectionState
		err   error
	}
	done := make(chan result, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		defer func() { _ = raw.Close() }()
		conn := tls.Server(raw, server)
		err = conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("ok"))
		}
		done <- result{conn.ConnectionState(), err}
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		<-done
		return seen, got, err
	}
	defer func() { _ = conn.Close() }()
	_, readErr := io.ReadFull(conn, make([]byte, 2))
	r := <-done
	return r.state, conn.ConnectionState(), errors.Join(r.err, readErr)
}

func clientWith(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: certs, InsecureSkipVerify: true, NextProtos: []string{"h2"}}
}

func serverTLS(t *testing.T, s *source, opts authn.TLSOptions, trusted ...spiffeid.TrustDomain) *tls.Config {
	t.Helper()
	if opts.NextProtos == nil {
		opts.NextProtos = []string{"h2"}
	}
	cfg, err := authn.ServerTLS(s, trusted, opts)
	require.NoError(t, err)
	return cfg
}

func TestServerTLSOptions(t *testing.T) {
	src := newSource(t, newAuthority(t, home))
	h2 := authn.TLSOptions{NextProtos: []string{"h2"}}
	tests := []struct {
		name    string
		source  authn.SVIDSource
		trusted []spiffeid.TrustDomain
		opts    authn.TLSOptions
		err     string
	}{
		{"nobody is trusted", src, nil, h2, "no trust domain"},
		{"an empty trust domain", src, []spiffeid.TrustDomain{home, {}}, h2, "empty trust domain"},
		{"no source", nil, []spiffeid.TrustDomain{home}, h2, "no source"},
		{"no protocols", src, []spiffeid.TrustDomain{home}, authn.TLSOptions{}, "no protocols"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := authn.ServerTLS(tt.source, tt.trusted, tt.opts)
			require.ErrorContains(t, err, tt.err)
			require.Nil(t, cfg)
		})
	}
}

func TestServerTLSClients(t *testing.T) {
	ours, theirs, stranger := newAuthority(t, home), newAuthority(t, foreign), newAuthority(t, home)
	src := newSource(t, ours, x509bundle.FromX509Authorities(foreign, []*x509.Certificate{theirs.cert}))
	sandbox := "spiffe://home.test/ns/a"
	tests := []struct {
		name    string
		certs   []tls.Certificate
		trusted []spiffeid.TrustDomain
		id      string
		err     string
	}{
		{name: "a member", certs: []tls.Certificate{ours.issue(t, nil, sandbox)}, id: sandbox},
		{name: "a neighbour by name is somebody else", certs: []tls.Certificate{ours.issue(t, nil, sandbox+"-evil")}, id: sandbox + "-evil"},
		{name: "a federated member", certs: []tls.Certificate{theirs.issue(t, nil, "spiffe://foreign.test/x")},
			trusted: []spiffeid.TrustDomain{home, foreign}, id: "spiffe://foreign.test/x"},
		{name: "a bundle alone is no trust", certs: []tls.Certificate{theirs.issue(t, nil, "spiffe://foreign.test/x")}, err: `"foreign.test" is not trusted`},
		{name: "a foreign authority cannot issue our IDs", certs: []tls.Certificate{theirs.issue(t, nil, sandbox)}, err: "unknown authority"},
		{name: "another authority of our name", certs: []tls.Certificate{stranger.issue(t, nil, sandbox)}, err: "unknown authority"},
		{name: "no certificate", err: "didn't provide a certificate"},
		{name: "no URI SAN", certs: []tls.Certificate{ours.issue(t, nil)}, err: "no URI SAN"},
		{name: "two URI SANs", certs: []tls.Certificate{ours.issue(t, nil, sandbox, "spiffe://home.test/ns/b")}, err: "more than one URI SAN"},
		{name: "a URI that is no SPIFFE ID", certs: []tls.Certificate{ours.issue(t, nil, "https://home.test/ns/a")}, err: "scheme"},
		{name: "no path", certs: []tls.Certificate{ours.issue(t, nil, "spiffe://home.test")}, err: "has a path"},
		{name: "a CA", certs: []tls.Certificate{ours.issue(t, func(c *x509.Certificate) { c.IsCA = true }, sandbox)}, err: "CA flag"},
		{name: "expired", certs: []tls.Certificate{ours.issue(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Second)
		}, sandbox)}, err: "expired"},
		{name: "not valid yet", certs: []tls.Certificate{ours.issue(t, func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		}, sandbox)}, err: "not yet valid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			trusted := tt.trusted
			if trusted == nil {
				trusted = []spiffeid.TrustDomain{home}
			}
			state, got, err := connect(t, serverTLS(t, src, authn.TLSOptions{}, trusted...), clientWith(tt.certs...))
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, uint16(tls.VersionTLS13), got.Version)
			require.Equal(t, "h2", got.NegotiatedProtocol)
			require.Equal(t, src.svid.Certificates[0].Raw, got.PeerCertificates[0].Raw)
			id, err := authn.PeerID(state, time.Now())
			require.NoError(t, err)
			require.Equal(t, spiffeid.RequireFromString(tt.id), id)
		})
	}
}

func TestServerTLSRefusesTLS12(t *testing.T) {
	ours := newAuthority(t, home)
	client := clientWith(ours.issue(t, nil, "spiffe://home.test/ns/a"))
	client.MaxVersion = tls.VersionTLS12
	_, _, err := connect(t, serverTLS(t, newSource(t, ours), authn.TLSOptions{}, home), client)
	require.ErrorContains(t, err, "protocol version")
}

// An SVID is judged by the clock that was passed in, too.
func TestServerTLSClock(t *testing.T) {
	ours := newAuthority(t, home)
	later := func() time.Time { return time.Now().Add(30*time.Minute + time.Second) }
	client := clientWith(ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(30 * time.Minute) }, "spiffe://home.test/ns/a"))
	_, _, err := connect(t, serverTLS(t, newSource(t, ours), authn.TLSOptions{Now: later}, home), client)
	require.ErrorContains(t, err, "expired")
}

// Two defences stand against resumption, and each must hold without the other.
func TestResumption(t *testing.T) {
	tests := []struct {
		name    string
		tickets bool // as if SessionTicketsDisabled had been forgotten
		resumed bool
	}{
		{name: "no tickets", tickets: false, resumed: false},
		{name: "with tickets every connection is still verified", tickets: true, resumed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours := newAuthority(t, home)
			src := newSource(t, ours)
			server := serverTLS(t, src, authn.TLSOptions{}, home)
			if tt.tickets {
				server.SessionTicketsDisabled = false
			}
			client := clientWith(ours.issue(t, nil, "spiffe://home.test/ns/a"))
			client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			client.ServerName = "onedoor"

			_, _, err := connect(t, server, client)
			require.NoError(t, err)
			_, got, err := connect(t, server, client)
			require.NoError(t, err)
			require.Equal(t, tt.resumed, got.DidResume)

			src.trust(x509bundle.NewSet())
			_, _, err = connect(t, server, client)
			require.Error(t, err, "a client whose trust domain is gone came in again")
		})
	}
}

func TestServerTLSWithCertificateFromFiles(t *testing.T) {
	ours := newAuthority(t, home)
	src := newSource(t, ours)
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	web := ours.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"onedoor.test"} })
	writePair(t, cert, key, web)
	files, err := authn.NewCertFiles(cert, key, time.Now, nil)
	require.NoError(t, err)
	server := serverTLS(t, src, authn.TLSOptions{
		NextProtos: []string{"h2", "http/1.1"}, Certificate: files.GetCertificate,
	}, home)

	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	client := &tls.Config{RootCAs: roots, ServerName: "onedoor.test", NextProtos: []string{"http/1.1"}}
	_, _, err = connect(t, server, client)
	require.ErrorContains(t, err, "didn't provide a certificate", "an SVID is still demanded")

	client.Certificates = []tls.Certificate{ours.issue(t, nil, "spiffe://home.test/ns/a")}
	state, got, err := connect(t, server, client)
	require.NoError(t, err)
	require.Equal(t, "http/1.1", got.NegotiatedProtocol)
	id, err := authn.PeerID(state, time.Now())
	require.NoError(t, err)
	require.Equal(t, "spiffe://home.test/ns/a", id.String())
}

func TestPublicTLS(t *testing.T) {
	ours := newAuthority(t, home)
	web := ours.issue(t, nil)
	server, err := authn.PublicTLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &web, nil }, "h2")
	require.NoError(t, err)
	// A client that offers its SVID unasked stays nobody.
	state, got, err := connect(t, server, clientWith(ours.issue(t, nil, "spiffe://home.test/ns/a")))
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), got.Version)
	_, err = authn.PeerID(state, time.Now())
	require.True(t, fault.Is(err, fault.SVIDMissing), "%v", err)

	_, err = authn.PublicTLS(nil, "h2")
	require.ErrorContains(t, err, "no certificate")
	_, err = authn.PublicTLS(server.GetCertificate)
	require.ErrorContains(t, err, "no protocols")
}

func TestPeerID(t *testing.T) {
	ours := newAuthority(t, home)
	good := ours.issue(t, nil, "spiffe://home.test/ns/a").Leaf
	shorter := ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) }).Leaf
	tests := []struct {
		name   string
		chain  []*x509.Certificate
		open   bool // handshake not complete
		at     time.Time
		reason fault.Reason
	}{
		{name: "valid", chain: []*x509.Certificate{good}, at: time.Now()},
		{name: "in its last second", chain: []*x509.Certificate{good}, at: good.NotAfter},
		{name: "expired since the handshake", chain: []*x509.Certificate{good}, at: good.NotAfter.Add(1), reason: fault.SVIDExpired},
		{name: "its intermediate has expired", chain: []*x509.Certificate{good, shorter}, at: time.Now().Add(2 * time.Minute), reason: fault.SVIDExpired},
		{name: "before its time", chain: []*x509.Certificate{good}, at: good.NotBefore.Add(-1), reason: fault.SVIDInvalid},
		{name: "no certificate", at: time.Now(), reason: fault.SVIDMissing},
		{name: "before the handshake's end", chain: []*x509.Certificate{good}, open: true, at: time.Now(), reason: fault.SVIDMissing},
		{name: "two URI SANs", chain: []*x509.Certificate{ours.issue(t, nil, "spiffe://home.test/a", "spiffe://home.test/b").Leaf}, at: time.Now(), reason: fault.SVIDInvalid},
		{name: "no URI SAN", chain: []*x509.Certificate{ours.issue(t, nil).Leaf}, at: time.Now(), reason: fault.SVIDInvalid},
		{name: "no path", chain: []*x509.Certificate{ours.issue(t, nil, "spiffe://home.test").Leaf}, at: time.Now(), reason: fault.SVIDInvalid},
		{name: "a CA", chain: []*x509.Certificate{ours.issue(t, func(c *x509.Certificate) { c.IsCA = true }, "spiffe://home.test/ns/a").Leaf}, at: time.Now(), reason: fault.SVIDInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := authn.PeerID(tls.ConnectionState{HandshakeComplete: !tt.open, PeerCertificates: tt.chain}, tt.at)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Equal(t, spiffeid.RequireFromString("spiffe://home.test/ns/a"), id)
				return
			}
			require.True(t, fault.Is(err, tt.reason), "%v", err)
			require.True(t, id.IsZero())
		})
	}
}

func writePair(t *testing.T, cert, key string, pair tls.Certificate) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}
