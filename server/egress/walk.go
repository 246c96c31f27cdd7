package egress

import "slices"

const (
	// maxGap bounds what may stand between two symbols that count, in symbols passed
	// over: a line break, and the indent of what is printed in lines.
	maxGap = 32
	// perhaps is from how many symbols on what may become a folded form is held back, and
	// surely where a record seems to end behind it. Shorter ones stand by chance at the end
	// of every third piece, and somebody may wait for its last letter or its blank line.
	// Where they were a beginning after all, one or three symbols are out; the rest of the
	// form is replaced.
	perhaps, surely = 2, 4
	// maxForks bounds the ways in which one place is read at a time.
	maxForks = 16
	// maxSpread bounds what is held back, in bytes for each symbol of the longest form: one
	// escaped twice, of a list with a line for each byte, takes half of it.
	maxSpread = 32
)

// walk is an automaton's way over a text. At an escape it goes both ways, as the text
// stands and as it is with the escape undone: an upstream escapes a part, or nothing, and
// what stands before a secret may look like an escape that reaches into it.
type walk struct {
	*automaton
	main  thread   // reads the text as it stands
	forks []thread // have undone some escape, and are not yet at one with main
	turn  []thread // those that read on at this place
	trail trail
	reach int // how much may be held back, in bytes
}

func newWalk(a *automaton) walk {
	return walk{automaton: a, trail: trail{full: minFull}, reach: maxSpread * a.longest}
}

// span is a place to be replaced.
type span struct{ start, end int }

// spans are in order and apart.
type spans []span

// mark adds a span, and joins those that it overlaps. None ends before one of them begins:
// a fork is never further ahead than the escape that it has read.
func (all *spans) mark(s span) {
	for n := len(*all); n > 0 && (*all)[n-1].end > s.start; n-- {
		s.start, s.end = min(s.start, (*all)[n-1].start), max(s.end, (*all)[n-1].end)
		*all = (*all)[:n-1]
	}
	*all = append(*all, s)
}

func (w *walk) idle() bool { return w.main.state == 0 && len(w.forks) == 0 }

// rests reports whether c, folded where the walk is, changes nothing: mostly one of the two
// walks has something to do.
func (w *walk) rests(c byte, ways []reading) bool {
	return w.main.state == 0 && w.root[c] == 0 && len(ways) == 0 && len(w.forks) == 0
}

// advance reads what stands at a place: c, or else one of ways.
func (w *walk) advance(at int, c byte, ways []reading, found *spans) {
	if len(w.forks) == 0 && len(ways) == 0 && (c != '0' && c != '\n' || w.main.state == 0) {
		w.read(&w.main, c, at, at+1, found)
	} else {
		w.turns(at, c, ways, found)
	}
	if w.idle() {
		w.trail.clear()
	} else if len(w.trail.symbols) > w.trail.full {
		w.shorten()
	}
}

// turns goes on with every thread that reads on at a place.
func (w *walk) turns(at int, c byte, ways []reading, found *spans) {
	w.turn = w.turn[:0]
	w.forks = slices.DeleteFunc(w.forks, func(f thread) bool {
		if f.at == at {
			w.turn = append(w.turn, f)
		}
		return f.at == at
	})
	for i := range w.turn {
		w.both(&w.turn[i], c, ways, found)
		w.fork(&w.turn[i])
	}
	w.main.at = at
	w.both(&w.main, c, ways, found)
	w.forks = slices.DeleteFunc(w.forks, func(f thread) bool { return f.same(&w.main) })
}

// both goes on with a thread as the text stands, and adds forks of it.
func (w *walk) both(t *thread, c byte, ways []reading, found *spans) {
	if t.between != "" {
		if t.at++; lower(c) != t.between[0] {
			t.state = 0
		} else if t.between = t.between[1:]; t.between == "" {
			t.gapFrom = t.at
		}
		return
	}
	w.branch(t, ways, found)
	w.passOver(t, c, t.at+1)
	w.read(t, c, t.at, t.at+1, found)
}

// passOver adds forks that pass over what may begin with c, which ends at end.
func (w *walk) passOver(t *thread, c byte, end int) {
	if !w.folds || t.state == 0 {
		return
	}
	for _, between := range betweens {
		if c == between[0] {
			f := *t
			f.at, f.gap, f.between = end, t.gap+1, between[1:]
			w.fork(&f)
		}
	}
}

// branch adds forks of a thread. One that would be at the root is none: main comes there
// as well, and finds all that begins there.
func (w *walk) branch(t *thread, ways []reading, found *spans) {
	for i := range ways {
		way := &ways[i]
		if t.state == 0 && !w.begins(way.bytes[0]) {
			continue
		}
		f := *t
		end := t.at + way.width
		w.passOver(t, way.bytes[0], end)
		for _, c := range way.bytes[:way.count] {
			w.read(&f, c, t.at, end, found)
		}
		f.at = end
		w.fork(&f)
	}
}

// begins reports whether a form begins with c.
func (w *walk) begins(c byte) bool {
	if w.folds {
		c = folded[c]
	}
	return w.root[c] != 0
}

// keepFrom says from where on bytes are held back of a text that was read up to the end of
// read, which begins at from.
func (w *walk) keepFrom(from int, read []byte) int {
	keep := from + len(read)
	if start, some := w.begin(&w.main, from, read); some {
		keep = min(keep, start)
	}
	for i := range w.forks {
		if start, some := w.begin(&w.forks[i], from, read); some {
			keep = min(keep, start)
		}
	}
	return max(keep, from)
}
