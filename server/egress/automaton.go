package egress

// automaton finds any of several patterns in one walk over a text (Aho and Corasick,
// 1975). It is built once and then only read.
//
// Patterns are long and few, so nearly every node has one child: children are linked
// lists, and only the root, where the walk spends its time, has a full table.
type automaton struct {
	nodes   []node
	root    [256]int32 // from the root by the next byte; 0 is the root itself
	longest int        // pattern
	folds   bool       // the patterns and what it reads are folded
}

type node struct {
	fail    int32 // where the longest proper suffix that is also a prefix stands
	miss    int32 // the first on the way of fails that has a child which this has not
	child   int32 // first child; 0: none
	sibling int32 // next child of the same parent; 0: none
	depth   int32 // how many bytes lead here
	match   int32 // length of the longest pattern that ends here; 0: none
	label   byte
}

func newAutomaton(patterns [][]byte, folds bool) *automaton {
	size := 1
	for _, p := range patterns {
		size += len(p)
	}
	a := &automaton{nodes: make([]node, 1, size), folds: folds}
	for _, p := range patterns {
		a.add(p)
	}
	a.link()
	return a
}

func (a *automaton) add(pattern []byte) {
	a.longest = max(a.longest, len(pattern))
	at := int32(0)
	for i, c := range pattern {
		next := a.child(at, c)
		if next == 0 {
			next = int32(len(a.nodes)) //nolint:gosec // some thousand at most
			a.nodes = append(a.nodes, node{label: c, depth: int32(i) + 1, sibling: a.nodes[at].child})
			a.nodes[at].child = next
			if at == 0 {
				a.root[c] = next
			}
		}
		at = next
	}
	if at != 0 {
		a.nodes[at].match = a.nodes[at].depth
	}
}

// link sets fail, miss and match level by level, so that shorter ones are there first.
func (a *automaton) link() {
	queue := make([]int32, 1, len(a.nodes))
	for head := 0; head < len(queue); head++ {
		at := queue[head]
		for c := a.nodes[at].child; c != 0; c = a.nodes[c].sibling {
			n := &a.nodes[c]
			if at != 0 {
				n.fail = a.step(a.nodes[at].fail, n.label)
			}
			if n.miss = n.fail; a.within(n.fail, c) {
				n.miss = a.nodes[n.fail].miss
			}
			n.match = max(n.match, a.nodes[n.fail].match)
			queue = append(queue, c)
		}
	}
}

// within reports whether all that goes on from at goes on from other too: where other has
// failed, at will.
func (a *automaton) within(at, other int32) bool {
	for n := a.nodes[at].child; n != 0; n = a.nodes[n].sibling {
		if a.child(other, a.nodes[n].label) == 0 {
			return false
		}
	}
	return true
}

func (a *automaton) child(at int32, c byte) int32 {
	if at == 0 {
		return a.root[c]
	}
	for n := a.nodes[at].child; n != 0; n = a.nodes[n].sibling {
		if a.nodes[n].label == c {
			return n
		}
	}
	return 0
}

// step goes on from at by one byte, to the node of the longest suffix of what was
// read that is a prefix of some pattern. What repeats itself, such as a thousand times the
// same letter, is left in few steps (Knuth, Morris and Pratt, 1977).
func (a *automaton) step(at int32, c byte) int32 {
	for at != 0 {
		if next := a.child(at, c); next != 0 {
			return next
		}
		at = a.nodes[at].miss
	}
	return a.root[c]
}
