// Package storetest is the conformance suite of the stores: what the interfaces of
// authn, mint, connector, credential, connect, vault, audit and store promise, and for every
// table that a row of one workspace is neither read, changed nor guessed under
// another. Every database runs the same suite.
package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// Backend is an empty store as its users see it.
type Backend struct {
	Tasks interface {
		authn.Tasks
		mint.Store
	}
	Connectors  connector.Store
	Credentials credential.Store
	Connects    connect.Store
	Keys        vault.Store
	Audit       interface {
		audit.Store
		Usage(ctx context.Context, q audit.UsageQuery) ([]audit.UsageSum, error)
	}
	Brokers store.Brokers
	Feed    interface {
		store.ChangeFeed
		Prune(ctx context.Context, now time.Time) error
	}
}

// Run runs the suite. fresh gives each part an empty store.
func Run(t *testing.T, fresh func(t *testing.T) Backend) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, b Backend)
	}{
		{"users", users},
		{"tasks", tasks},
		{"tasks listed", tasksListed},
		{"task trees", taskTrees},
		{"delegations", delegations},
		{"delegations in parallel", delegationsInParallel},
		{"delegated counters", delegatedCounters},
		{"delegated counters in parallel", delegatedCountersInParallel},
		{"counters", counters},
		{"counters in parallel", countersInParallel},
		{"usage", usage},
		{"delegated usage", delegatedUsage},
		{"connectors", connectors},
		{"credentials", credentials},
		{"connecting users", connecting},
		{"connecting users in parallel", connectingInParallel},
		{"refreshes", refreshes},
		{"mended clients", mendedClients},
		{"keys", keys},
		{"assertion keys", assertionKeys},
		{"brokers", brokers},
		{"feed", feed},
		{"audit writes", auditWrites},
		{"audit chains", auditChains},
		{"audit listing", auditListing},
		{"audit of dead brokers", deadBrokers},
		{"idempotency keys", idempotencyKeys},
		{"live tasks", liveTasks},
		{"hostile texts", hostileTexts},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, fresh(t)) })
	}
}

// Two workspaces; what is put into one must not be met in the other.
const (
	here  = "here"
	there = "there"
)

// Times as they are stored: microseconds, UTC, one of them with an odd microsecond.
var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 123457000, time.UTC)
	later = noon.Add(time.Hour)
)

func id() string { return uuid.NewString() }

// aTask mints a root task for a user of its own, in a workspace.
func aTask(t *testing.T, b Backend, workspace string, change ...func(*mint.Minted)) mint.Minted {
	t.Helper()
	u, err := b.Tasks.EnsureUser(t.Context(), workspace, task.LocalIssuer, "user-"+id(), id(), noon)
	require.NoError(t, err)
	taskID := id()
	m := mint.Minted{
		Task: task.Task{
			Workspace: workspace, ID: taskID, Agent: "agent", User: u,
			Sandbox: spiffeid.RequireFromString("spiffe://example.org/sandbox/" + taskID),
			State:   task.Active, CreatedAt: noon, ExpiresAt: later, CreatedBy: "spiffe://example.org/orchestrator",
			KeyID: id(), RootID: taskID,
		},
		Grants:    []grant.Grant{aGrant(t)},
		KeyDigest: []byte("digest of " + taskID), PepperID: id(),
	}
	for _, c := range change {
		c(&m)
	}
	require.NoError(t, b.Tasks.CreateTask(t.Context(), m))
	return m
}

func aGrant(t *testing.T) grant.Grant {
	t.Helper()
	all, err := grant.ParsePattern("contact:*")
	require.NoError(t, err)
	one, err := grant.ParsePattern("deal:42")
	require.NoError(t, err)
	return grant.Grant{
		ID: id(), Connector: "crm", Revision: 3, Tools: []string{"contacts.get", "deals.get"},
		MaxSeverity: grant.Write, Resources: []grant.Pattern{all, one}, ExpiresAt: later.Add(-time.Minute),
	}
}

// child makes a task one that parent has delegated to; each of its grants lies in the
// parent's first one.
func child(parent mint.Minted) func(*mint.Minted) {
	return func(m *mint.Minted) {
		p := &parent.Task
		m.Task.ParentID, m.Task.RootID, m.Task.Depth, m.Task.User = p.ID, p.RootID, p.Depth+1, p.User
		m.Task.Above = append([]task.Ancestor{{TaskID: p.ID, Agent: p.Agent}}, p.Above...)
		m.Delegation = &mint.Delegation{Bounds: mint.Bounds{Depth: 9, Children: 99, Tree: 99}, CountFrom: noon}
		for range m.Grants {
			m.Delegation.Within = append(m.Delegation.Within, parent.Grants[0].ID)
		}
	}
}

// end ends a task, where it does not matter which tasks were below it.
func end(ctx context.Context, b Backend, workspace, taskID string, to task.State, at time.Time) error {
	_, err := b.Tasks.EndTask(ctx, workspace, taskID, to, at)
	return err
}

func limited(l grant.Limits) func(*mint.Minted) {
	return func(m *mint.Minted) { m.Grants[0].Limits = l }
}

func ref(m mint.Minted) audit.TaskRef {
	return audit.TaskRef{Workspace: m.Task.Workspace, TaskID: m.Task.ID}
}

// write runs f in one audit transaction, which must succeed.
func write(t *testing.T, b Backend, f func(ctx context.Context, tx audit.Tx)) {
	t.Helper()
	require.NoError(t, b.Audit.Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
		f(ctx, tx)
		return nil
	}))
}

// parallel runs f n times at once and gives the errors.
func parallel(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

func failures(errs []error) (n int) {
	for _, err := range errs {
		if err != nil {
			n++
		}
	}
	return n
}

// aChain opens a chain for an incarnation that lives until the given time.
func aChain(t *testing.T, b Backend, until time.Time) (chainID, incarnation string) {
	t.Helper()
	chainID, incarnation = id(), id()
	require.NoError(t, b.Brokers.Heartbeat(t.Context(), "broker", incarnation, until, nil))
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		require.NoError(t, tx.OpenChain(ctx, chainID, "broker", incarnation, noon))
	})
	return chainID, incarnation
}

// row is an audit row with something in every field.
func row(chainID string, seq int64, workspace string, kind audit.Kind) audit.Event {
	return audit.Event{
		ChainID: chainID, Seq: seq, Workspace: workspace, BrokerID: "broker",
		Time: noon.Add(time.Duration(seq) * time.Microsecond), Kind: kind,
		InvocationID: id(), TaskID: id(), KeyID: id(), UserID: id(), Agent: "agent", SPIFFEID: "spiffe://example.org/sandbox/1",
		AuthMethod: "x509-svid", Peer: "192.0.2.1:4711", Connector: "crm", Revision: 7, Tool: "contacts.get",
		Resources: []string{"contact:42", "contact:<&\">é"}, Severity: grant.Destructive, GrantID: id(), CredentialID: id(),
		CredentialVersion: 2, Decision: audit.Allowed, Reason: "LIMIT_REACHED", Outcome: audit.OK, UpstreamStatus: 503,
		RequestBytes: 1 << 40, ResponseBytes: 1 << 41, Duration: 1234567 * time.Microsecond, Count: 12, Detail: `{"a":1}`,
		PrevHash: []byte{0, 1, 2, 0xff}, Hash: fmt.Appendf(nil, "hash %s %d", chainID, seq), Signature: []byte{9, 0, 9}, SigningKeyID: id(),
	}
}
