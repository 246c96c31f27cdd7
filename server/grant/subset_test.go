package grant_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

func TestSubset(t *testing.T) {
	const parent = "crm: contacts.get,contacts.list WRITE contact:eu-*,contact:1 calls=10 usd=2.5 until=2030-01-01T00:00:00Z"
	const within = "crm: contacts.get READ contact:eu-7 calls=10 usd=2.5 until=2030-01-01T00:00:00Z"
	tests := []struct {
		name              string
		children, parents []string
		widens            string // empty: it does not
	}{
		{name: "itself", children: []string{parent}, parents: []string{parent}},
		{name: "less of everything", children: []string{within}, parents: []string{parent}},
		{name: "two children in one parent", children: []string{within, parent}, parents: []string{parent}},
		{name: "nothing", parents: []string{parent}},
		{name: "nothing of nothing"},
		{name: "the second parent holds it", children: []string{within}, parents: []string{"erp: orders.get READ order:1", parent}},
		{
			name: "no parents", children: []string{within}, widens: "grant 1: the parent has no grant on crm",
		},
		{
			name: "the second child", children: []string{within, "erp: orders.get READ order:1"}, parents: []string{parent},
			widens: "grant 2: the parent has no grant on erp",
		},
		{
			name: "another tool", children: []string{"crm: contacts.get,contacts.delete READ contact:1"}, parents: []string{parent},
			widens: "tool contacts.delete is not within the parent's contacts.get, contacts.list",
		},
		{
			name: "a tool pattern over the parent's names", children: []string{"crm: contacts.* READ contact:1"}, parents: []string{parent},
			widens: "tool contacts.*",
		},
		{
			name: "another resource", children: []string{"crm: contacts.get READ contact:1,contact:2"}, parents: []string{parent},
			widens: "resource contact:2 is not within the parent's contact:eu-*, contact:1",
		},
		{
			name: "a wider pattern", children: []string{"crm: contacts.get READ contact:e*"}, parents: []string{parent},
			widens: "resource contact:e*",
		},
		{
			name: "a pattern where the parent has an id", children: []string{"crm: contacts.get READ contact:1*"}, parents: []string{parent},
			widens: "resource contact:1*",
		},
		{
			name: "severity", children: []string{"crm: contacts.get DESTRUCTIVE contact:1"}, parents: []string{parent},
			widens: "severity DESTRUCTIVE is above the parent's WRITE",
		},
		{
			name:     "a limit taken away",
			children: []string{"crm: contacts.get READ contact:1 usd=1 until=2030-01-01T00:00:00Z"}, parents: []string{parent},
			widens: "calls is not limited, the parent's limit is calls=10",
		},
		{
			name:     "a limit raised",
			children: []string{"crm: contacts.get READ contact:1 calls=10 usd=2.500001 until=2030-01-01T00:00:00Z"}, parents: []string{parent},
			widens: "usd=2.500001 is above the parent's 2.5",
		},
		{
			name:     "no end under an end",
			children: []string{"crm: contacts.get READ contact:1 calls=1 usd=1"}, parents: []string{parent},
			widens: "no end of its own, the parent's grant ends at 2030-01-01T00:00:00Z",
		},
		{
			name:     "a later end",
			children: []string{"crm: contacts.get READ contact:1 calls=1 usd=1 until=2030-01-01T00:00:01Z"}, parents: []string{parent},
			widens: "until=2030-01-01T00:00:01Z is after the parent's",
		},
		{
			name:     "two parents that only together hold the child",
			children: []string{"crm: contacts.get READ contact:1,contact:2"},
			parents:  []string{"crm: contacts.get READ contact:1", "crm: contacts.get READ contact:2"},
			widens:   "resource contact:2",
		},
		{
			name:     "the words are about the nearest parent",
			children: []string{"crm: contacts.get ADMIN contact:1"},
			parents:  []string{"erp: contacts.get ADMIN contact:1", "crm: contacts.get READ contact:1", "crm: contacts.list ADMIN contact:1"},
			widens:   "severity ADMIN is above the parent's READ",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := subset(parse(t, tt.children...), parse(t, tt.parents...))
			if tt.widens == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.DelegationWidens))
			require.ErrorContains(t, err, tt.widens)
		})
	}
}

// subset is Within for who does not ask in which parent a child lies.
func subset(children, parents []grant.Grant) error {
	_, err := grant.Within(children, parents)
	return err
}

// Every limit is looked at: the loop over them may not miss one.
func TestSubsetEveryLimit(t *testing.T) {
	for _, limit := range []string{"calls", "bytes", "rows", "tokens", "usd"} {
		text := func(n int) []grant.Grant { return parse(t, fmt.Sprintf("crm: a READ x:1 %s=%d", limit, n)) }
		none := parse(t, "crm: a READ x:1")
		require.NoError(t, subset(text(2), text(2)), limit)
		require.NoError(t, subset(text(2), none), limit)
		require.ErrorContains(t, subset(text(3), text(2)), limit+"=3 is above the parent's 2")
		require.ErrorContains(t, subset(none, text(2)), limit+" is not limited")
	}
}

