package broker_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
)

const all = "crm: contacts.get,contacts.list,contacts.add,contacts.delete ADMIN contact:*"

// Every reason for which nothing is sent: the upstream is not touched, and the trail
// says who wanted what.
func TestRefusals(t *testing.T) {
	cases := map[string]struct {
		tool, arguments string
		grants          []string
		change          func(t *testing.T, b *bench, c *broker.Call)
		stream          bool
		reason          fault.Reason
		resources       []string
	}{
		"no grants":                     {"contacts.get", `{"id":1}`, nil, nil, false, fault.GrantMissing, nil},
		"no grant names the connector":  {"contacts.get", `{"id":1}`, []string{"billing: x READ contact:*"}, nil, false, fault.GrantMissing, nil},
		"no grant names the tool":       {"contacts.delete", `{"id":"1"}`, []string{"crm: contacts.get READ contact:*"}, nil, false, fault.GrantMissing, nil},
		"tool unknown":                  {"contacts.burn", `{}`, []string{all}, nil, false, fault.ToolUnknown, nil},
		"a pattern is no tool":          {"contacts.*", `{}`, []string{all}, nil, false, fault.ToolUnknown, nil},
		"argument missing":              {"contacts.get", `{}`, []string{all}, nil, false, fault.ArgumentInvalid, nil},
		"argument unknown":              {"contacts.get", `{"id":1,"host":"evil.test"}`, []string{all}, nil, false, fault.ArgumentInvalid, nil},
		"argument twice":                {"contacts.get", `{"id":1,"id":2}`, []string{all}, nil, false, fault.ArgumentInvalid, nil},
		"no JSON":                       {"contacts.get", `{"id":`, []string{all}, nil, false, fault.ArgumentInvalid, nil},
		"dot segment":                   {"contacts.get", `{"id":".."}`, []string{all}, nil, false, fault.ArgumentInvalid, nil},
		"another path":                  {"contacts.get", `{"id":"1/../../admin"}`, []string{all}, nil, false, fault.ArgumentInvalid, nil},
		"resource not granted":          {"contacts.get", `{"id":7}`, []string{"crm: contacts.get READ contact:1"}, nil, false, fault.ResourceNotGranted, []string{"contact:7"}},
		"collection of a narrow grant":  {"contacts.list", `{}`, []string{"crm: contacts.list READ contact:1,contact:2"}, nil, false, fault.ResourceNotGranted, []string{"contact:*"}},
		"severity exceeded":             {"contacts.delete", `{"id":"1"}`, []string{"crm: contacts.delete WRITE contact:*"}, nil, false, fault.SeverityExceeded, []string{"contact:1"}},
		"grant expired":                 {"contacts.get", `{"id":1}`, []string{"crm: contacts.get READ contact:* until=2020-01-01T00:00:00Z"}, nil, false, fault.GrantExpired, []string{"contact:1"}},
		"a stream would evade the rows": {"contacts.list", `{}`, []string{"crm: contacts.list READ contact:* rows=5"}, nil, true, fault.LimitReached, []string{"contact:*"}},
		"no credential": {"contacts.get", `{"id":1}`, []string{all}, func(t *testing.T, b *bench, c *broker.Call) {
			*c = b.callFor(t, b.user(t, "bob"), "contacts.get", `{"id":1}`, all)
		}, false, fault.CredentialMissing, []string{"contact:1"}},
		"connector withdrawn": {"contacts.get", `{"id":1}`, []string{all}, func(t *testing.T, b *bench, _ *broker.Call) {
			require.NoError(t, b.connectors.Withdraw(t.Context(), workspace, "crm", 0, now()))
		}, false, fault.ConnectorChanged, nil},
		"another workspace's connector": {"contacts.get", `{"id":1}`, []string{all}, func(_ *testing.T, _ *bench, c *broker.Call) {
			caller := *c.Caller
			caller.Task.Workspace = "other"
			c.Caller = &caller
		}, false, fault.ConnectorUnknown, nil},
		"task ended": {"contacts.add", `{}`, []string{all}, func(t *testing.T, b *bench, c *broker.Call) {
			_, err := b.store.Tasks().EndTask(t.Context(), workspace, c.Caller.Task.ID, task.Revoked, now())
			require.NoError(t, err)
		}, false, fault.TaskEnded, []string{"contact:*"}},
		"calls used up": {"contacts.get", `{"id":1}`, []string{"crm: contacts.get READ contact:* calls=1"}, func(t *testing.T, b *bench, c *broker.Call) {
			_, err := b.Invoke(t.Context(), again(*c))
			require.NoError(t, err)
		}, false, fault.LimitReached, []string{"contact:1"}},
		"idempotency key used": {"contacts.add", `{}`, []string{all}, func(t *testing.T, b *bench, c *broker.Call) {
			c.IdempotencyKey = "7d1c6c9e-0000-4000-8000-000000000001"
			_, err := b.Invoke(t.Context(), again(*c))
			require.NoError(t, err)
		}, false, fault.Conflict, []string{"contact:*"}},
		"lease run out": {"contacts.get", `{"id":1}`, []string{all}, func(_ *testing.T, b *bench, _ *broker.Call) {
			b.trail.Live(now().Add(-time.Second))
		}, false, fault.AuditUnavailable, []string{"contact:1"}},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.call(t, k.tool, k.arguments, k.grants...)
			if k.change != nil {
				k.change(t, b, &c)
			}
			before := b.hits.Load()
			var err error
			if k.stream {
				_, err = b.InvokeStream(t.Context(), c, &sink{})
			} else {
				_, err = b.Invoke(t.Context(), c)
			}
			requireReason(t, k.reason, err)
			require.Equal(t, before, b.hits.Load(), "nothing reaches the upstream")

			b.flush(t)
			w := c.Caller.Task.Workspace
			rows, err := b.store.Audit().Events(t.Context(), audit.Filter{Workspace: w, InvocationID: c.InvocationID, Limit: 10})
			require.NoError(t, err)
			require.Len(t, rows, 1)
			e := rows[0]
			require.Equal(t, audit.Refusal, e.Kind)
			require.Equal(t, audit.Refused, e.Decision)
			require.Equal(t, string(k.reason), e.Reason)
			require.Equal(t, "crm", e.Connector)
			require.Equal(t, k.tool, e.Tool)
			require.Equal(t, k.resources, e.Resources)
			require.Equal(t, c.Caller.Task.ID, e.TaskID)
			require.Equal(t, c.Caller.Task.User.ID, e.UserID)
			require.Equal(t, "spiffe://example.org/sandbox", e.SPIFFEID)
			require.Equal(t, k.resources != nil, e.Revision == b.revision, "the revision is known with the resources")
		})
	}
}

