package egress

import "bytes"

// thread is a walk that undoes certain escapes. Places are counted from the beginning of
// the text.
type thread struct {
	at    int // where it reads on
	state int32
	last  int32 // the end of its trail, which has as many symbols as led to state, or more

	gap, gapFrom int    // what was passed over since the last symbol that counted, and where that begins
	between      string // what must follow, to be passed over
}

func (t *thread) same(o *thread) bool {
	return t.state == o.state && t.at == o.at && t.between == o.between
}

// betweens stand between the parts of an encoding, beside what is no letter and no digit:
// "0x" before the hex of a byte, and the name of the field where a text was cut into the
// lines of an event. Case does not count.
var betweens = [...]string{"0x", "\ndata:"}

// lower is for what stands in betweens.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// read goes on by one symbol, which stands from start to end.
func (w *walk) read(t *thread, c byte, start, end int, found *spans) {
	t.at = end
	if w.folds {
		if c = folded[c]; c == 0 {
			if t.gap++; t.gap > maxGap {
				t.state, t.last = 0, 0
			}
			return
		}
		t.gap, t.gapFrom = 0, end
	}
	if t.state == 0 && w.root[c] == 0 {
		return
	}
	if t.state = w.step(t.state, c); t.state == 0 {
		t.last = 0
		return
	}
	if w.nodes[t.state].depth == 1 { // nothing before it counts any more, as mostly
		t.last = 0
	}
	t.last = w.trail.add(t.last, start)
	if n := w.nodes[t.state].match; n > 0 {
		found.mark(span{w.trail.start(t.last, n), end})
	}
	for w.nodes[t.state].child == 0 { // a whole form begins none: what it ends with may
		t.state = w.nodes[t.state].fail
	}
	if t.state == 0 {
		t.last = 0
	}
}

// begin says where what may still become a secret begins, and whether there is any. read is
// what was read of the text last, from a place on.
func (w *walk) begin(t *thread, from int, read []byte) (start int, some bool) {
	least := int32(1)
	if w.folds {
		least = perhaps
		if gap := max(t.gapFrom-from, 0); gap < len(read) && endsRecord(read[gap:]) { // a fork may be ahead of it
			least = surely
		}
	}
	for end := from + len(read); t.state != 0; t.state = w.nodes[t.state].fail {
		if start = w.trail.start(t.last, w.nodes[t.state].depth); end-start <= w.reach {
			return start, w.nodes[t.state].depth >= least
		}
	}
	return 0, false
}

// endsRecord reports whether what was passed over may be the end of a line, of an event,
// or of a value in JSON or HTML: somebody may wait for it.
func endsRecord(passed []byte) bool { return bytes.ContainsAny(passed, "\n}]>\"") }
