package broker_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/limit"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/upstream"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	workspace = "default"
	secret    = "sk-canary-4f9Qz7Lm2XcVbN8s"
)

const manifest = `
connector: crm
kind: http
origin: https://example.com:{{port}}
network: {allow: [127.0.0.0/8]}
tls:
  ca: |
{{ca}}
credentials:
  main: {owner: user, attach: bearer}
tools:
  - name: contacts.get
    severity: READ
    method: GET
    path: /contacts/{id}
    arguments: {type: object, required: [id], properties: {id: {type: [string, integer]}}}
    resources: ["contact:{id}"]
    response: {max_bytes: 1KiB, headers: [X-Total]}
    timeout: 30s
  - name: contacts.list
    severity: READ
    method: POST
    path: /list
    body: all
    arguments: {type: object, properties: {q: {}, n: {}}}
    resources: ["contact:*"]
    response: {max_bytes: 1KiB, rows: /items}
    timeout: 30s
  - name: contacts.add
    severity: WRITE
    method: POST
    path: /contacts
    body: all
    arguments: {type: object, properties: {name: {type: string}}}
    resources: ["contact:*"]
    timeout: 30s
  - name: contacts.slow
    severity: WRITE
    method: POST
    path: /slow
    resources: ["contact:*"]
    timeout: 1s
  - name: contacts.slow_read
    severity: READ
    method: GET
    path: /slow
    resources: ["contact:*"]
    timeout: 1s
  - name: contacts.delete
    severity: DESTRUCTIVE
    method: DELETE
    path: /contacts/{id}
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
    resources: ["contact:{id}"]
`

// names answers every question with one address.
type names struct {
	addr  atomic.Value
	asked func() // nil, or what happens then
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if n.asked != nil {
		n.asked()
	}
	return []netip.Addr{n.addr.Load().(netip.Addr)}, nil
}

// failing is the real store of the trail, told to fail every write.
type failing struct {
	audit.Store
	down    atomic.Bool
	written func() // nil, or what happens then
}

func (f *failing) Write(ctx context.Context, run func(context.Context, audit.Tx) error) error {
	if f.down.Load() {
		return fmt.Errorf("the test's store fails: %w", store.ErrUnavailable)
	}
	if f.written != nil {
		f.written()
	}
	return f.Store.Write(ctx, run)
}

// bench is a Broker made of the real things, before one upstream.
type bench struct {
	*broker.Broker
	options     broker.Options
	store       *sqlstore.Store
	trail       *audit.Log
	trailStore  *failing
	connectors  *connector.Registry
	credentials *credential.Keeper
	upstream    *httptest.Server
	names       *names
	hits        atomic.Int64
	alice       task.User
	revision    int64

	mu     sync.Mutex
	handle http.HandlerFunc
}

// newBench starts everything; alice has a credential for the connector crm.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{names: &names{}}
	b.names.addr.Store(netip.MustParseAddr("127.0.0.1"))
	b.upstream = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	b.upstream.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.upstream.StartTLS()
	t.Cleanup(b.upstream.Close)

	s := testenv.SQLite(t, "")
	b.store = s
	keys := b.openTrail(t)
	b.connectors = connector.NewRegistry(s.Connectors(), time.Minute, time.Now)
	door := egress.New(egress.Options{Resolver: b.names})
	t.Cleanup(door.Close)
	b.credentials = credential.NewKeeper(credential.Options{
		Store: s.Credentials(), Sealer: vault.New(keys), Digester: keys, OAuth: oauth.New(door, now, rand.Reader), Trail: b.trail,
		BrokerID: "broker", Incarnation: "incarnation", NewID: uuid.NewString, Now: now, Log: slog.New(slog.DiscardHandler),
		Records:  lease.New[credential.Place, credential.Record](time.Minute, time.Now, 100),
		Opened:   lease.New[credential.Version, egress.Attachment](time.Minute, time.Now, 100),
		Fleeting: lease.New[credential.Version, egress.Attachment](time.Minute, time.Now, 100),
	})
	b.options = broker.Options{
		Gate: limit.NewGate(limit.Options{Keys: 100, Now: time.Now}), Budget: limit.NewBudget(1 << 30),
		Connectors: b.connectors, Credentials: b.credentials, Trail: b.trail, Now: now, Log: slog.New(slog.DiscardHandler),
		Assertions: assertion.New(assertion.Options{Issuer: "https://broker.test", Keys: keys, Rand: rand.Reader, Now: now}),
		Upstreams: map[string]broker.Upstream{
			connector.KindHTTP: upstream.NewHTTP(door), connector.KindModel: upstream.NewModel(upstream.NewHTTP(door)),
		},
	}
	b.Broker = broker.New(b.options)
	b.apply(t, func(text string) string { return text })
	b.alice = b.user(t, "alice")
	b.put(t, b.alice)
	return b
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (b *bench) openTrail(t *testing.T) *vault.Keyring {
	t.Helper()
	master, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	keys := vault.NewKeyring(vault.Options{
		Store: &vaulttest.Store{}, Master: master, Rand: rand.Reader, Now: now, NewID: uuid.NewString, Log: slog.New(slog.DiscardHandler),
		Assertions: vault.Schedule{Lead: time.Hour, Active: time.Hour, Retire: time.Hour},
	})
	require.NoError(t, keys.Load(t.Context()))
	b.trailStore = &failing{Store: b.store.Audit()}
	b.trail, err = audit.Open(t.Context(), audit.Options{
		Store: b.trailStore, Signer: keys, Now: now, NewID: uuid.NewString, BrokerID: "broker", Incarnation: "incarnation",
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	b.trail.Live(now().Add(time.Hour))
	t.Cleanup(func() { b.flush(t) })
	return keys
}

// flush ends the trail, so that every outcome is in the store.
func (b *bench) flush(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, b.trail.Close(ctx))
}

// serve counts what reaches the upstream, and demands the credential.
func (b *bench) serve(w http.ResponseWriter, r *http.Request) {
	b.hits.Add(1)
	if r.Header.Get("Authorization") != "Bearer "+secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	b.mu.Lock()
	handle := b.handle
	b.mu.Unlock()
	if handle != nil {
		handle(w, r)
	}
}

func (b *bench) answer(h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = h
}

// text answers with a status and a body.
func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// apply makes the manifest the newest revision, perhaps changed.
func (b *bench) apply(t *testing.T, change func(text string) string) {
	t.Helper()
	_, port, err := net.SplitHostPort(b.upstream.Listener.Addr().String())
	require.NoError(t, err)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.upstream.Certificate().Raw})
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n    ")
	filled := strings.NewReplacer("{{port}}", port, "{{ca}}", indented).Replace(manifest)
	rev, _, err := b.connectors.Apply(t.Context(), workspace, change(filled), "operator", now())
	require.NoError(t, err)
	b.revision = rev.Number
}

