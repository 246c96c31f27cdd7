package broker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

func TestTools(t *testing.T) {
	cases := map[string]struct {
		grants []string
		want   map[string][]string // patterns by tool
	}{
		"none": {nil, map[string][]string{}},
		"named and approved": {
			[]string{"crm: contacts.get,contacts.delete WRITE contact:1,contact:2"},
			map[string][]string{"contacts.get": {"contact:1", "contact:2"}},
		},
		"two grants of one tool": {
			[]string{"crm: contacts.get READ contact:1", "crm: contacts.get READ contact:9*"},
			map[string][]string{"contacts.get": {"contact:1", "contact:9*"}},
		},
		"an ended grant":       {[]string{"crm: contacts.get READ contact:1 until=2020-01-01T00:00:00Z"}, map[string][]string{}},
		"a tool that is gone":  {[]string{"crm: contacts.gone READ contact:1"}, map[string][]string{}},
		"an unknown connector": {[]string{"billing: get READ bill:1"}, map[string][]string{}},
		"sorted by name": {
			[]string{"crm: contacts.list,contacts.get READ contact:*"},
			map[string][]string{"contacts.get": {"contact:*"}, "contacts.list": {"contact:*"}},
		},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.call(t, "", "", k.grants...)
			list, err := b.Tools(t.Context(), c.Caller, c.Grants)
			require.NoError(t, err)
			got := map[string][]string{}
			last := ""
			for _, tool := range list {
				require.Less(t, last, tool.Tool.Name)
				last = tool.Tool.Name
				got[last] = tool.Patterns
			}
			require.Equal(t, k.want, got)
		})
	}
	t.Run("withdrawn", func(t *testing.T) {
		b := newBench(t)
		c := b.call(t, "", "", all)
		require.NoError(t, b.connectors.Withdraw(t.Context(), workspace, "crm", 0, now()))
		list, err := b.Tools(t.Context(), c.Caller, c.Grants)
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

// Explain judges as Invoke does, and leaves no trace.
func TestExplain(t *testing.T) {
	cases := map[string]struct {
		tool, arguments, grant string
		bob                    bool
		reason                 fault.Reason
		severity               grant.Severity
	}{
		"allowed":       {"contacts.get", `{"id":1}`, all, false, "", grant.Read},
		"not granted":   {"contacts.get", `{"id":7}`, "crm: contacts.get READ contact:1", false, fault.ResourceNotGranted, grant.Read},
		"too severe":    {"contacts.delete", `{"id":"7"}`, "crm: contacts.delete READ contact:*", false, fault.SeverityExceeded, grant.Destructive},
		"no credential": {"contacts.get", `{"id":1}`, all, true, fault.CredentialMissing, grant.Read},
		"unknown tool":  {"contacts.burn", `{}`, all, false, fault.ToolUnknown, grant.Unspecified},
		"nothing held":  {"contacts.get", `{}`, "billing: get READ bill:1", false, fault.GrantMissing, grant.Unspecified},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			u := b.alice
			if k.bob {
				u = b.user(t, "bob")
			}
			c := b.callFor(t, u, k.tool, k.arguments, k.grant)
			x, err := b.Explain(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, k.severity, x.Severity)
			if k.reason == "" {
				require.NoError(t, x.Err)
				require.True(t, x.Decision.Allowed)
			} else {
				requireReason(t, k.reason, x.Err)
			}
			require.Zero(t, b.hits.Load())
			require.Empty(t, b.rows(t, c))
		})
	}
	t.Run("a question that cannot be answered", func(t *testing.T) {
		b := newBench(t)
		_, err := b.Explain(t.Context(), b.call(t, "contacts.get", `{`, all))
		requireReason(t, fault.ArgumentInvalid, err)
	})
}

// A task runs on the revision on which it was minted, whatever is applied since.
func TestTaskStaysOnItsRevision(t *testing.T) {
	b := newBench(t)
	c := b.call(t, "contacts.get", `{"id":1}`, all)
	old := b.revision
	b.apply(t, func(text string) string { return text + "\n# changed\n" })
	require.Equal(t, old+1, b.revision)
	_, err := b.Invoke(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, old, b.outcome(t, c).Revision)
}

// Of two grants that allow a call, the one without limits is used.
func TestUnlimitedGrantGoesFirst(t *testing.T) {
	b := newBench(t)
	c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* calls=1", "crm: contacts.get READ contact:1")
	var last broker.Call
	for range 3 {
		last = again(c)
		_, err := b.Invoke(t.Context(), last)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, b.left(t, c).Calls)
	o := b.outcome(t, last)
	require.Equal(t, c.Grants.Grants()[1].ID, o.GrantID)
	require.Equal(t, audit.OK, o.Outcome)
}
