package grant_test

import (
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/grant"
)

// now is the time of every call in these tests.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// tb is what *testing.T, *testing.B and *rapid.T share.
type tb interface {
	require.TestingT
	Helper()
}

func resource(t tb, text string) grant.Resource {
	t.Helper()
	r, err := grant.ParseResource(text)
	require.NoError(t, err)
	return r
}

func pattern(t tb, text string) grant.Pattern {
	t.Helper()
	p, err := grant.ParsePattern(text)
	require.NoError(t, err)
	return p
}

func parse(t tb, texts ...string) []grant.Grant {
	t.Helper()
	grants := make([]grant.Grant, len(texts))
	for i, text := range texts {
		g, err := grant.Parse(text)
		require.NoError(t, err)
		grants[i] = g
	}
	return grants
}

// A small world, so that random grants and calls often meet.
var (
	someConnectors = []string{"crm", "erp"}
	someTools      = []string{"a", "b", "c"}
	somePatterns   = []string{"x:*", "x:1*", "x:1", "x:11", "x:2", "y:1", "y:*"}
	someResources  = []string{"x:*", "x:1", "x:11", "x:12", "x:2", "x:3", "y:1", "y:*"}
	someEnds       = []time.Time{{}, now.Add(-time.Second), now, now.Add(time.Second)}
)

// drawGrant gives a valid grant of the small world.
func drawGrant(t *rapid.T) grant.Grant {
	limit := rapid.SampledFrom([]int64{0, 0, 1, 2})
	g := grant.Grant{
		Connector:   rapid.SampledFrom(someConnectors).Draw(t, "connector"),
		Tools:       rapid.SliceOfNDistinct(rapid.SampledFrom(someTools), 1, 2, rapid.ID).Draw(t, "tools"),
		MaxSeverity: rapid.SampledFrom([]grant.Severity{grant.Read, grant.Write, grant.Admin}).Draw(t, "severity"),
		Limits:      grant.Limits{Calls: limit.Draw(t, "calls"), Rows: limit.Draw(t, "rows")},
		ExpiresAt:   rapid.SampledFrom(someEnds).Draw(t, "end"),
	}
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(somePatterns), 1, 3, rapid.ID).Draw(t, "patterns") {
		g.Resources = append(g.Resources, pattern(t, p))
	}
	return g
}

// drawRequest gives a call of the small world; some are malformed.
func drawRequest(t *rapid.T) grant.Request {
	req := grant.Request{
		Connector: rapid.SampledFrom(append([]string{""}, someConnectors...)).Draw(t, "of connector"),
		Tool:      rapid.SampledFrom(append([]string{"", "a*"}, someTools...)).Draw(t, "of tool"),
		Severity:  grant.Severity(rapid.IntRange(-1, 5).Draw(t, "of severity")),
		Now:       now,
	}
	for _, r := range rapid.SliceOfN(rapid.SampledFrom(someResources), 0, 3).Draw(t, "of resources") {
		req.Resources = append(req.Resources, resource(t, r))
	}
	return req
}
