// Package authn establishes who calls: the workload by its SVID, and for sandboxes
// the task by its key.
//
//	TLS peer ──► SPIFFE ID (valid now) ──► role and workspace      operators, orchestrators
//	         └─► + task key ──► digest ──► live task bound to
//	             exactly this SPIFFE ID ──► task.Caller            sandboxes
package authn

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// ErrKeyTheft is the cause behind the TASK_KEY_INVALID of a key that was presented
// under another SPIFFE ID than its own: proof that it was stolen. The caller is not
// told; the audit trail is.
var ErrKeyTheft = errors.New("task key presented under another SPIFFE ID")

// Digester gives the digests under which a key may be stored, the current one first.
type Digester interface {
	Digests(key []byte) [][]byte
}

// Options are what an Authenticator is made of.
type Options struct {
	Tasks    Tasks
	Digester Digester
	// Now is the store's clock: a task's end is judged by it.
	Now func() time.Time
	// Cache remembers tasks for as long as their lease runs.
	Cache *lease.Cache[Digest, *Session]
	// JWT verifies JWT-SVIDs; nil where none are accepted.
	JWT JWTVerifier
	// Denied refuses single SPIFFE IDs.
	Denied *DenyList
	// WallNow judges certificates; it is the machine's clock.
	WallNow func() time.Time
}

// Digest is the digest of a key under the current pepper.
type Digest [32]byte

// Session is what is remembered of a task while its lease runs.
type Session struct {
	Task   task.Task
	Grants *grant.Set
	digest []byte
}

// JWTVerifier verifies a JWT-SVID for this broker as its only audience.
type JWTVerifier interface {
	Verify(ctx context.Context, token string) (spiffeid.ID, error)
}

// Authenticator authenticates workloads and tasks.
type Authenticator struct{ o Options }

// New makes an Authenticator.
func New(o Options) *Authenticator { return &Authenticator{o} }

// Peer is a workload that proved who it is.
type Peer struct {
	ID      spiffeid.ID
	Method  string // "x509-svid" or "jwt-svid"
	Address string
}

// JWTHeader is the metadata key that carries a JWT-SVID; the REST listener made for
// them is the only one that passes it on.
const JWTHeader = "x-onedoor-jwt-svid"

// Address is the network address of the other side of an RPC.
func Address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

// Workload establishes the SPIFFE ID of the peer of an RPC: from its certificate, or,
// on a connection without one, from a JWT-SVID. No other header says who calls.
func (a *Authenticator) Workload(ctx context.Context) (Peer, error) {
	who, err := a.workload(ctx)
	if err == nil && a.o.Denied.Denies(who.ID) {
		return who, fault.New(fault.CallerNotAllowed, "this SPIFFE ID is denied", nil).With("mend", "deny_list")
	}
	return who, err
}

func (a *Authenticator) workload(ctx context.Context) (Peer, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Peer{}, fault.New(fault.SVIDMissing, "no SVID: connect over mutual TLS", nil)
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return Peer{}, fault.New(fault.SVIDMissing, "no SVID: connect over mutual TLS", nil)
	}
	if len(info.State.PeerCertificates) == 0 && a.o.JWT != nil {
		return a.bearer(ctx)
	}
	id, err := PeerID(info.State, a.o.WallNow())
	if err != nil {
		return Peer{Address: Address(ctx)}, err
	}
	return Peer{ID: id, Method: "x509-svid", Address: Address(ctx)}, nil
}

func (a *Authenticator) bearer(ctx context.Context) (Peer, error) {
	who := Peer{Address: Address(ctx)}
	md, _ := metadata.FromIncomingContext(ctx)
	tokens := md.Get(JWTHeader)
	if len(tokens) != 1 {
		return who, fault.New(fault.SVIDMissing, "no SVID: send exactly one JWT-SVID in X-Onedoor-Jwt-Svid", nil)
	}
	id, err := a.o.JWT.Verify(ctx, tokens[0])
	if err != nil {
		return who, fault.New(fault.SVIDInvalid, "the JWT-SVID is not valid for this broker", err)
	}
	who.ID, who.Method = id, "jwt-svid"
	return who, nil
}

// Task authenticates a sandbox: the key must be well formed, stored, bound to exactly
// this peer's SPIFFE ID, and its task live. On an error the Session is what is known
// for the record, or nil.
func (a *Authenticator) Task(ctx context.Context, who Peer, keyText string) (*Session, error) {
	key, err := task.ParseKey(keyText)
	if err != nil {
		return nil, fault.New(fault.TaskKeyInvalid, "the task key is missing or malformed: send `authorization: Bearer KEY`", nil)
	}
	digests := a.o.Digester.Digests([]byte(key.Reveal()))
	if len(digests) == 0 {
		return nil, fault.New(fault.Internal, "internal error", errors.New("no pepper is loaded"))
	}
	s, err := a.o.Cache.Get(ctx, Digest(digests[0]), func(ctx context.Context) (*Session, error) {
		return a.load(ctx, digests)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, keyInvalid(nil)
	case err != nil:
		return nil, fault.New(fault.StoreUnavailable, "the task cannot be looked up now; try again", err)
	case !oneOf(s.digest, digests):
		return nil, keyInvalid(nil)
	case s.Task.Sandbox != who.ID:
		return s, keyInvalid(ErrKeyTheft)
	}
	return s, a.alive(&s.Task)
}

func (a *Authenticator) alive(t *task.Task) error {
	if t.State == task.Pending {
		return fault.New(fault.ApprovalRequired, "the task waits for approval", nil)
	}
	if !t.Live(a.o.Now()) {
		return fault.New(fault.TaskEnded, "the task has ended ("+string(t.StateAt(a.o.Now()))+"); ask for a new one", nil)
	}
	return nil
}

func (a *Authenticator) load(ctx context.Context, digests [][]byte) (*Session, error) {
	f, err := a.o.Tasks.TaskByKey(ctx, digests)
	if err != nil {
		return nil, err
	}
	return &Session{Task: f.Task, Grants: grant.NewSet(f.Grants), digest: f.KeyDigest}, nil
}

func keyInvalid(cause error) error {
	return fault.New(fault.TaskKeyInvalid, "the task key is not valid for this workload", cause)
}

func oneOf(digest []byte, digests [][]byte) bool {
	for _, d := range digests {
		if subtle.ConstantTimeCompare(d, digest) == 1 {
			return true
		}
	}
	return false
}
