package credential_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/sts"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	workspace = "default"
	secret    = "sk-canary-4f9Qz7Lm2XcVbN8s"
	another   = "sk-canary-second-8s7d6f5g4h"
)

// manifest has a connector with one slot; tests change parts of it.
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
  - {name: get, severity: READ, method: GET, path: /get, resources: ["contact:*"]}
`

const mainSlot = "main: {owner: user, attach: bearer}"

// slots replaces the slots of the manifest.
func slots(lines ...string) func(string) string {
	return func(text string) string { return strings.Replace(text, mainSlot, strings.Join(lines, "\n  "), 1) }
}

// bench is a Keeper over the real store and vault, before an upstream that writes
// down what it is sent.
type bench struct {
	*credential.Keeper
	store    *sqlstore.Store
	edited   *edited
	keys     *vault.Keyring
	trail    *audit.Log
	door     *egress.Door
	upstream *httptest.Server
	seen     chan *http.Request
	alice    string
	bob      string
	later    time.Duration // by which the clock of the Keepers is ahead
}

// now is the time as the Keepers have it, and at sets it to so long after the start.
func (b *bench) now() time.Time         { return now().Add(b.later) }
func (b *bench) at(later time.Duration) { b.later = later }

// refreshOf opens the refresh token of a record.
func (b *bench) refreshOf(t *testing.T, r credential.Record) string {
	t.Helper()
	opened, err := vault.New(b.keys).Open(t.Context(), vault.Binding{
		Workspace: r.Workspace, CredentialID: r.ID, Kind: r.Kind, Version: r.Version, Destination: r.Destination,
	}, r.Sealed)
	require.NoError(t, err)
	var stored struct {
		Refresh string `json:"refresh_token"`
	}
	require.NoError(t, json.Unmarshal(opened.Reveal(), &stored))
	return stored.Refresh
}

// edited is the real store, with rows as somebody with access to it made them.
type edited struct {
	credential.Store
	active                        func(r credential.Record) credential.Record
	take, attempt, renew, release func() error // fail in place of the store
	attempted                     bool         // what attempt fails was written all the same
}

// times fails n times, then no more.
func times(n int, err error) func() error {
	return func() error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

func failing(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (e *edited) Take(ctx context.Context, w, id, owner string, now, until time.Time) (credential.Lease, error) {
	if err := failing(e.take); err != nil {
		return credential.Lease{}, err
	}
	return e.Store.Take(ctx, w, id, owner, now, until)
}

func (e *edited) Attempt(ctx context.Context, l credential.Lease, digest []byte) error {
	if err := failing(e.attempt); err != nil {
		if e.attempted {
			return errors.Join(err, e.Store.Attempt(ctx, l, digest))
		}
		return err
	}
	return e.Store.Attempt(ctx, l, digest)
}

func (e *edited) Renew(ctx context.Context, l credential.Lease, r credential.Record) error {
	if err := failing(e.renew); err != nil {
		return err
	}
	return e.Store.Renew(ctx, l, r)
}

func (e *edited) Release(ctx context.Context, l credential.Lease, end credential.RefreshEnd) error {
	if err := failing(e.release); err != nil {
		return err
	}
	return e.Store.Release(ctx, l, end)
}

func (e *edited) Active(ctx context.Context, w, c, slot, user string) (credential.Record, error) {
	r, err := e.Store.Active(ctx, w, c, slot, user)
	if err == nil && e.active != nil {
		r = e.active(r)
	}
	return r, err
}

// loopback resolves every name to this machine.
type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func newBench(t *testing.T) *bench {
	t.Helper()
	s := testenv.SQLite(t, "")
	master, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	b := &bench{store: s, edited: &edited{Store: s.Credentials()}, door: egress.New(egress.Options{Resolver: loopback{}})}
	t.Cleanup(b.door.Close)
	b.keys = vault.NewKeyring(vault.Options{
		Store: &vaulttest.Store{}, Master: master, Rand: rand.Reader, Now: now, NewID: uuid.NewString, Log: slog.New(slog.DiscardHandler),
		Assertions: vault.Schedule{Lead: time.Hour, Active: time.Hour, Retire: time.Hour},
	})
	require.NoError(t, b.keys.Load(t.Context()))
	require.NoError(t, b.keys.Poll(t.Context()))
	b.trail, err = audit.Open(t.Context(), audit.Options{
		Store: s.Audit(), Signer: b.keys, Now: now, NewID: uuid.NewString, BrokerID: "broker", Incarnation: "incarnation",
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.trail.Close(context.Background())) })
	b.trail.Live(now().Add(time.Hour))
	b.Keeper = b.keeper()
	b.seen = make(chan *http.Request, 1)
	b.upstream = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { b.seen <- r }))
	t.Cleanup(b.upstream.Close)
	b.alice, b.bob = b.user(t, "alice"), b.user(t, "bob")
	return b
}

// keeper is a Keeper that remembers nothing yet, as another broker would be.
func (b *bench) keeper() *credential.Keeper { return b.keeperWith(func(*credential.Options) {}) }

func (b *bench) keeperWith(change func(*credential.Options)) *credential.Keeper {
	o := credential.Options{
		Store: b.edited, Sealer: vault.New(b.keys), Digester: b.keys, OAuth: oauth.New(b.door, now, rand.Reader), Stater: b.stater(),
		STS: sts.New(b.door, b.now), Trail: b.trail,
		BrokerID: "broker", Incarnation: uuid.NewString(), NewID: uuid.NewString, Now: b.now, Log: slog.New(slog.DiscardHandler),
		Records:  lease.New[credential.Place, credential.Record](time.Minute, time.Now, 100),
		Opened:   lease.New[credential.Version, egress.Attachment](time.Minute, time.Now, 100),
		Fleeting: lease.New[credential.Version, egress.Attachment](time.Minute, time.Now, 100),
	}
	change(&o)
	return credential.NewKeeper(o)
}

func (b *bench) user(t *testing.T, name string) string {
	t.Helper()
	u, err := b.store.Tasks().EnsureUser(t.Context(), workspace, task.LocalIssuer, name, uuid.NewString(), now())
	require.NoError(t, err)
	return u.ID
}

// connector is the manifest, perhaps changed.
func (b *bench) connector(t *testing.T, changes ...func(text string) string) *connector.Connector {
	t.Helper()
	_, port, err := net.SplitHostPort(b.upstream.Listener.Addr().String())
	require.NoError(t, err)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.upstream.Certificate().Raw})
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n    ")
	text := strings.NewReplacer("{{port}}", port, "{{ca}}", indented).Replace(manifest)
	for _, change := range changes {
		text = change(text)
	}
	c, err := connector.Parse([]byte(text))
	require.NoError(t, err)
	c.Workspace, c.Revision = workspace, 1
	return c
}

// bound is a call of the connector's one tool.
func bound(t *testing.T, c *connector.Connector) *connector.Bound {
	t.Helper()
	call, err := c.Bind("get", nil)
	require.NoError(t, err)
	return call
}

// intent is a recorded act in a workspace.
func (b *bench) intent(t *testing.T, workspace string) audit.Intent {
	t.Helper()
	i, err := b.trail.BeginAdmin(t.Context(), audit.Event{Workspace: workspace, InvocationID: uuid.NewString()})
	require.NoError(t, err)
	return i
}

func (b *bench) put(t *testing.T, c *connector.Connector, slot, user, text string) credential.Record {
	t.Helper()
	r, err := b.Put(t.Context(), credential.Put{Connector: c, Slot: slot, UserID: user, Secret: vault.NewSecret([]byte(text)), By: "operator"})
	require.NoError(t, err)
	return r
}

// send makes a call as the user and gives what the upstream was sent.
func (b *bench) send(t *testing.T, k *credential.Keeper, c *connector.Connector, user string) *http.Request {
	t.Helper()
	records, err := k.Find(t.Context(), c, user)
	require.NoError(t, err)
	a, err := k.Attach(t.Context(), b.intent(t, workspace), nil, bound(t, c), records)
	require.NoError(t, err)
	return b.sent(t, c, a)
}

// sent makes a call with what is attached.
func (b *bench) sent(t *testing.T, c *connector.Connector, a credential.Attached) *http.Request {
	t.Helper()
	res, err := b.door.Do(t.Context(), egress.PoolKey{Credential: a.Pool}, c.Egress,
		&egress.Request{Method: "GET", Origin: c.Origin, Path: "/get"}, a.Attachment, egress.Limits{})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return <-b.seen
}

// ends gives how the broker's own acts of a name ended, once their outcomes, which are
// written behind, are there.
func (b *bench) ends(t *testing.T, act string) (ends []audit.Result) {
	t.Helper()
	require.Eventually(t, func() bool {
		events, err := b.store.Audit().Events(t.Context(), audit.Filter{Workspace: workspace, Limit: 1000})
		require.NoError(t, err)
		open := 0
		ends = nil
		for _, e := range events {
			switch {
			case e.Tool == act && e.Kind == audit.AdminIntent:
				open++
			case e.Tool == act && e.Kind == audit.AdminOutcome:
				open--
				ends = append(ends, e.Outcome)
			}
		}
		return open == 0
	}, time.Minute, 10*time.Millisecond)
	return ends
}

// requireMissing: the slot is empty for this call, and the caller is told what to do.
func requireMissing(t *testing.T, err error, says string) {
	t.Helper()
	require.True(t, fault.Is(err, fault.CredentialMissing), "%v", err)
	require.ErrorContains(t, err, says)
	requireSilent(t, err)
}

// requireSilent: nothing of a secret is in an error. It does not print what it finds.
func requireSilent(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; {
		require.False(t, strings.Contains(e.Error(), "canary"), "the error repeats the secret")
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return
		}
		e = u.Unwrap()
	}
}
