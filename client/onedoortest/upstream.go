package onedoortest

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onedoor/onedoor/server/demo"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// Upstream is a fake upstream: an HTTPS server on loopback that answers by a handler.
type Upstream struct {
	// Name is the connector's name.
	Name string
	// Origin is where it is, https://localhost:PORT.
	Origin string
	// CA is the certificate, as PEM, by which it is known.
	CA string

	mu       sync.Mutex
	accepted []string // credentials; none where the connector has no slot
	keyless  bool
}

// Upstream starts a fake upstream for a connector and applies the connector's manifest,
// pointed at it: origin, network and tls are replaced, and everything else stays. So the
// manifest may be the very one that is applied in production. For each of its slots whose
// secret is sent as it is put (bearer, basic, a header or a query parameter) a random one
// is put, the user's for User. Other secrets are Put by the test.
//
// The handler is called only with requests that carry a secret which was put; others get
// a 401, as they would elsewhere. It runs until the test ends.
func (b *Broker) Upstream(t testing.TB, manifest string, h http.Handler) *Upstream {
	t.Helper()
	certificate, ca, err := demo.OpenCertificate(filepath.Join(b.dir, "upstreams"), time.Now())
	must(t, "make a certificate", err)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	_, port, err := net.SplitHostPort(plain.Addr().String())
	must(t, "listen", err)
	u := &Upstream{Origin: "https://localhost:" + port, CA: string(ca)}
	server := &http.Server{
		Handler: u.guard(h), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.ServeTLS(plain, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-served })

	m, err := readManifest(manifest)
	must(t, "read the manifest", err)
	must(t, "read the manifest", m.point(u.Origin, u.CA))
	u.Name, u.keyless = m.Connector, len(m.Credentials) == 0
	text, err := m.text()
	must(t, "write the manifest", err)
	b.mu.Lock()
	b.upstreams[u.Name] = u
	b.mu.Unlock()
	b.Apply(t, text)
	for slot, s := range m.Credentials {
		if secret := s.secret(); secret != "" {
			user := ""
			if s.Owner == "user" {
				user = User
			}
			b.Put(t, Secret{Connector: u.Name, Slot: slot, User: user, Text: secret})
		}
	}
	return u
}

// guard lets through what carries a credential.
func (u *Upstream) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !u.accepts(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (u *Upstream) accepts(r *http.Request) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keyless {
		return true
	}
	var where strings.Builder
	_ = r.Header.Write(&where)
	for _, values := range r.URL.Query() {
		where.WriteString(strings.Join(values, "\n"))
	}
	for _, secret := range u.accepted {
		if strings.Contains(where.String(), secret) || strings.Contains(where.String(), base64.StdEncoding.EncodeToString([]byte(secret))) {
			return true
		}
	}
	return false
}

// Apply applies a manifest as it is, as the operator.
func (b *Broker) Apply(t testing.TB, manifest string) {
	t.Helper()
	_, err := b.operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: manifest})
	must(t, "apply the manifest", err)
}

// Secret is a credential to store.
type Secret struct {
	// Connector is the connector's name. Required.
	Connector string
	// Slot is the connector's slot; empty means "main".
	Slot string
	// User is whose it is; empty means the workspace's.
	User string
	// Text is the secret, in the form that the slot's `attach` asks for.
	Text string
}

// Put stores a secret as the operator, beside or in the place of what stands there. The
// connector's Upstream accepts it from then on.
func (b *Broker) Put(t testing.TB, s Secret) {
	t.Helper()
	b.mu.Lock()
	u := b.upstreams[s.Connector]
	b.mu.Unlock()
	if u != nil {
		u.mu.Lock()
		u.accepted = append(u.accepted, s.Text)
		u.mu.Unlock()
	}
	request := &onedoorv1.CredentialsPutRequest{Connector: s.Connector, Slot: s.Slot, Secret: []byte(s.Text)}
	request.Owner = &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true}
	if s.User != "" {
		request.Owner = &onedoorv1.CredentialsPutRequest_User{User: s.User}
	}
	_, err := b.operator.Credentials().Put(t.Context(), request)
	must(t, "put a credential", err)
}
