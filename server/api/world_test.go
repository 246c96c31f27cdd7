package api_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/api"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

const (
	invoke = "/onedoor.v1.Broker/Invoke"
	apply  = "/onedoor.v1.Connectors/Apply"
)

// world is a chain with a recorded trail, one task, and the identities of a workspace.
type world struct {
	chain *api.Chain
	trail *trail
	key   string
	task  task.Task
	// mu guards what TaskByKey reads, where that changes while calls run.
	mu sync.Mutex
	// validated counts how often a request was validated.
	validated int
	// afterFirst changes the store as soon as the task was read.
	afterFirst func()
	// down is the store's failure.
	down    error
	invalid error
	spans   *tracetest.InMemoryExporter
	log     bytes.Buffer // of one call at a time
}

func spiffe(path string) spiffeid.ID {
	return spiffeid.RequireFromString("spiffe://test.example" + path)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := task.NewKey(rand.Reader)
	require.NoError(t, err)
	w := &world{trail: &trail{}, key: key.Reveal()}
	w.task = task.Task{
		Workspace: "default", ID: uuid.NewString(), RootID: "root", KeyID: "key-id", State: task.Active,
		Sandbox: spiffe("/sandbox/one"), ExpiresAt: time.Now().Add(time.Hour),
	}
	directory, err := authn.NewDirectory([]authn.Workspace{
		{Name: "default", Operators: []spiffeid.ID{spiffe("/operator")}, Orchestrators: []authn.Orchestrator{{
			ID: spiffe("/orchestrator"), Sandboxes: spiffe("/sandbox"), MaxTTL: time.Hour, MaxSeverity: grant.Admin, Connectors: []string{"*"},
		}}},
		{Name: "other", Operators: []spiffeid.ID{spiffe("/elsewhere")}},
	})
	require.NoError(t, err)
	metrics, err := api.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	denied, err := authn.OpenDenyList("")
	require.NoError(t, err)
	w.chain = api.NewChain(api.Options{
		Authn: authn.New(authn.Options{
			Tasks: w, Digester: w, Now: time.Now, WallNow: time.Now, Denied: denied,
			Cache: lease.New[authn.Digest, *authn.Session](time.Nanosecond, time.Now, 10),
		}),
		Directory: directory, Trail: w.trail, Metrics: metrics,
		Limits:   w.limits(),
		Tracer:   tracer(w),
		Validate: func(proto.Message) error { w.validated++; return w.invalid },
		NewID:    uuid.NewString, Now: time.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

func tracer(w *world) trace.Tracer {
	w.spans = tracetest.NewInMemoryExporter()
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans)).Tracer("test")
}

// Digests and TaskByKey stand in for pepper and store: a key's digest is its text.
func (w *world) Digests(key []byte) [][]byte {
	return [][]byte{append(make([]byte, 0, 64), key[:32]...)}
}

func (w *world) TaskByKey(_ context.Context, digests [][]byte) (authn.Found, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return authn.Found{}, w.down
	}
	if string(digests[0]) != w.key[:32] {
		return authn.Found{}, store.ErrNotFound
	}
	found := authn.Found{Task: w.task, KeyDigest: digests[0]}
	if w.afterFirst != nil {
		w.afterFirst()
	}
	return found, nil
}

// sandbox is the context of the right sandbox with the right key.
func (w *world) sandbox() context.Context {
	return withKey(as(spiffe("/sandbox/one")), w.key)
}

func withKey(ctx context.Context, key string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+key))
}

// as is the context of a call over mutual TLS by a workload.
func as(id spiffeid.ID) context.Context {
	return over(&x509.Certificate{URIs: []*url.URL{id.URL()}, NotAfter: time.Now().Add(time.Hour), NotBefore: time.Now().Add(-time.Hour)})
}

func over(leaf *x509.Certificate) context.Context {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	leaf.SerialNumber, leaf.KeyUsage = big.NewInt(1), x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		panic(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{parsed}, HandshakeComplete: true, Version: tls.VersionTLS13}
	return peer.NewContext(context.Background(), &peer.Peer{
		Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, AuthInfo: credentials.TLSInfo{State: state},
	})
}

// call runs one unary RPC through the chain.
func (w *world) call(t *testing.T, ctx context.Context, method string, handler func(context.Context) error) error { //nolint:revive // t first, as in every test
	t.Helper()
	return w.send(ctx, method, &onedoorv1.InvokeRequest{Connector: "crm", Tool: "contacts.get"}, handler)
}

func (w *world) send(ctx context.Context, method string, request any, handler func(context.Context) error) error {
	_, err := w.chain.Unary(ctx, request, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
		return nil, handler(ctx)
	})
	return err
}

// trail remembers what the chain records.
type trail struct {
	mu       sync.Mutex
	refusals []audit.Event
	admin    []audit.Event
	outcomes []audit.Outcome
	down     error
}

func (r *trail) Refuse(_ context.Context, e audit.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals = append(r.refusals, e)
	return r.down
}

func (r *trail) BeginAdmin(_ context.Context, e audit.Event) (audit.Intent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return audit.Intent{}, r.down
	}
	r.admin = append(r.admin, e)
	return audit.Intent{}, nil
}

func (r *trail) Finish(_ audit.Intent, o audit.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}
