package egress

// pass is one reading of a stream by both automatons. Places are counted from its
// beginning.
type pass struct {
	*forbidden
	exact, folded walk

	held    []byte // read and not given out
	gone    int    // how much was given out
	scanned int    // how much of held was read
	found   spans  // not given out
	open    bool   // the first of found began before held, and its marker is out
	hits    int64
	out     []byte
	ways    [2 * maxLevels]reading
}

func newPass(f *forbidden) *pass {
	return &pass{forbidden: f, exact: newWalk(f.exact), folded: newWalk(f.folded)}
}

// feed takes the next piece and returns what may go out. The result is valid until
// the next call, and may be a part of src.
func (p *pass) feed(src []byte, final bool) []byte {
	if p.none {
		return src
	}
	work := src
	if len(p.held) > 0 {
		p.held = append(p.held, src...)
		work = p.held
	}
	p.scan(work, final)
	keep := len(work)
	if !final {
		read := work[:p.scanned]
		keep = min(p.exact.keepFrom(p.gone, read), p.folded.keepFrom(p.gone, read)) - p.gone
	}
	out := p.emit(work, keep)
	p.hold(work[keep:])
	p.scanned -= keep
	p.gone += keep
	return out
}

// hold keeps the end of what was read. It moves it only where that makes room for as much
// again, so that what comes byte by byte is not moved with each.
func (p *pass) hold(rest []byte) {
	if len(p.held) == 0 || 2*len(rest) <= len(p.held) {
		p.held = append(p.held[:0], rest...)
		return
	}
	p.held = rest
}

// scan reads what it has not read, up to where the text ends within an escape.
func (p *pass) scan(work []byte, final bool) {
	i := p.scanned
	for ; i < len(work); i++ {
		idle := p.exact.idle() && p.folded.idle()
		if idle {
			i = p.skip(work, i)
			if i == len(work) {
				break
			}
		}
		c := work[i]
		ways := p.ways[:0]
		if isLead(c) {
			var more bool
			if ways, more = readings(ways, work[i:], final); more {
				break
			}
			if idle && !p.beginsIn(c, ways) {
				continue
			}
		}
		at := p.gone + i
		if !p.exact.rests(c, ways) {
			p.exact.advance(at, c, ways, &p.found)
		}
		if !p.folded.rests(folded[c], ways) {
			p.folded.advance(at, c, ways, &p.found)
		}
	}
	p.scanned = i
}

// beginsIn reports whether a form begins with c, or with one of the ways to read it.
func (p *pass) beginsIn(c byte, ways []reading) bool {
	for _, way := range ways {
		if p.exact.begins(way.bytes[0]) || p.folded.begins(way.bytes[0]) {
			return true
		}
	}
	return p.exact.begins(c)
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
		start, end := max(s.start-p.gone, 0), s.end-p.gone
		if start >= upTo && !(i == 0 && p.open) {
			break
		}
		if i > 0 || !p.open {
			p.out = append(append(p.out, work[at:start]...), Redacted...)
			p.hits++
		}
		at = min(end, upTo)
		if p.open = end > upTo; p.open {
			break
		}
		done++
	}
	p.found = p.found[done:]
	p.out = append(p.out, work[at:upTo]...)
	return p.out
}
