package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/server/vault/vaulttest"
	"github.com/onedoor/onedoor/tests/testenv"
)

const workspace = "default"

// clock is the store's time as a test sets it. Each reading is a microsecond later.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Microsecond)
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// failure is where in a Write the store fails.
type failure int

const (
	beforeTransaction failure = iota + 1
	insideTransaction
	afterCommit // the commit took place, its acknowledgement is lost
)

var errDown = fmt.Errorf("the test's store fails: %w", store.ErrUnavailable)

// flaky is the real store, told to fail.
type flaky struct {
	audit.Store
	mu     sync.Mutex
	next   []failure // of the writes to come
	down   bool      // every write fails, before the transaction
	blind  bool      // heads cannot be read
	gate   chan struct{}
	writes int
}

func (f *flaky) Write(ctx context.Context, run func(context.Context, audit.Tx) error) error {
	f.mu.Lock()
	f.writes++
	var now failure
	if len(f.next) > 0 {
		now, f.next = f.next[0], f.next[1:]
	}
	if f.down {
		now = beforeTransaction
	}
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	switch now {
	case beforeTransaction:
		return errDown
	case insideTransaction:
		err := f.Store.Write(ctx, func(ctx context.Context, tx audit.Tx) error {
			return errors.Join(run(ctx, tx), errDown)
		})
		return err
	}
	err := f.Store.Write(ctx, run)
	if now == afterCommit && err == nil {
		return errDown
	}
	return err
}

func (f *flaky) Head(ctx context.Context, chainID string) (int64, []byte, error) {
	f.mu.Lock()
	blind := f.blind
	f.mu.Unlock()
	if blind {
		return 0, nil, errDown
	}
	return f.Store.Head(ctx, chainID)
}

// set changes what is to fail.
func (f *flaky) set(change func(f *flaky)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *flaky) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// bench is a Log over the real store on a temporary SQLite.
type bench struct {
	*audit.Log
	flaky *flaky
	store *sqlstore.Store
	keys  *vault.Keyring
	clock *clock
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return benchOn(t, sqlite(t))
}

func sqlite(t testing.TB) *sqlstore.Store { return testenv.SQLite(t, "") }

