package egress

// forbidden is what a Scrubber looks for.
type forbidden struct {
	exact, folded *automaton
	none          bool
	begins        [256]bool // what may begin a form, or an escape
	pairs         [256]row  // and what may follow that: most of what may begin one does not
}

// row is a set of bytes.
type row [4]uint64

func (r *row) has(c byte) bool { return r[c>>6]>>(c&63)&1 != 0 }

func (r *row) add(c byte) { r[c>>6] |= 1 << (c & 63) }

func (r *row) join(o row) {
	for i := range r {
		r[i] |= o[i]
	}
}

var (
	everything = where(func(byte) bool { return true })
	// leads go on as an escape.
	leads = where(isLead)
	// gaps are passed over, or begin what is.
	gaps = where(func(c byte) bool { return folded[c] == 0 || c == '0' })
)

func where(holds func(byte) bool) (r row) {
	for i := range 256 {
		if c := byte(i); holds(c) {
			r.add(c)
		}
	}
	return r
}

func (f *forms) compile() *Scrubber {
	no := &forbidden{exact: newAutomaton(f.exact, false), folded: newAutomaton(f.folded, true)}
	no.none = len(no.exact.nodes) == 1
	for i := range no.pairs {
		c := byte(i)
		no.begins[i] = isLead(c) || no.exact.root[c] != 0 || no.folded.root[folded[c]] != 0
		no.follow(c, &no.pairs[i])
	}
	return &Scrubber{func() *forbidden { return no }}
}

// follow collects what may follow c.
func (f *forbidden) follow(c byte, next *row) {
	if isLead(c) {
		*next = everything
		return
	}
	if n := f.exact.root[c]; n != 0 {
		if f.exact.nodes[n].match > 0 {
			*next = everything
		}
		next.join(leads)
		for n = f.exact.nodes[n].child; n != 0; n = f.exact.nodes[n].sibling {
			next.add(f.exact.nodes[n].label)
		}
	}
	if n := f.folded.root[folded[c]]; n != 0 {
		next.join(gaps)
		for n = f.folded.nodes[n].child; n != 0; n = f.folded.nodes[n].sibling {
			label := f.folded.nodes[n].label
			next.add(label)
			if label >= 'a' {
				next.add(label - 'a' + 'A')
			}
		}
	}
}

// skip gives the first place from i on where a form or an escape may begin.
func (f *forbidden) skip(text []byte, i int) int {
	for ; i+1 < len(text); i++ {
		if f.pairs[text[i]].has(text[i+1]) {
			return i
		}
	}
	if i < len(text) && !f.begins[text[i]] {
		i++
	}
	return i
}
