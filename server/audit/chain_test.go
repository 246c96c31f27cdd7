package audit_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

func TestCallIsTwoChainedRows(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	c.CredentialID, c.CredentialVersion, c.RequestBytes = "credential", 3, 17
	i, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, c.InvocationID, i.InvocationID())
	require.Equal(t, workspace, i.Workspace())

	rows := b.trail(t)
	kinds, intent := of(rows, c.InvocationID)
	require.Equal(t, []audit.Kind{audit.IntentRow}, kinds, "durable before Begin returns")
	k := c.Caller.Task
	require.Equal(t, audit.Event{
		ChainID: b.ChainID(), Seq: 2, Workspace: workspace, BrokerID: "broker", Time: intent.Time, Kind: audit.IntentRow,
		InvocationID: c.InvocationID, TaskID: k.ID, KeyID: k.KeyID, UserID: k.User.ID, Agent: "agent",
		SPIFFEID: "spiffe://example.org/sandbox", AuthMethod: "x509-svid", Peer: "192.0.2.1:1",
		Connector: "crm", Revision: 1, Tool: "contacts.get", Resources: []string{"contact:42"}, Severity: grant.Read,
		GrantID: c.Grant.ID, CredentialID: "credential", CredentialVersion: 3, Decision: audit.Allowed, RequestBytes: 17, Count: 1,
		Detail:   `{"user_issuer":"local"}`,
		PrevHash: rows[0].Hash, Hash: intent.Hash,
	}, intent)

	b.Finish(i, audit.Outcome{Result: audit.UpstreamError, UpstreamStatus: 500, RequestBytes: 17, ResponseBytes: 99, Detail: `{"redactions":1}`})
	b.close(t)
	rows = b.trail(t)
	kinds, out := of(rows, c.InvocationID)
	require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds)
	require.Equal(t, out.Time.Sub(intent.Time), out.Duration)
	require.Positive(t, out.Duration)
	want := intent
	want.Seq, want.Kind, want.Time, want.Duration, want.PrevHash, want.Hash = 3, audit.OutcomeRow, out.Time, out.Duration, intent.Hash, out.Hash
	want.Outcome, want.UpstreamStatus, want.RequestBytes, want.ResponseBytes, want.Detail = audit.UpstreamError, 500, 17, 99, `{"redactions":1}`
	require.Equal(t, want, out)
}

func TestAdministrativeAct(t *testing.T) {
	b := newBench(t)
	i, err := b.BeginAdmin(t.Context(), audit.Event{
		Workspace: workspace, InvocationID: "act", SPIFFEID: "spiffe://example.org/operator", Tool: "Connectors.Apply", Resources: []string{"connector:crm"},
	})
	require.NoError(t, err)
	b.Finish(i, audit.Outcome{Result: audit.OK})
	b.close(t)
	kinds, last := of(b.trail(t), "act")
	require.Equal(t, []audit.Kind{audit.AdminIntent, audit.AdminOutcome}, kinds)
	require.Equal(t, []string{"connector:crm"}, last.Resources)
	require.Equal(t, audit.OK, last.Outcome)
}

func TestChainOpensWithSignedHeads(t *testing.T) {
	first := newBench(t)
	_, err := first.Begin(t.Context(), first.call(t))
	require.NoError(t, err)
	rows := first.trail(t)
	head := rows[len(rows)-1]

	second := first.another(t, "incarnation-2")
	opening := second.trail(t)[0]
	require.Equal(t, audit.ChainOpened, opening.Kind)
	require.Equal(t, audit.SystemWorkspace, opening.Workspace)
	require.NoError(t, first.keys.VerifyAudit(opening.SigningKeyID, opening.Sum(), opening.Signature))
	var detail struct {
		Incarnation string
		Heads       []struct {
			Chain string
			Seq   int64
			Hash  string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(opening.Detail), &detail))
	require.Equal(t, "incarnation-2", detail.Incarnation)
	require.Len(t, detail.Heads, 1)
	require.Equal(t, first.ChainID(), detail.Heads[0].Chain)
	require.Equal(t, head.Seq, detail.Heads[0].Seq)
	require.Equal(t, hexOf(head.Hash), detail.Heads[0].Hash)

	opening.Detail = `{}`
	require.Error(t, first.keys.VerifyAudit(opening.SigningKeyID, opening.Sum(), opening.Signature), "the heads are part of what is signed")
}

