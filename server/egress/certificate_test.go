package egress_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// client issues a client certificate to a name, good for some time.
func (a *authority) client(t testing.TB, name string, life time.Duration) (egress.Certificate, *x509.Certificate) {
	t.Helper()
	leaf, key := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(life),
	})
	c, err := egress.NewCertificate([]*x509.Certificate{leaf}, key)
	require.NoError(t, err)
	return c, leaf
}

func (a *authority) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return leaf, key
}

// mutual serves to clients that have a certificate of clients; it says whose it saw.
func (a *authority) mutual(t testing.TB, clients *authority, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %v", r.TLS.PeerCertificates[0].Subject.CommonName, r.TLS.DidResume)
	}))
	s.TLS = a.server(t, host)
	s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	s.TLS.ClientCAs.AddCert(clients.cert)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if change != nil {
		change(s)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func showing(t testing.TB, c egress.Certificate) egress.Attachment {
	t.Helper()
	att := bearer(t)
	require.NoError(t, att.SetCertificate(c))
	return att
}

// ask makes an exchange that shows a certificate and gives the answer's text.
func (b *bench) ask(t testing.TB, c egress.Certificate) (string, error) {
	t.Helper()
	res, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), showing(t, c), b.limits)
	if err != nil {
		return "", err
	}
	text, err := res.Bytes()
	return string(text), err
}

// TestTheCertificateIsShown over every protocol, and no TLS session is resumed: it would
// carry the certificate of the connection before it.
func TestTheCertificateIsShown(t *testing.T) {
	for name, change := range map[string]func(*httptest.Server){
		"HTTP/2":   nil,
		"HTTP/1.1": func(s *httptest.Server) { s.EnableHTTP2 = false },
		"TLS 1.2":  func(s *httptest.Server) { s.TLS.MaxVersion = tls.VersionTLS12 },
		// An upstream that names the CAs of its clients; Go leaves the certificate out
		// where none of them fits, unless it is told not to.
		"to an upstream that prefers others": func(s *httptest.Server) {
			s.TLS.ClientAuth = tls.RequireAnyClientCert
			s.TLS.ClientCAs = x509.NewCertPool()
			_, another := newAuthority(t).client(t, "another CA", time.Hour)
			s.TLS.ClientCAs.AddCert(another)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			connections := map[string]bool{}
			server := ca.mutual(t, ca, func(s *httptest.Server) {
				whose := s.Config.Handler
				s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					connections[r.RemoteAddr] = true
					w.Header().Set("Connection", "close") // so that the same pool makes another one
					whose.ServeHTTP(w, r)
				})
				if change != nil {
					change(s)
				}
			})
			b := newBench(t, ca, server.Listener.Addr(), answer("127.0.0.1"))
			alice, leaf := ca.client(t, "alice", time.Hour)
			sum := sha256.Sum256(leaf.Raw)
			require.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:]), showing(t, alice).Certificate().Thumbprint())
			require.Equal(t, leaf.NotAfter, alice.NotAfter())
			for range 5 {
				text, err := b.ask(t, alice)
				require.NoError(t, err)
				require.Equal(t, "alice false", text)
			}
			require.Greater(t, len(connections), 1)
		})
	}
}

// TestConnectionsShowOneCertificate: under one pool key, two certificates in turn, and
// both at once, never share a connection.
func TestConnectionsShowOneCertificate(t *testing.T) {
	ca := newAuthority(t)
	b := newBench(t, ca, ca.mutual(t, ca, nil).Listener.Addr(), answer("127.0.0.1"))
	alice, _ := ca.client(t, "alice", time.Hour)
	bob, _ := ca.client(t, "bob", 2*time.Hour)
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for range 250 {
				for name, c := range map[string]egress.Certificate{"alice": alice, "bob": bob} {
					if text, err := b.ask(t, c); err != nil || text != name+" false" {
						t.Errorf("%s's: %q, %v", name, text, err)
						return
					}
				}
			}
		})
	}
	load.Wait()
	_, err := b.do(t, b.get("/path"))
	require.Error(t, err, "what shows no certificate rides on nobody's connection")
}

