// Package devspiffe is a SPIFFE authority for development and tests. It serves the
// real Workload API, so that a program speaks to it as it does to SPIRE: one unix
// socket a workload, and who can open the socket is that workload.
//
//	Add(workload) ─► socket, mode 0600 ─► X.509-SVIDs, anew at each half-life
//	                                  └─► JWT-SVIDs on demand, bundles of all domains
//
// There is no attestation and nothing is kept: a new process is a new authority whose
// SVIDs no older one would believe. In production a real SPIFFE implementation stands
// in its place. (SPIFFE's own "Broker API" is another thing, which is not served.)
package devspiffe

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// DefaultLife is how long SVIDs live unless told otherwise: so short that
	// every program sees rotations while it is still being written.
	DefaultLife = 5 * time.Minute
	// MaxJWTLife is the longest life of a JWT-SVID: it is a bearer token.
	MaxJWTLife = 5 * time.Minute
)

// Options are what an Authority is made of.
type Options struct {
	// TrustDomain is whose authority it is. Required.
	TrustDomain spiffeid.TrustDomain
	// Dir is the folder of the sockets. It is made with mode 0700; one that is
	// there already must be closed to others.
	Dir string
	// Now dates what is issued; nil means time.Now.
	Now func() time.Time
	// Rand is where serial numbers come from; nil means crypto/rand. (Keys always
	// come from there.)
	Rand io.Reader
	// SVIDLife is how long an X.509-SVID lives; zero means DefaultLife.
	SVIDLife time.Duration
	// JWTLife is how long a JWT-SVID lives; zero means MaxJWTLife, and more is refused.
	JWTLife time.Duration
	// Log hears of workloads that come and go; nil means slog.Default.
	Log *slog.Logger
}

// Workload is an identity and how it is handed out.
type Workload struct {
	// ID is its SPIFFE ID, a member of the trust domain with a path.
	ID spiffeid.ID
	// Socket is the file name of its socket in Options.Dir.
	Socket string
	// DNSNames and IPs stand in its X.509-SVID besides the ID, for servers whose
	// clients verify host names.
	DNSNames []string
	IPs      []net.IP
}

// Authority issues SVIDs to the workloads that were added. It is safe for concurrent use.
type Authority struct {
	o      Options
	issuer *issuer

	mu        sync.Mutex
	endpoints map[string]*endpoint // by socket name
	federated map[spiffeid.TrustDomain]*spiffebundle.Bundle
	changed   chan struct{} // closed, and replaced, when streams have news to send
	closed    bool
}

// New makes an authority with new keys, and the folder for its sockets.
func New(o Options) (*Authority, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.SVIDLife == 0 {
		o.SVIDLife = DefaultLife
	}
	if o.JWTLife == 0 {
		o.JWTLife = MaxJWTLife
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	switch {
	case o.TrustDomain.IsZero():
		return nil, errors.New("devspiffe: no trust domain")
	case o.SVIDLife < time.Second: // certificates count in seconds
		return nil, fmt.Errorf("devspiffe: X.509-SVIDs that live %v", o.SVIDLife)
	case o.JWTLife < time.Second || o.JWTLife > MaxJWTLife:
		return nil, fmt.Errorf("devspiffe: JWT-SVIDs that live %v, not between 1s and %v", o.JWTLife, MaxJWTLife)
	}
	dir, err := privateDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("devspiffe: %w", err)
	}
	o.Dir = dir
	issuer, err := newIssuer(o)
	if err != nil {
		return nil, fmt.Errorf("devspiffe: %w", err)
	}
	return &Authority{
		o: o, issuer: issuer,
		endpoints: map[string]*endpoint{},
		federated: map[spiffeid.TrustDomain]*spiffebundle.Bundle{},
		changed:   make(chan struct{}),
	}, nil
}

