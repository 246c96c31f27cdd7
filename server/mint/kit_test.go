package mint_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

const workspace = "default"

const manifest = `
connector: crm
kind: http
origin: https://crm.example
tools:
  - {name: contacts.get, severity: READ, method: GET, path: /get, resources: ["contact:*"]}
  - {name: contacts.search, severity: READ, method: GET, path: /search, resources: ["contact:*"], response: {rows: /items}}
  - {name: contacts.update, severity: WRITE, method: POST, path: /update, resources: ["contact:*"]}
  - {name: deals.get, severity: READ, method: GET, path: /deals, resources: ["deal:*"]}
`

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// pepper hashes without a key; it remembers what it was asked to.
type pepper struct{ asked [][]byte }

func (p *pepper) Digest(key []byte) ([]byte, string) {
	p.asked = append(p.asked, bytes.Clone(key))
	sum := sha256.Sum256(key)
	return sum[:], "pepper-1"
}

// watched is the real store; it counts what is written and can be told to fail.
type watched struct {
	mint.Store
	writes int
	fail   error
}

func (w *watched) EnsureUser(ctx context.Context, ws, issuer, subject, newID string, now time.Time) (task.User, error) {
	w.writes++
	return w.Store.EnsureUser(ctx, ws, issuer, subject, newID, now)
}

func (w *watched) CreateTask(ctx context.Context, m mint.Minted) error {
	w.writes++
	if w.fail != nil {
		return w.fail
	}
	return w.Store.CreateTask(ctx, m)
}

func (w *watched) EndTask(ctx context.Context, ws, id string, to task.State, at time.Time) ([]string, error) {
	w.writes++
	if w.fail != nil {
		return nil, w.fail
	}
	return w.Store.EndTask(ctx, ws, id, to, at)
}

func (w *watched) Tasks(ctx context.Context, f mint.Filter) ([]mint.Listed, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	return w.Store.Tasks(ctx, f)
}

// idTokens knows the tokens that a test has written down, by their text.
type idTokens map[string]func(workspace, nonce string) (task.User, error)

func (k idTokens) Verify(_ context.Context, ws string, token vault.Secret, nonce string) (task.User, error) {
	known := k[string(token.Reveal())]
	if known == nil {
		return task.User{}, fault.Invalid("id_token", "expired")
	}
	return known(ws, nonce)
}

// bench is a Mint over the real store.
type bench struct {
	*mint.Mint
	options    mint.Options
	store      *sqlstore.Store
	watched    *watched
	pepper     *pepper
	idTokens   idTokens
	connectors *connector.Registry
	now        time.Time
	forgotten  []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	s := testenv.SQLite(t, "")
	b := &bench{
		store: s, watched: &watched{Store: s.Tasks()}, pepper: &pepper{}, idTokens: idTokens{}, now: noon,
		connectors: connector.NewRegistry(s.Connectors(), time.Minute, time.Now),
	}
	b.apply(t, workspace, manifest)
	b.options = mint.Options{
		Store: b.watched, Connectors: b.connectors, Pepper: b.pepper, IDTokens: b.idTokens, Random: rand.Reader,
		Bounds: mint.Bounds{Depth: 4, Children: 32, Tree: 256},
		Forget: func(workspace string, taskIDs []string) {
			for _, id := range taskIDs {
				b.forgotten = append(b.forgotten, workspace+" "+id)
			}
		},
		NewID: uuid.NewString, Now: func() time.Time { return b.now },
	}
	b.Mint = mint.New(b.options)
	return b
}

// bound has the trees of a bench held to other bounds.
func (b *bench) bound(bounds mint.Bounds) {
	b.options.Bounds = bounds
	b.Mint = mint.New(b.options)
}

func (b *bench) apply(t *testing.T, workspace, text string) connector.Revision {
	t.Helper()
	rev, _, err := b.connectors.Apply(t.Context(), workspace, text, "operator", noon)
	require.NoError(t, err)
	return rev
}

// orchestrator may do all that the tests want allowed, up to WRITE for one hour.
func orchestrator(changes ...func(o *authn.Orchestrator)) authn.Identity {
	o := &authn.Orchestrator{
		ID: id("spiffe://example.org/orchestrator"), Sandboxes: id("spiffe://example.org/ns/a"), MayAssertUsers: true,
		MaxTTL: time.Hour, MaxSeverity: grant.Write, Connectors: []string{"crm"},
	}
	for _, change := range changes {
		change(o)
	}
	return authn.Identity{Role: authn.OrchestratorRole, Workspace: workspace, Orchestrator: o}
}

func operator() authn.Identity {
	return authn.Identity{Role: authn.OperatorRole, Workspace: workspace}
}

func id(text string) spiffeid.ID { return spiffeid.RequireFromString(text) }

// request is one that is allowed.
func request(grants ...string) mint.Request {
	if len(grants) == 0 {
		grants = []string{"crm: contacts.get READ contact:*"}
	}
	return mint.Request{Agent: "agent", User: "alice", Sandbox: "spiffe://example.org/ns/a/1", Grants: grants, TTL: 15 * time.Minute}
}

func (b *bench) create(t *testing.T, r mint.Request) *mint.Created {
	t.Helper()
	made, err := b.Create(t.Context(), orchestrator(), r)
	require.NoError(t, err)
	return made
}

// requireEmpty: no user, no task; nothing was even tried.
func (b *bench) requireEmpty(t *testing.T) {
	t.Helper()
	require.Zero(t, b.watched.writes)
	require.Empty(t, b.pepper.asked, "no key was made")
	_, err := b.store.Tasks().FindUser(t.Context(), workspace, task.LocalIssuer, "alice")
	require.ErrorIs(t, err, store.ErrNotFound)
	list, err := b.store.Tasks().Tasks(t.Context(), mint.Filter{Workspace: workspace, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, list)
}
