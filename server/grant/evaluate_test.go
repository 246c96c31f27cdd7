package grant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

func TestEvaluate(t *testing.T) {
	get := func(resources ...string) grant.Request {
		req := grant.Request{Connector: "crm", Tool: "contacts.get", Severity: grant.Read, Now: now}
		for _, r := range resources {
			req.Resources = append(req.Resources, resource(t, r))
		}
		return req
	}
	with := func(req grant.Request, change func(*grant.Request)) grant.Request {
		change(&req)
		return req
	}
	one := []string{"crm: contacts.get,contacts.list READ contact:1"}
	tests := []struct {
		name    string
		grants  []string
		req     grant.Request
		reason  fault.Reason // empty: allowed
		by      int          // the deciding grant, from 1; 0: none
		missing string
	}{
		{name: "all parts match", grants: one, req: get("contact:1"), by: 1},
		{name: "no grants", req: get("contact:1"), reason: fault.GrantMissing, missing: "no grant names crm contacts.get"},
		{
			name: "another connector", grants: one,
			req:    with(get("contact:1"), func(r *grant.Request) { r.Connector = "erp" }),
			reason: fault.GrantMissing, missing: "no grant names erp contacts.get",
		},
		{
			name: "another tool", grants: one,
			req:    with(get("contact:1"), func(r *grant.Request) { r.Tool = "contacts.delete" }),
			reason: fault.GrantMissing, missing: "no grant names crm contacts.delete",
		},
		{
			name: "a tool pattern that was never expanded grants nothing", grants: []string{"crm: contacts.* READ contact:1"},
			req: get("contact:1"), reason: fault.GrantMissing,
		},
		{
			name: "a call that names a pattern", grants: []string{"crm: contacts.* READ contact:1"},
			req:    with(get("contact:1"), func(r *grant.Request) { r.Tool = "contacts.*" }),
			reason: fault.GrantMissing, missing: "names no connector and tool",
		},
		{
			name: "another resource", grants: one, req: get("contact:2"), by: 1,
			reason: fault.ResourceNotGranted, missing: "grant covers contact:1, the call acts on contact:2",
		},
		{
			name: "one of two resources", grants: one, req: get("contact:1", "contact:2"), by: 1,
			reason: fault.ResourceNotGranted, missing: "grant covers contact:1, the call acts on contact:2",
		},
		{
			name:   "two grants do not add up",
			grants: []string{"crm: contacts.get READ contact:1", "crm: contacts.get READ contact:2"},
			req:    get("contact:1", "contact:2"), by: 1, reason: fault.ResourceNotGranted,
		},
		{
			name:   "the grant that leaves the fewest uncovered is the nearest",
			grants: []string{"crm: contacts.get READ contact:1", "crm: contacts.get READ contact:2,contact:3"},
			req:    get("contact:1", "contact:2", "contact:3"), by: 2, reason: fault.ResourceNotGranted,
			missing: "grant covers contact:2, contact:3, the call acts on contact:1",
		},
		{
			name: "the whole type needs the whole type", grants: []string{"crm: contacts.get READ contact:1,contact:eu-*"},
			req: get("contact:*"), by: 1, reason: fault.ResourceNotGranted,
		},
		{name: "the whole type", grants: []string{"crm: contacts.get READ contact:*"}, req: get("contact:*", "contact:7"), by: 1},
		{
			name: "several patterns of one grant", grants: []string{"crm: contacts.get READ contact:e*,contact:eu-*,contact:us-1"},
			req: get("contact:eu-7", "contact:us-1"), by: 1,
		},
		{
			name: "severity above", grants: one, by: 1,
			req:    with(get("contact:1"), func(r *grant.Request) { r.Severity = grant.Write }),
			reason: fault.SeverityExceeded, missing: "the grant approves READ, contacts.get is WRITE",
		},
		{
			name: "severity below", grants: []string{"crm: contacts.get ADMIN contact:1"}, req: get("contact:1"), by: 1,
		},
		{
			name: "before the end", grants: []string{"crm: contacts.get READ contact:1 until=2026-11-23T12:00:00.000001Z"},
			req: get("contact:1"), by: 1,
		},
		{
			name: "at the end", grants: []string{"crm: contacts.get READ contact:1 until=2026-11-23T12:00:00Z"},
			req: get("contact:1"), by: 1, reason: fault.GrantExpired,
			missing: "the grant ended at 2026-11-23T12:00:00Z, it is 2026-11-23T12:00:00Z",
		},
		{
			name: "the reason is that of the nearest grant", req: get("contact:1"), by: 3, reason: fault.GrantExpired,
			grants: []string{
				"crm: contacts.list READ contact:1", "crm: contacts.get READ contact:2",
				"crm: contacts.get READ contact:1 until=2020-01-01T00:00:00Z",
			},
		},
		{
			name: "severity comes after resources and before the end", by: 2, reason: fault.SeverityExceeded,
			req:    with(get("contact:1"), func(r *grant.Request) { r.Severity = grant.Write }),
			grants: []string{"crm: contacts.get ADMIN contact:2", "crm: contacts.get READ contact:1 until=2020-01-01T00:00:00Z"},
		},
		{
			name: "an ended grant does not stand in the way", req: get("contact:1"), by: 2,
			grants: []string{"crm: contacts.get READ contact:1 until=2020-01-01T00:00:00Z", "crm: contacts.get READ contact:1"},
		},
		{
			name: "the first that allows decides", req: get("contact:1"), by: 1,
			grants: []string{"crm: contacts.get READ contact:1", "crm: contacts.get READ contact:1"},
		},
		{
			name: "one without limits goes before one with", req: get("contact:1"), by: 2,
			grants: []string{"crm: contacts.get READ contact:1 calls=1", "crm: contacts.get READ contact:*"},
		},
		{name: "no resource", grants: one, req: get(), reason: fault.ResourceNotGranted, missing: "acts on no resource"},
		{
			name: "a resource that was never parsed", grants: []string{"crm: contacts.get READ contact:*"},
			req:    with(get("contact:1"), func(r *grant.Request) { r.Resources = append(r.Resources, grant.Resource{}) }),
			reason: fault.ResourceNotGranted, missing: "acts on no resource",
		},
		{
			name: "no severity", grants: []string{"crm: contacts.get ADMIN contact:1"},
			req:    with(get("contact:1"), func(r *grant.Request) { r.Severity = grant.Unspecified }),
			reason: fault.SeverityExceeded, missing: "is not known",
		},
		{
			name: "a severity below all", grants: []string{"crm: contacts.get ADMIN contact:1"},
			req:    with(get("contact:1"), func(r *grant.Request) { r.Severity = -1 }),
			reason: fault.SeverityExceeded,
		},
		{
			name: "no time", grants: one, req: with(get("contact:1"), func(r *grant.Request) { r.Now = time.Time{} }),
			reason: fault.GrantExpired, missing: "the time of the call is not known",
		},
		{
			name: "no connector", grants: one, req: with(get("contact:1"), func(r *grant.Request) { r.Connector = "" }),
			reason: fault.GrantMissing,
		},
		{
			name: "no tool", grants: one, req: with(get("contact:1"), func(r *grant.Request) { r.Tool = "" }),
			reason: fault.GrantMissing,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			grants := numbered(parse(t, tt.grants...))
			got := grant.NewSet(grants).Evaluate(tt.req)
			require.Equal(t, tt.reason, got.Reason)
			require.Equal(t, tt.reason == "", got.Allowed)
			require.Equal(t, got.Allowed, got.Missing == "", "a refusal has words, an allowance none")
			require.Contains(t, got.Missing, tt.missing)
			if tt.by == 0 {
				require.Nil(t, got.Grant)
				return
			}
			require.Equal(t, fmt.Sprint(tt.by-1), got.Grant.ID)
		})
	}
}