func postgres(t testing.TB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), testenv.Postgres(t), sqlstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func benchOn(t testing.TB, s *sqlstore.Store) *bench {
	t.Helper()
	master, err := subtle.NewAESGCM(make([]byte, 32))
	require.NoError(t, err)
	c := &clock{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	keys := vault.NewKeyring(vault.Options{
		Store: &vaulttest.Store{}, Master: master, Rand: rand.Reader, Now: c.now, NewID: uuid.NewString, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, keys.Load(t.Context()))
	b := &bench{store: s, keys: keys, clock: c}
	return b.another(t, "incarnation-1")
}

// another is a further broker on the same store, with a lease of ten seconds.
func (b *bench) another(t testing.TB, incarnation string) *bench {
	t.Helper()
	f := &flaky{Store: b.store.Audit()}
	until := b.clock.now().Add(10 * time.Second)
	require.NoError(t, b.store.Brokers().Heartbeat(t.Context(), "broker", incarnation, until, nil))
	l, err := audit.Open(t.Context(), audit.Options{
		Store: f, Signer: b.keys, Now: b.clock.now, NewID: uuid.NewString, BrokerID: "broker", Incarnation: incarnation,
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	l.Live(until)
	n := &bench{Log: l, flaky: f, store: b.store, keys: b.keys, clock: b.clock}
	t.Cleanup(func() { n.close(t) })
	return n
}

// close ends the log; what waits is written.
func (b *bench) close(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, b.Close(ctx))
}

// task mints a task with one grant of these limits.
func (b *bench) task(t testing.TB, limits grant.Limits) (*task.Caller, *grant.Grant) {
	t.Helper()
	now := b.clock.now()
	u, err := b.store.Tasks().EnsureUser(t.Context(), workspace, task.LocalIssuer, "alice", uuid.NewString(), now)
	require.NoError(t, err)
	all, err := grant.ParsePattern("contact:*")
	require.NoError(t, err)
	g := grant.Grant{
		ID: uuid.NewString(), Connector: "crm", Revision: 1, Tools: []string{"contacts.get"},
		MaxSeverity: grant.Admin, Resources: []grant.Pattern{all}, Limits: limits,
	}
	k := task.Task{
		Workspace: workspace, ID: uuid.NewString(), Agent: "agent", User: u, Sandbox: spiffeid.RequireFromString("spiffe://example.org/sandbox"),
		State: task.Active, CreatedAt: now, ExpiresAt: now.Add(time.Hour), CreatedBy: "spiffe://example.org/orchestrator", KeyID: uuid.NewString(),
	}
	k.RootID = k.ID
	require.NoError(t, b.store.Tasks().CreateTask(t.Context(), mint.Minted{
		Task: k, Grants: []grant.Grant{g}, KeyDigest: []byte(k.ID), PepperID: "pepper",
	}))
	return &task.Caller{Workload: k.Sandbox, AuthMethod: "x509-svid", Peer: "192.0.2.1:1", Task: k}, &g
}

// call is a READ call of a new task without limits.
func (b *bench) call(t testing.TB) audit.Call {
	t.Helper()
	return callOf(b.task(t, grant.Limits{}))
}

func callOf(caller *task.Caller, g *grant.Grant) audit.Call {
	r, err := grant.ParseResource("contact:42")
	if err != nil {
		panic(err)
	}
	return audit.Call{
		InvocationID: uuid.NewString(), Caller: caller, Connector: "crm", Revision: 1, Tool: "contacts.get",
		Resources: []grant.Resource{r}, Severity: grant.Read, Grant: g, MostBytes: 1000,
	}
}

// again is the same call under another invocation id.
func again(c audit.Call) audit.Call {
	c.InvocationID = uuid.NewString()
	return c
}

// trail reads this log's chain as the store has it, oldest first, and verifies it: no
// gap, every hash the sum of its row, every row on top of the one before.
func (b *bench) trail(t testing.TB) []audit.Event {
	t.Helper()
	var rows []audit.Event
	for _, w := range []string{workspace, audit.SystemWorkspace} {
		page, err := b.store.Audit().Events(context.Background(), audit.Filter{Workspace: w, Limit: 100_000})
		require.NoError(t, err)
		for _, e := range page {
			if e.ChainID == b.ChainID() {
				rows = append(rows, e)
			}
		}
	}
	bySeq := make([]audit.Event, len(rows))
	for _, e := range rows {
		require.True(t, e.Seq >= 1 && e.Seq <= int64(len(rows)), "row %d of %d", e.Seq, len(rows))
		bySeq[e.Seq-1] = e
	}
	var head []byte
	for i := range bySeq {
		e := &bySeq[i]
		require.EqualValues(t, i+1, e.Seq, "a row is missing or stands twice")
		require.Equal(t, head, e.PrevHash)
		require.Equal(t, e.Hash, e.Sum(), "row %d", e.Seq)
		head = e.Hash
	}
	seq, hash, err := b.store.Audit().Head(context.Background(), b.ChainID())
	require.NoError(t, err)
	require.EqualValues(t, len(bySeq), seq)
	require.Equal(t, head, hash)
	return bySeq
}

// of keeps the rows of one invocation.
func of(rows []audit.Event, invocationID string) (kinds []audit.Kind, last audit.Event) {
	for _, e := range rows {
		if e.InvocationID == invocationID {
			kinds, last = append(kinds, e.Kind), e
		}
	}
	return kinds, last
}

// left is what remains of a grant's limits.
func (b *bench) left(t testing.TB, c audit.Call) (left grant.Limits) {
	t.Helper()
	ref := audit.TaskRef{Workspace: workspace, TaskID: c.Caller.Task.ID}
	require.NoError(t, b.store.Audit().Write(context.Background(), func(ctx context.Context, tx audit.Tx) (err error) {
		left, err = tx.Remaining(ctx, ref, c.Grant.ID)
		return err
	}))
	return left
}

// eventually waits for what other goroutines bring about.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 30*time.Second, time.Millisecond, what)
}
