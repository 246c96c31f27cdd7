package egress

// trail keeps where the symbols begin that threads have read, so that forks share what
// they have in common: to fork is to copy a number. Each symbol points to the one before it,
// and to one far before it, so that any is found in some dozen jumps however long the way is
// (Myers, "An applicative random-access stack", 1983).
type trail struct {
	symbols []mark
	full    int // from how many on what nobody needs is dropped
}

// mark is a symbol on a trail.
type mark struct {
	start      int
	prev, jump int32 // the first of all, which is none, is its own
	length     int32 // of the trail up to here
}

// minFull spares short trails the trouble.
const minFull = 4096

// add goes on behind prev, and gives the new end.
func (t *trail) add(prev int32, start int) int32 {
	if len(t.symbols) == 0 {
		t.symbols = make([]mark, 1, 8)
	}
	next := mark{start: start, prev: prev, jump: prev, length: 1}
	if prev != 0 {
		p := &t.symbols[prev]
		j := &t.symbols[p.jump]
		next.length += p.length
		if p.length-j.length == j.length-t.symbols[j.jump].length {
			next.jump = j.jump
		}
	}
	t.symbols = append(t.symbols, next)
	return int32(len(t.symbols) - 1) //nolint:gosec // shortened long before
}

// start says where the last so many symbols before end begin.
func (t *trail) start(end, count int32) int {
	for want := t.symbols[end].length - count + 1; ; {
		switch at := &t.symbols[end]; {
		case at.length == want:
			return at.start
		case t.symbols[at.jump].length >= want:
			end = at.jump
		default:
			end = at.prev
		}
	}
}

// clear forgets all.
func (t *trail) clear() { t.symbols = t.symbols[:min(1, len(t.symbols))] }

// shorten keeps of each trail that ends in ends the last so many symbols, and says where
// they end now.
func (t *trail) shorten(ends []*int32, counts []int32) {
	to, work := make([]int32, len(t.symbols)), 0
	for i, end := range ends {
		work += int(counts[i])
		for at, left := *end, counts[i]; left > 0; at, left = t.symbols[at].prev, left-1 {
			to[at] = -1
		}
	}
	old := t.symbols
	t.symbols = make([]mark, 1, len(old))
	for i, m := range old {
		if to[i] != 0 {
			to[i] = t.add(to[m.prev], m.start)
		}
	}
	for _, end := range ends {
		*end = to[*end]
	}
	t.full = len(t.symbols) + max(minFull, len(t.symbols), work/4) // so that it costs little for each symbol
}