// Grants that no parser let through must not allow anything either.
func TestEvaluateBrokenGrants(t *testing.T) {
	whole := parse(t, "crm: contacts.get ADMIN contact:*")[0]
	tests := []struct {
		name   string
		change func(*grant.Grant)
	}{
		{"zero", func(g *grant.Grant) { *g = grant.Grant{} }},
		{"no connector", func(g *grant.Grant) { g.Connector = "" }},
		{"no tools", func(g *grant.Grant) { g.Tools = nil }},
		{"an empty tool", func(g *grant.Grant) { g.Tools = []string{""} }},
		{"a bare star for the tool", func(g *grant.Grant) { g.Tools = []string{"*"} }},
		{"no severity", func(g *grant.Grant) { g.MaxSeverity = 0 }},
		{"a severity above all", func(g *grant.Grant) { g.MaxSeverity = 99 }},
		{"no resources", func(g *grant.Grant) { g.Resources = nil }},
		{"a zero pattern", func(g *grant.Grant) { g.Resources = []grant.Pattern{{}} }},
	}
	req := grant.Request{
		Connector: "crm", Tool: "contacts.get", Severity: grant.Read,
		Resources: []grant.Resource{resource(t, "contact:1")}, Now: now,
	}
	require.True(t, grant.NewSet([]grant.Grant{whole}).Evaluate(req).Allowed)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := whole
			tt.change(&g)
			require.False(t, grant.NewSet([]grant.Grant{g}).Evaluate(req).Allowed)
			require.Error(t, g.Validate())
		})
	}
	require.False(t, new(grant.Set).Evaluate(req).Allowed, "the zero Set")
	require.False(t, grant.Decision{}.Allowed, "the zero Decision")
}

