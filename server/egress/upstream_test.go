package egress_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

const (
	host   = "crm.test"
	secret = "sk-canary-4f9Qz7Lm2XcVbN8s"
)

// authority is a CA of a test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// server issues a certificate for one name.
func (a *authority) server(t testing.TB, name string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return a.serverWith(t, name, key)
}

// weak is server with an RSA key that is too short, though Go's own TLS takes it.
func (a *authority) weak(t testing.TB, name string) *tls.Config {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return a.serverWith(t, name, key)
}

func (a *authority) serverWith(t testing.TB, name string, key crypto.Signer) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// serve starts an HTTPS upstream for the name crm.test.
func (a *authority) serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = a.server(t, host)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// names is a resolver whose answers a test writes down. It counts the questions.
type names struct {
	mu      sync.Mutex
	answers [][]netip.Addr // one a question; the last one stays
	asked   int
}

func answer(lists ...string) *names {
	n := &names{}
	for _, list := range lists {
		var addrs []netip.Addr
		for _, one := range strings.Fields(list) {
			addrs = append(addrs, netip.MustParseAddr(one))
		}
		n.answers = append(n.answers, addrs)
	}
	return n
}

func (n *names) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name != host+"." {
		return nil, &net.DNSError{Err: "no such host", Name: name, Server: "canary-nameserver", IsNotFound: true}
	}
	at := min(n.asked, len(n.answers)-1)
	n.asked++
	return n.answers[at], nil
}

func (n *names) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// bench is a Door before one upstream.
type bench struct {
	door   *egress.Door
	policy egress.Policy
	origin egress.Origin
	key    egress.PoolKey
	limits egress.Limits
}

func newBench(t testing.TB, ca *authority, addr net.Addr, resolver egress.Resolver) *bench {
	t.Helper()
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	door := egress.New(egress.Options{Resolver: resolver})
	t.Cleanup(door.Close)
	return &bench{
		door:   door,
		policy: egress.Policy{AllowRanges: loopback, RootCAs: ca.pem},
		origin: origin(t, "https://"+host+":"+port),
		key:    egress.PoolKey{Workspace: "w", Connector: "crm", Revision: 1, Credential: "c@1"},
		limits: egress.Limits{Total: 10 * time.Second, MaxResponseBytes: 1 << 20},
	}
}

// upstream starts a server and a Door before it.
func upstream(t testing.TB, h http.HandlerFunc) *bench {
	t.Helper()
	ca := newAuthority(t)
	return newBench(t, ca, ca.serve(t, h).Listener.Addr(), answer("127.0.0.1"))
}

func (b *bench) get(path string) *egress.Request {
	return &egress.Request{Method: "GET", Origin: b.origin, Path: path}
}

func (b *bench) do(t testing.TB, req *egress.Request) (*egress.Response, error) {
	t.Helper()
	return b.door.Do(t.Context(), b.key, b.policy, req, bearer(t), b.limits)
}

// fetch makes an exchange that must come to an answer, and reads it.
func (b *bench) fetch(t testing.TB, req *egress.Request) (*egress.Response, string) {
	t.Helper()
	res, err := b.do(t, req)
	require.NoError(t, err)
	text, err := res.Bytes()
	require.NoError(t, err)
	return res, string(text)
}

// refuse makes an exchange that must fail, in Do or in the body, in that way.
func (b *bench) refuse(t testing.TB, req *egress.Request, kind egress.Kind, sent bool) error {
	t.Helper()
	res, err := b.do(t, req)
	if err == nil {
		var text []byte
		text, err = res.Bytes()
		require.Empty(t, text)
	}
	return requireError(t, err, kind, sent)
}

func requireError(t testing.TB, err error, kind egress.Kind, sent bool) error {
	t.Helper()
	var own *egress.Error
	require.ErrorAs(t, err, &own)
	require.Equal(t, kind, own.Kind, "%v", err)
	require.Equal(t, sent, own.Sent, "%v", err)
	for ; err != nil; err = unwrap(err) {
		for _, form := range []string{fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			require.NotContains(t, form, secret)
			require.NotContains(t, form, "canary")
			require.NotContains(t, form, "/path")
		}
	}
	return own
}

func unwrap(err error) error {
	u, ok := err.(interface{ Unwrap() error })
	if !ok {
		return nil
	}
	return u.Unwrap()
}

func bearer(t testing.TB) egress.Attachment {
	t.Helper()
	att := egress.NewAttachment()
	require.NoError(t, att.SetHeader("Authorization", "Bearer "+secret))
	require.NoError(t, att.Use(egress.NewScrubber([]byte(secret))))
	return att
}

// rawUpstream takes TLS connections and gives each to handle, one after another.
func rawUpstream(t testing.TB, config *tls.Config, handle func(n int, c net.Conn)) net.Addr {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				handle(n, c)
			}()
		}
	}()
	return l.Addr()
}

// readRequest reads a request's bytes up to its header's end and length bytes more.
func readRequest(c net.Conn, length int) string {
	var text strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(text.String(), "\r\n\r\n") {
		if _, err := io.ReadFull(c, one); err != nil {
			return text.String()
		}
		text.Write(one)
	}
	rest := make([]byte, length)
	n, _ := io.ReadFull(c, rest)
	return text.String() + string(rest[:n])
}
