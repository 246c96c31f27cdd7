package grant

import (
	"maps"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
)

// Expand gives the names that patterns of a child stand for, sorted and each once: of
// the tools of the connector that some grant of s names, whichever that is. A name stays
// as it is, held or not: Within judges it. A pattern that matches nothing is
// DELEGATION_WIDENS.
func (s *Set) Expand(connector string, patterns []string) ([]string, error) {
	names, held := map[string]bool{}, s.Tools(connector)
	for _, p := range patterns {
		if !strings.HasSuffix(p, "*") {
			names[p] = true
			continue
		}
		matched := false
		for _, tool := range held {
			if ToolMatches(p, tool) {
				names[tool], matched = true, true
			}
		}
		if !matched {
			return nil, fault.New(fault.DelegationWidens, "tool "+short(p)+" matches none of the parent's "+list(held), nil)
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// Ends reports whether some grant on the connector has an end of its own.
func (s *Set) Ends(connector string) bool {
	return slices.ContainsFunc(s.grants, func(g Grant) bool { return g.Connector == connector && !g.ExpiresAt.IsZero() })
}