func TestMissingIsShort(t *testing.T) {
	long := strings.Repeat("é", 400)
	grants := parse(t, "crm: contacts.get READ x:1,x:2,x:3,x:4,x:5,x:6,x:7")
	got := grant.NewSet(grants).Evaluate(grant.Request{
		Connector: "crm", Tool: "contacts.get", Severity: grant.Read, Now: now,
		Resources: []grant.Resource{resource(t, "y:"+long)},
	})
	require.Contains(t, got.Missing, "grant covers x:1, x:2, x:3, x:4, x:5 and 2 more, the call acts on y:éé")
	require.True(t, strings.HasSuffix(got.Missing, "é…"), "a long name is cut between characters")
	require.Less(t, len(got.Missing), 200)
}

func TestSetIsACopy(t *testing.T) {
	grants := parse(t, "crm: contacts.get READ contact:1")
	s := grant.NewSet(grants)
	want := parse(t, "crm: contacts.get READ contact:1")
	grants[0].Tools[0], grants[0].Resources[0], grants[0].MaxSeverity = "contacts.delete", pattern(t, "contact:*"), grant.Admin
	require.Equal(t, want, s.Grants())
	s.Grants()[0].Resources[0] = pattern(t, "contact:*")
	require.Equal(t, want, s.Grants())
}

func TestSetTools(t *testing.T) {
	s := grant.NewSet(parse(t,
		"crm: contacts.get,contacts.list READ contact:1 calls=1", "crm: contacts.get READ contact:2", "erp: orders.get READ order:1"))
	require.Equal(t, []string{"contacts.get", "contacts.list"}, s.Tools("crm"))
	require.Equal(t, []string{"orders.get"}, s.Tools("erp"))
	require.Empty(t, s.Tools("hr"))
	require.Empty(t, s.Tools(""))
}