func TestSubsetRefusesWhatItCannotJudge(t *testing.T) {
	parent := parse(t, "crm: a ADMIN x:*")[0]
	for name, change := range map[string]func(child, parent *grant.Grant){
		"a zero child":           func(c, _ *grant.Grant) { *c = grant.Grant{} },
		"a child of no severity": func(c, _ *grant.Grant) { c.MaxSeverity = 0 },
		"a child above all":      func(c, _ *grant.Grant) { c.MaxSeverity = 9 },
		"a limit below zero":     func(c, _ *grant.Grant) { c.Limits.Calls = -1 },
		"a zero pattern":         func(c, _ *grant.Grant) { c.Resources = []grant.Pattern{{}} },
		"another revision":       func(c, _ *grant.Grant) { c.Revision = 2 },
		"a parent above all":     func(_, p *grant.Grant) { p.MaxSeverity = 9 },
		"a parent of zeroes":     func(_, p *grant.Grant) { *p = grant.Grant{} },
	} {
		child, parent := parent, parent
		change(&child, &parent)
		require.True(t, fault.Is(subset([]grant.Grant{child}, []grant.Grant{parent}), fault.DelegationWidens), name)
	}
}

// What Within lets pass must never allow a call that the parents refuse.
func TestSubsetIsSound(t *testing.T) {
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		parents := rapid.SliceOfN(rapid.Custom(drawGrant), 1, 4).Draw(t, "parents")
		children := rapid.SliceOfN(rapid.Custom(drawGrant), 1, 2).Draw(t, "children")
		// Half of the children are made from a parent, or few would pass.
		if rapid.Bool().Draw(t, "from a parent") {
			children[0] = narrowed(t, parents[0])
		}
		if subset(children, parents) != nil {
			return
		}
		passed++
		for range 8 {
			req := drawRequest(t)
			if grant.NewSet(children).Evaluate(req).Allowed {
				require.True(t, grant.NewSet(parents).Evaluate(req).Allowed, "%v", req)
			}
		}
	})
	require.Positive(t, passed, "no pair of grants passed: the property was not tried")
}

// narrowed changes at most one part of g for a random one.
func narrowed(t *rapid.T, g grant.Grant) grant.Grant {
	other := drawGrant(t)
	switch rapid.IntRange(0, 5).Draw(t, "part") {
	case 0:
		g.Tools = other.Tools
	case 1:
		g.MaxSeverity = other.MaxSeverity
	case 2:
		g.Resources = other.Resources
	case 3:
		g.Limits = other.Limits
	case 4:
		g.ExpiresAt = other.ExpiresAt
	}
	return g
}

// Every pair of one-tool, one-pattern grants of a small world against every call in
// it: sound, and complete too, since on these a wider child shows in some call or limit.
func TestSubsetExhaustively(t *testing.T) {
	var grants []grant.Grant
	for _, tool := range []string{"a", "b"} {
		for _, p := range somePatterns {
			for _, severity := range []grant.Severity{grant.Read, grant.Admin} {
				for _, end := range someEnds[1:] {
					grants = append(grants, grant.Grant{
						Connector: "crm", Tools: []string{tool}, MaxSeverity: severity,
						Resources: []grant.Pattern{pattern(t, p)}, ExpiresAt: end,
					})
				}
			}
		}
	}
	var reqs []grant.Request
	for _, tool := range []string{"a", "b"} {
		for _, r := range append(someResources, "x:1x", "x:") {
			res, err := grant.ParseResource(r)
			if err != nil {
				continue
			}
			for _, severity := range []grant.Severity{grant.Read, grant.Admin} {
				for _, end := range someEnds[1:] {
					reqs = append(reqs, grant.Request{
						Connector: "crm", Tool: tool, Severity: severity,
						Resources: []grant.Resource{res}, Now: end.Add(-1),
					})
				}
			}
		}
	}
	allowed := make([][]bool, len(grants))
	for i := range grants {
		s := grant.NewSet(grants[i : i+1])
		for _, req := range reqs {
			allowed[i] = append(allowed[i], s.Evaluate(req).Allowed)
		}
	}
	for c := range grants {
		for p := range grants {
			wider := -1
			for i := range reqs {
				if allowed[c][i] && !allowed[p][i] {
					wider = i
				}
			}
			err := subset(grants[c:c+1], grants[p:p+1])
			if (err == nil) != (wider < 0) {
				t.Fatalf("%v within %v: %v, but a wider call is number %d", grants[c], grants[p], err, wider)
			}
		}
	}
}

func FuzzSubset(f *testing.F) {
	f.Add("crm: a READ x:1", "crm: a READ x:*", "a", "x:1", 1)
	f.Add("crm: a,b ADMIN x:1* calls=1", "crm: b,a ADMIN x:1*,y:* calls=2", "b", "x:11", 4)
	f.Fuzz(func(t *testing.T, child, parent, tool, res string, severity int) {
		c, err := grant.Parse(child)
		if err != nil {
			return
		}
		p, err := grant.Parse(parent)
		if err != nil {
			return
		}
		r, err := grant.ParseResource(res)
		if err != nil || subset([]grant.Grant{c}, []grant.Grant{p}) != nil {
			return
		}
		req := grant.Request{
			Connector: c.Connector, Tool: tool, Severity: grant.Severity(severity),
			Resources: []grant.Resource{r}, Now: now,
		}
		if grant.NewSet([]grant.Grant{c}).Evaluate(req).Allowed {
			require.True(t, grant.NewSet([]grant.Grant{p}).Evaluate(req).Allowed)
		}
	})
}