// Add begins to serve a workload and returns the address of its Workload API, as
// SPIFFE_ENDPOINT_SOCKET has it. The socket of a workload that was removed may be
// given to another.
func (a *Authority) Add(w Workload) (address string, err error) {
	if err := a.check(w); err != nil {
		return "", fmt.Errorf("devspiffe: %w", err)
	}
	path := filepath.Join(a.o.Dir, w.Socket)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return "", errors.New("devspiffe: closed")
	}
	for _, e := range a.endpoints {
		if e.workload != nil && (e.workload.ID == w.ID || e.workload.Socket == w.Socket) {
			return "", fmt.Errorf("devspiffe: %s is served at the socket %s already", e.workload.ID, e.workload.Socket)
		}
	}
	e := a.endpoints[w.Socket]
	if e == nil {
		if e, err = a.serve(path); err != nil {
			return "", fmt.Errorf("devspiffe: %w", err)
		}
		a.endpoints[w.Socket] = e
	}
	e.workload = &w
	a.o.Log.Info("workload added", "spiffe_id", w.ID, "socket", path)
	return "unix://" + path, nil
}

func (a *Authority) check(w Workload) error {
	if !w.ID.MemberOf(a.o.TrustDomain) || w.ID.Path() == "" {
		return fmt.Errorf("%q is not the ID of a workload in %q", w.ID, a.o.TrustDomain)
	}
	if w.Socket == "" || w.Socket == "." || w.Socket == ".." || strings.ContainsAny(w.Socket, "/\x00") {
		return fmt.Errorf("%q is not a file name for a socket", w.Socket)
	}
	return nil
}

// Remove takes the identity from a workload: its streams end, and its calls are
// refused with PermissionDenied. What was issued to it before lives on until it expires.
func (a *Authority) Remove(id spiffeid.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.endpoints {
		if e.workload != nil && e.workload.ID == id {
			e.workload = nil
			a.o.Log.Info("workload removed", "spiffe_id", id)
		}
	}
	a.announce()
}

// Federate hands the bundle of a foreign trust domain to every workload, in place of
// the one before. Our own trust domain cannot be replaced in this way.
func (a *Authority) Federate(b *spiffebundle.Bundle) error {
	if b.TrustDomain() == a.o.TrustDomain {
		return fmt.Errorf("devspiffe: %q is our own trust domain", b.TrustDomain())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.federated[b.TrustDomain()] = b.Clone()
	a.announce()
	return nil
}

// Rotate issues new X.509-SVIDs to every open stream now.
func (a *Authority) Rotate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.announce()
}

// Bundle holds the public keys by which this authority's SVIDs are verified.
func (a *Authority) Bundle() *spiffebundle.Bundle { return a.issuer.bundle.Clone() }

// BundlePEM is the X.509 part of Bundle, for clients that read files.
func (a *Authority) BundlePEM() []byte { return a.issuer.pem() }

// Close ends every stream, waits for it, and removes the sockets.
func (a *Authority) Close() {
	a.mu.Lock()
	a.closed = true
	endpoints := a.endpoints
	a.endpoints = map[string]*endpoint{}
	a.mu.Unlock()
	for _, e := range endpoints {
		e.stop()
	}
}

// announce wakes every open stream. The caller holds the lock.
func (a *Authority) announce() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// view is what one answer is made of: who asks (nil: nobody any more), the bundles of
// all trust domains, ours first, and the channel that closes when any of it changes.
func (a *Authority) view(e *endpoint) (w *Workload, bundles []*spiffebundle.Bundle, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	bundles = append(bundles, a.issuer.bundle)
	for _, b := range a.federated {
		bundles = append(bundles, b)
	}
	return e.workload, bundles, a.changed
}

// privateDir makes the folder, or sees that it is closed to others: between the
// moments in which a socket is made and its mode is set, nothing else protects it.
func privateDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no folder for the sockets")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is open to others (mode %04o): chmod 700 it, or name another folder", dir, info.Mode().Perm())
	}
	return dir, nil
}