func TestPinned(t *testing.T) {
	grants := parse(t, "crm: contacts.get READ contact:1", "erp: orders.get READ order:1")
	grants[0].Revision, grants[1].Revision = 3, 7
	s := grant.NewSet(grants)
	tests := []struct {
		name, connector, tool string
		want                  grant.Pinned
	}{
		{"a tool that a grant names", "crm", "contacts.get", grant.Pinned{Held: true, Named: true, Revision: 3}},
		{"another tool of the connector", "crm", "contacts.delete", grant.Pinned{Held: true, Revision: 3}},
		{"another connector's tool", "erp", "contacts.get", grant.Pinned{Held: true, Revision: 7}},
		{"a connector without a grant", "hr", "contacts.get", grant.Pinned{}},
		{"nothing", "", "", grant.Pinned{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, s.Pinned(tt.connector, tt.tool))
		})
	}
}

// The index must decide as a plain walk over the grants does.
func TestEvaluateAgreesWithAPlainWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants := numbered(rapid.SliceOfN(rapid.Custom(drawGrant), 0, 12).Draw(t, "grants"))
		s := grant.NewSet(grants)
		for range 8 {
			req := drawRequest(t)
			want, by := walk(grants, req)
			got := s.Evaluate(req)
			require.Equal(t, want, got.Reason)
			require.Equal(t, want == "", got.Allowed)
			if got.Allowed {
				require.Equal(t, by, got.Grant.ID)
			}
		}
	})
}

// walk is the rule of Evaluate said once more, as plainly as it goes.
func walk(grants []grant.Grant, req grant.Request) (fault.Reason, string) {
	nearest := []fault.Reason{fault.GrantMissing, fault.ResourceNotGranted, fault.SeverityExceeded, fault.GrantExpired}
	switch {
	case req.Connector == "" || req.Tool == "" || strings.Contains(req.Tool, "*"):
		return fault.GrantMissing, ""
	case len(req.Resources) == 0:
		return fault.ResourceNotGranted, ""
	case !req.Severity.Valid():
		return fault.SeverityExceeded, ""
	}
	best, allowedBy := 0, []grant.Grant{}
	for _, g := range grants {
		passed := 0
		for _, check := range []bool{
			g.Connector == req.Connector && slices.Contains(g.Tools, req.Tool),
			!slices.ContainsFunc(req.Resources, func(r grant.Resource) bool {
				return !slices.ContainsFunc(g.Resources, func(p grant.Pattern) bool { return p.Covers(r) })
			}),
			req.Severity <= g.MaxSeverity,
			g.ExpiresAt.IsZero() || req.Now.Before(g.ExpiresAt),
		} {
			if !check {
				break
			}
			passed++
		}
		if passed == len(nearest) {
			allowedBy = append(allowedBy, g)
			continue
		}
		best = max(best, passed)
	}
	if len(allowedBy) == 0 {
		return nearest[best], ""
	}
	for _, g := range allowedBy {
		if !g.Limits.Any() {
			return "", g.ID
		}
	}
	return "", allowedBy[0].ID
}

// numbered gives each grant its position for an id.
func numbered(grants []grant.Grant) []grant.Grant {
	for i := range grants {
		grants[i].ID = fmt.Sprint(i)
	}
	return grants
}

func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{10, 1000} {
		var grants []grant.Grant
		for i := range n {
			grants = append(grants, parse(b,
				fmt.Sprintf("crm: contacts.get READ contact:%d,folder:%d-*", i, i))...)
		}
		s := grant.NewSet(grants)
		allowed := grant.Request{
			Connector: "crm", Tool: "contacts.get", Severity: grant.Read, Now: now,
			Resources: []grant.Resource{resource(b, fmt.Sprintf("contact:%d", n-1)), resource(b, fmt.Sprintf("folder:%d-7", n-1))},
		}
		refused := allowed
		refused.Resources = []grant.Resource{resource(b, "contact:none")}
		for name, req := range map[string]grant.Request{"allowed": allowed, "refused": refused} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if s.Evaluate(req).Allowed != (name == "allowed") {
						b.Fatal("wrong decision")
					}
				}
			})
		}
	}
}
