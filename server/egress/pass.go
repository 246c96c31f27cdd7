package egress

// pass is one reading of a stream.
type pass struct {
	*automaton
	unescape bool

	held    []byte // read and not given out
	scanned int    // how much of held the automaton has seen
	state   int32
	starts  []int  // in held: where each of the last symbols begins that led to state
	found   []span // in held, in order, apart
	open    bool   // the first of found began before held, and its marker is out
	hits    int64
	out     []byte
}

// span is a place to be replaced.
type span struct{ start, end int }

// feed takes the next piece and returns what may go out. The result is valid until
// the next call, and may be a part of src.
func (p *pass) feed(src []byte, final bool) []byte {
	work := src
	if len(p.held) > 0 {
		p.held = append(p.held, src...)
		work = p.held
	}
	p.scan(work, final)
	keep := p.keepFrom(work, final)
	out := p.emit(work, keep)
	p.held = append(p.held[:0], work[keep:]...)
	p.scanned -= keep
	p.rebase(keep)
	return out
}

// scan runs the automaton over what it has not seen.
func (p *pass) scan(work []byte, final bool) {
	i := p.scanned
	for i < len(work) {
		c, width := work[i], 1
		if p.unescape && mayEscape(c) {
			c, width = symbol(work[i:])
			if width == 0 && !final {
				break
			}
			if width == 0 {
				c, width = work[i], 1
			}
		}
		i += width
		if p.state == 0 && p.root[c] == 0 {
			continue
		}
		p.state = p.step(p.state, c)
		if p.state == 0 {
			p.starts = p.starts[:0]
			continue
		}
		p.starts = append(p.starts, i-width)
		if n := int(p.nodes[p.state].match); n > 0 {
			p.mark(span{p.starts[len(p.starts)-n], i})
		}
	}
	p.scanned = i
}

// mark adds a span, which ends behind all others, and joins those that it overlaps.
func (p *pass) mark(s span) {
	for n := len(p.found); n > 0 && p.found[n-1].end > s.start; n-- {
		s.start = min(s.start, p.found[n-1].start)
		p.found = p.found[:n-1]
	}
	p.found = append(p.found, s)
}

// keepFrom says from where on bytes must be held back: from the beginning of what may
// still become a secret, so never more than the longest pattern.
func (p *pass) keepFrom(work []byte, final bool) int {
	if final {
		return len(work)
	}
	depth := int(p.nodes[p.state].depth)
	if depth == 0 {
		return p.scanned
	}
	p.starts = append(p.starts[:0], p.starts[len(p.starts)-depth:]...)
	return p.starts[0]
}

// emit gives out work up to the given place, every span replaced that begins before
// it. One that reaches beyond stays open: what follows may prolong it.
func (p *pass) emit(work []byte, upTo int) []byte {
	if len(p.held) == 0 && len(p.found) == 0 {
		return work[:upTo]
	}
	p.out = p.out[:0]
	at, done := 0, 0
	for i, s := range p.found {
		if s.start >= upTo && !(i == 0 && p.open) {
			break
		}
		if i > 0 || !p.open {
			p.out = append(append(p.out, work[at:s.start]...), Redacted...)
			p.hits++
		}
		at = min(s.end, upTo)
		if p.open = s.end > upTo; p.open {
			break
		}
		done++
	}
	p.found = append(p.found[:0], p.found[done:]...)
	p.out = append(p.out, work[at:upTo]...)
	return p.out
}

// rebase moves every place that is kept, since held now begins further on.
func (p *pass) rebase(by int) {
	for i := range p.starts {
		p.starts[i] -= by
	}
	for i := range p.found {
		p.found[i].start = max(p.found[i].start-by, 0)
		p.found[i].end -= by
	}
}
