package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Upstream is an HTTPS server under a CA of its own. It speaks HTTP/1.1 and keeps
// every byte that it received, as it came.
type Upstream struct {
	// Origin is its origin as a manifest has it, and CA the certificate to trust.
	Origin string
	CA     string
	Port   string

	mu   sync.Mutex
	wire strings.Builder
	open map[string]bool
}

// NewUpstream serves as localhost until the test ends.
func NewUpstream(t testing.TB, h http.Handler) *Upstream {
	t.Helper()
	return NewNamedUpstream(t, h, "localhost")
}

// NewNamedUpstream serves on 127.0.0.1 under names; the first one is in its origin.
func NewNamedUpstream(t testing.TB, h http.Handler, names ...string) *Upstream {
	t.Helper()
	certificate, ca := Certificate(t, names...)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u := &Upstream{CA: ca, open: map[string]bool{}}
	_, port, err := net.SplitHostPort(plain.Addr().String())
	require.NoError(t, err)
	u.Origin, u.Port = "https://"+names[0]+":"+port, port
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(discard{}, "", 0), ConnState: u.state}
	listener := recorder{tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}), u}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return u
}

// state keeps who is connected.
func (u *Upstream) state(c net.Conn, to http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch to {
	case http.StateClosed, http.StateHijacked:
		delete(u.open, c.RemoteAddr().String())
	default:
		u.open[c.RemoteAddr().String()] = true
	}
}

// Open gives the remote addresses of the connections that are open now.
func (u *Upstream) Open() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.open))
}

// Wire gives all that was received so far, of all connections in one.
func (u *Upstream) Wire() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wire.String()
}

// Requests counts the requests received so far.
func (u *Upstream) Requests() int { return strings.Count(u.Wire(), " HTTP/1.1\r\n") }

// Manifest describes the upstream as a connector. credentials is the YAML of the
// manifest's slots in flow style, tools the indented YAML of its tools.
func (u *Upstream) Manifest(name, credentials, tools string) string {
	return Manifest(name, u.Origin, u.CA, credentials, tools)
}

// Manifest writes the manifest of a connector whose upstream is on loopback.
func Manifest(name, origin, ca, credentials, tools string) string {
	var b strings.Builder
	b.WriteString("connector: " + name + "\nkind: http\norigin: " + origin + "\nnetwork: {allow: [127.0.0.0/8]}\n")
	if ca != "" {
		b.WriteString("tls:\n  ca: |\n")
		for line := range strings.Lines(ca) {
			b.WriteString("    " + line)
		}
	}
	if credentials != "" {
		b.WriteString("credentials: " + credentials + "\n")
	}
	b.WriteString("tools:\n" + tools)
	return b.String()
}

// Things are tools with which most can be tried: one of each way to place arguments.
const Things = `  - name: things.get
    severity: READ
    method: GET
    path: /things/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["thing:{id}"]
    response: {headers: [X-Kind], max_bytes: 1MiB}
    timeout: 10s
  - name: things.find
    severity: READ
    method: GET
    path: /things
    query: {q: q}
    arguments: {type: object, required: [q], properties: {q: {type: string}}}
    resources: ["thing:*"]
    response: {max_bytes: 1MiB}
    timeout: 10s
  - name: things.make
    severity: WRITE
    method: POST
    path: /things
    body: all
    arguments: {type: object, required: [name], properties: {name: {type: string}, size: {type: integer}, price: {type: number}}}
    resources: ["thing:*"]
    response: {max_bytes: 1MiB}
    timeout: 10s
`

// Certificate makes a server certificate for names, and the CA's PEM that signs it.
func Certificate(t testing.TB, names ...string) (tls.Certificate, string) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return k
	}
	template := func(serial int64, subject string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: subject},
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		}
	}
	caKey, leafKey := key(), key()
	authority := template(1, "Test CA")
	authority.IsCA, authority.KeyUsage = true, x509.KeyUsageCertSign
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	require.NoError(t, err)
	leaf := template(2, names[0])
	leaf.DNSNames, leaf.KeyUsage = names, x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), caKey)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: leafKey}, string(text)
}

// recorder gives connections whose received bytes are kept, behind TLS.
type recorder struct {
	net.Listener
	u *Upstream
}

func (r recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recorded{conn, r.u}, nil
}

type recorded struct {
	net.Conn
	u *Upstream
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	r.u.wire.Write(p[:n])
	return n, err
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