func TestNothingIsSentWithoutATrail(t *testing.T) {
	b := newBench(t)
	c := b.call(t, "contacts.get", `{"id":1}`, all)
	b.trailStore.down.Store(true)
	_, err := b.Invoke(t.Context(), c)
	requireReason(t, fault.AuditUnavailable, err)
	_, err = b.InvokeStream(t.Context(), again(c), &sink{})
	requireReason(t, fault.AuditUnavailable, err)
	require.Zero(t, b.hits.Load())
	b.trailStore.down.Store(false)
	_, err = b.Invoke(t.Context(), again(c))
	require.NoError(t, err)
	require.EqualValues(t, 1, b.hits.Load())
}

// The answer is there, but the trail that must count it is not: it is withheld.
func TestLimitedAnswerIsWithheldWithoutATrail(t *testing.T) {
	b := newBench(t)
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		b.trailStore.down.Store(true)
		text(200, `{"name":"Ada"}`)(w, r)
	})
	c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* bytes=100")
	answer, err := b.Invoke(t.Context(), c)
	requireReason(t, fault.OutcomeUnknown, err) // AUDIT_UNAVAILABLE would say that nothing was sent
	require.Nil(t, answer)
	require.Equal(t, "200", fault.From(err).Metadata["upstream_status"], "the caller learns that the call was made")
	b.trailStore.down.Store(false)
	o := b.outcome(t, c)
	require.Equal(t, audit.Failed, o.Outcome)
	require.Equal(t, 200, o.UpstreamStatus)
}