// TestARenewedCertificateSupersedes: the connections of the one before it are closed, but
// for the exchange that still runs there.
func TestARenewedCertificateSupersedes(t *testing.T) {
	ca := newAuthority(t)
	hold, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	var mu sync.Mutex
	states := map[net.Conn]http.ConnState{}
	open := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, state := range states {
			if state != http.StateClosed {
				n++
			}
		}
		return n
	}
	server := ca.mutual(t, ca, func(s *httptest.Server) {
		answer := s.Config.Handler
		s.EnableHTTP2 = false
		s.Config.ConnState = func(c net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states[c] = state
		}
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Hold") != "" {
				close(held)
				<-hold
			}
			answer.ServeHTTP(w, r)
		})
	})
	defer release() // before the server is closed, which waits for it
	b := newBench(t, ca, server.Listener.Addr(), answer("127.0.0.1"))
	before, _ := ca.client(t, "before", time.Hour)
	after, _ := ca.client(t, "after", 2*time.Hour)
	running := make(chan string)
	go func() {
		req := b.get("/path")
		req.Header = http.Header{"X-Hold": {"1"}}
		res, err := b.door.Do(t.Context(), b.key, b.policy, req, showing(t, before), b.limits)
		if err != nil {
			running <- err.Error()
			return
		}
		text, _ := res.Bytes()
		running <- string(text)
	}()
	<-held
	_, err := b.ask(t, before)
	require.NoError(t, err)
	require.Equal(t, 2, open())
	_, err = b.ask(t, after)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return open() == 2 }, time.Minute, time.Millisecond, "the running one and the new one")
	release()
	require.Equal(t, "before false", <-running)
	require.Eventually(t, func() bool { return open() == 1 }, time.Minute, time.Millisecond, "nothing keeps the old one")
	late, err := b.ask(t, before)
	require.NoError(t, err)
	require.Equal(t, "before false", late, "a late call shows what it was made with")
}

// TestWhoWillNotKnowUsGetsNothing: an upstream that asks for no certificate, or takes
// another's alone.
func TestWhoWillNotKnowUsGetsNothing(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	alice, _ := ca.client(t, "alice", time.Hour)
	requests := 0
	silent := ca.serve(t, func(http.ResponseWriter, *http.Request) { requests++ })
	_, err := newBench(t, ca, silent.Listener.Addr(), answer("127.0.0.1")).ask(t, alice)
	require.ErrorContains(t, requireError(t, err, egress.Denied, false), "asked for no client certificate")
	require.Zero(t, requests)

	older := ca.mutual(t, other, func(s *httptest.Server) { s.TLS.MaxVersion = tls.VersionTLS12 })
	_, err = newBench(t, ca, older.Listener.Addr(), answer("127.0.0.1")).ask(t, alice)
	require.ErrorContains(t, requireError(t, err, egress.Unreachable, false), "the TLS handshake was refused")
	// TLS 1.3 lets the client finish first: that it was refused comes after the request.
	_, err = newBench(t, ca, ca.mutual(t, other, nil).Listener.Addr(), answer("127.0.0.1")).ask(t, alice)
	requireError(t, err, egress.Lost, true)
}

func TestNewCertificateRefuses(t *testing.T) {
	ca := newAuthority(t)
	leaf, key := ca.issue(t, &x509.Certificate{NotAfter: time.Now().Add(time.Hour)})
	_, otherKey := ca.issue(t, &x509.Certificate{NotAfter: time.Now().Add(time.Hour)})
	_, err := egress.NewCertificate(nil, key)
	require.Error(t, err)
	_, err = egress.NewCertificate([]*x509.Certificate{leaf}, nil)
	require.Error(t, err)
	_, err = egress.NewCertificate([]*x509.Certificate{leaf}, otherKey)
	require.ErrorContains(t, err, "not that of the leaf")

	c, err := egress.NewCertificate([]*x509.Certificate{leaf, ca.cert}, key)
	require.NoError(t, err)
	att := egress.NewAttachment()
	require.Error(t, att.SetCertificate(egress.Certificate{}))
	require.Error(t, egress.Attachment{}.SetCertificate(c))
	require.Empty(t, att.Certificate().Thumbprint())
	require.Zero(t, att.Certificate().NotAfter())
	require.NoError(t, att.SetCertificate(c))
	require.Error(t, att.SetCertificate(c), "one connection has one identity")
	require.Equal(t, c.Thumbprint(), att.Copy().Certificate().Thumbprint())
}

// TestTheKeyIsKept out of prints.
func TestTheKeyIsKept(t *testing.T) {
	ca := newAuthority(t)
	c, _ := ca.client(t, "alice", time.Hour)
	att := showing(t, c)
	for _, v := range []any{c, &c, struct{ C egress.Certificate }{c}, att, struct{ a any }{att}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
			require.Less(t, len(fmt.Sprintf(verb, v)), 120, verb)
		}
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.Less(t, len(text), 60)
	}
}