func (b *bench) user(t *testing.T, name string) task.User {
	t.Helper()
	u, err := b.store.Tasks().EnsureUser(t.Context(), workspace, task.LocalIssuer, name, uuid.NewString(), now())
	require.NoError(t, err)
	return u
}

func (b *bench) put(t *testing.T, u task.User) credential.Record {
	t.Helper()
	c, err := b.connectors.Connector(t.Context(), workspace, "crm", b.revision)
	require.NoError(t, err)
	r, err := b.credentials.Put(t.Context(), credential.Put{
		Connector: c, Slot: connector.DefaultSlot, UserID: u.ID, Secret: vault.NewSecret([]byte(secret)), By: "operator",
	})
	require.NoError(t, err)
	return r
}

// call is a call by a new task of alice's with these grants.
func (b *bench) call(t *testing.T, tool, arguments string, grants ...string) broker.Call {
	t.Helper()
	return b.callFor(t, b.alice, tool, arguments, grants...)
}

func (b *bench) callFor(t *testing.T, u task.User, tool, arguments string, grants ...string) broker.Call {
	t.Helper()
	k := task.Task{
		Workspace: workspace, ID: uuid.NewString(), Agent: "agent", User: u, Sandbox: spiffeid.RequireFromString("spiffe://example.org/sandbox"),
		State: task.Active, CreatedAt: now(), ExpiresAt: now().Add(time.Hour), CreatedBy: "spiffe://example.org/orchestrator", KeyID: uuid.NewString(),
	}
	k.RootID = k.ID
	minted := mint.Minted{Task: k, KeyDigest: []byte(k.ID), PepperID: "pepper"}
	for _, text := range grants {
		g, err := grant.Parse(text)
		require.NoError(t, err)
		g.ID, g.Revision = uuid.NewString(), b.revision
		minted.Grants = append(minted.Grants, g)
	}
	require.NoError(t, b.store.Tasks().CreateTask(t.Context(), minted))
	return broker.Call{
		InvocationID: uuid.NewString(), Grants: grant.NewSet(minted.Grants), Connector: "crm", Tool: tool, Arguments: []byte(arguments),
		Caller: &task.Caller{Workload: k.Sandbox, AuthMethod: "x509-svid", Peer: "192.0.2.1:1", Task: k},
	}
}

// again is the same call under another invocation id.
func again(c broker.Call) broker.Call {
	c.InvocationID = uuid.NewString()
	return c
}

// rows gives what the trail says of a call, oldest first; nothing is written after it.
func (b *bench) rows(t *testing.T, c broker.Call) []audit.Event {
	t.Helper()
	b.flush(t)
	list, err := b.store.Audit().Events(context.Background(), audit.Filter{Workspace: workspace, InvocationID: c.InvocationID, Limit: 10})
	require.NoError(t, err)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// outcome is the outcome of a call, which must have exactly an intent and that.
func (b *bench) outcome(t *testing.T, c broker.Call) audit.Event {
	t.Helper()
	rows := b.rows(t, c)
	require.Len(t, rows, 2)
	require.Equal(t, audit.IntentRow, rows[0].Kind)
	require.Equal(t, audit.OutcomeRow, rows[1].Kind)
	return rows[1]
}

func requireReason(t *testing.T, reason fault.Reason, err error) {
	t.Helper()
	require.True(t, fault.Is(err, reason), "want %s, got %v", reason, err)
	require.NotContains(t, err.Error(), secret)
}
