package grant

import (
	"maps"
	"slices"
	"strings"
)

// Set is a task's grants, indexed once for many decisions: first by connector and
// tool, within that by resource. It is never changed after NewSet, so any number of
// goroutines may use it. The zero Set grants nothing.
type Set struct {
	grants []Grant
	tools  map[toolKey]*index
}

type toolKey struct{ connector, tool string }

// index holds the grants that name one tool. The lists of positions are ascending.
type index struct {
	grants   []*Grant
	exact    map[string][]int // by whole resource
	prefixes map[string][]int // by what stands before the `*`
	lengths  []int            // of the prefixes, each once
}

// NewSet copies and indexes the grants. Where several allow a call the first of them
// decides, but one without limits goes before one with: a call should not be counted
// against a limit that it does not need.
func NewSet(grants []Grant) *Set {
	s := &Set{grants: cloneAll(grants), tools: map[toolKey]*index{}}
	for _, limited := range []bool{false, true} {
		for i := range s.grants {
			if g := &s.grants[i]; g.Limits.Any() == limited {
				s.add(g)
			}
		}
	}
	return s
}

// add puts g under every tool that it names. A pattern that was never expanded
// stands under a name that no tool has, and so matches nothing.
func (s *Set) add(g *Grant) {
	for _, tool := range g.Tools {
		key := toolKey{g.Connector, tool}
		x := s.tools[key]
		if x == nil {
			x = &index{exact: map[string][]int{}, prefixes: map[string][]int{}}
			s.tools[key] = x
		}
		x.add(g)
	}
}

func (x *index) add(g *Grant) {
	at := len(x.grants)
	x.grants = append(x.grants, g)
	for _, p := range g.Resources {
		prefix, isPrefix := strings.CutSuffix(p.text, "*")
		switch {
		case p.text == "":
		case !isPrefix:
			x.exact[p.text] = appendOnce(x.exact[p.text], at)
		default:
			x.prefixes[prefix] = appendOnce(x.prefixes[prefix], at)
			if !slices.Contains(x.lengths, len(prefix)) {
				x.lengths = append(x.lengths, len(prefix))
			}
		}
	}
}

// covering returns the positions of the grants that cover r, ascending.
func (x *index) covering(r Resource) []int {
	found := x.exact[r.text]
	for _, n := range x.lengths {
		if n <= len(r.text) {
			found = union(found, x.prefixes[r.text[:n]])
		}
	}
	return found
}

// Grants returns a copy of the grants, in the order in which they were given.
func (s *Set) Grants() []Grant { return cloneAll(s.grants) }

// Tools returns the names of a connector's tools that some grant names, sorted. It
// says nothing about severity, resources or the end of the grant.
func (s *Set) Tools(connector string) []string {
	names := map[string]bool{}
	for key := range s.tools {
		if key.connector == connector {
			names[key.tool] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func cloneAll(grants []Grant) []Grant {
	out := slices.Clone(grants)
	for i := range out {
		out[i].Tools = slices.Clone(out[i].Tools)
		out[i].Resources = slices.Clone(out[i].Resources)
	}
	return out
}

func appendOnce(list []int, n int) []int {
	if len(list) > 0 && list[len(list)-1] == n {
		return list
	}
	return append(list, n)
}

// union merges two ascending lists. Where one is empty it returns the other itself:
// the results are read only.
func union(a, b []int) []int {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// intersect keeps what stands in both ascending lists.
func intersect(a, b []int) []int {
	var out []int
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return out
}