func TestOpenFails(t *testing.T) {
	b := newBench(t)
	for name, fail := range map[string]failure{"before": beforeTransaction, "inside": insideTransaction} {
		f := &flaky{Store: b.store.Audit(), next: []failure{fail}}
		_, err := audit.Open(t.Context(), audit.Options{
			Store: f, Signer: b.keys, Now: b.clock.now, NewID: func() string { return name }, BrokerID: "broker", Incarnation: "other",
		})
		require.ErrorIs(t, err, errDown, name)
		seq, _, err := b.store.Audit().Head(t.Context(), name)
		require.NoError(t, err)
		require.Zero(t, seq)
	}
}

// While one transaction runs, a hundred calls wait; the next one writes them all.
func TestBeginsShareTransactions(t *testing.T) {
	b := newBench(t)
	c := b.call(t)
	gate := make(chan struct{})
	b.flaky.set(func(f *flaky) { f.gate = gate })
	var wg sync.WaitGroup
	begin := func() {
		_, err := b.Begin(context.Background(), again(c))
		require.NoError(t, err)
	}
	before := b.flaky.written()
	wg.Go(begin)
	eventually(t, "the first is being written", func() bool { return b.flaky.written() == before+1 })
	for range 100 {
		wg.Go(begin)
	}
	eventually(t, "all others wait", func() bool { return audit.Waiting(b.Log) == 100 })
	close(gate)
	wg.Wait()
	require.Equal(t, before+2, b.flaky.written())
	require.Len(t, b.trail(t), 1+101)
}

func TestIntentIsDemanded(t *testing.T) {
	b := newBench(t)
	c := callOf(b.task(t, grant.Limits{Bytes: 100}))
	zero := audit.Intent{}
	require.False(t, zero.Valid())
	require.Empty(t, zero.InvocationID())
	require.Empty(t, zero.Workspace())
	require.True(t, fault.Is(zero.Check(), fault.Internal))
	require.True(t, fault.Is(b.Settle(t.Context(), zero, grant.Limits{Bytes: 1}), fault.Internal))
	b.Finish(zero, audit.Outcome{Result: audit.OK})

	i, err := b.Begin(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, i.Check())
	b.Finish(i, audit.Outcome{Result: audit.OK})
	require.True(t, fault.Is(i.Check(), fault.Internal), "a finished intent is worth nothing")
	require.True(t, fault.Is(b.Settle(t.Context(), i, grant.Limits{Bytes: 1}), fault.Internal))
	b.Finish(i, audit.Outcome{Result: audit.Failed})
	b.close(t)
	require.EqualValues(t, 100, b.left(t, c).Bytes)
	kinds, last := of(b.trail(t), c.InvocationID)
	require.Equal(t, []audit.Kind{audit.IntentRow, audit.OutcomeRow}, kinds, "finished once")
	require.Equal(t, audit.OK, last.Outcome)
	require.Len(t, b.trail(t), 3, "nothing was written for the zero intent")
}

func TestBeginDemandsCallerAndGrant(t *testing.T) {
	b := newBench(t)
	for name, change := range map[string]func(*audit.Call){
		"no caller": func(c *audit.Call) { c.Caller = nil },
		"no grant":  func(c *audit.Call) { c.Grant = nil },
	} {
		c := b.call(t)
		change(&c)
		i, err := b.Begin(t.Context(), c)
		require.True(t, fault.Is(err, fault.Internal), name)
		require.False(t, i.Valid(), name)
	}
	require.Len(t, b.trail(t), 1)
}
