package model

import (
	"bytes"
	"encoding/json"
)

// place is a member of the root object, "usage", or of an object in it,
// "response.usage".
type place string

const (
	// mostPicked bounds the text kept of one member; a longer one counts as not there.
	mostPicked = 64 << 10
	// mostName bounds a member's name; a longer one is none of ours.
	mostName = 64
	// mostLevels is how deep it matters what opened a bracket: an array, the root, and an
	// object in it.
	mostLevels = 3
)

// pick reads JSON text as it comes, in pieces of any size, and keeps the members at
// some places. It holds no more than those. Text that is no JSON gives nothing of use,
// and does no harm.
type pick struct {
	places []place
	values [][]byte // beside places

	base    int // 1 where the root is an array, whose elements are looked into
	depth   int // open brackets
	levels  [mostLevels]byte
	path    [2][]byte
	inText  bool
	escaped bool
	expect  bool // a name may come next
	naming  bool // the text that is read is a name
	name    []byte

	into  int // the place that is being kept; -1: none
	at    int // the depth at which it ends
	ended bool
}

func newPick(places []place) *pick {
	return &pick{places: places, values: make([][]byte, len(places)), into: -1}
}

// reset begins a new text.
func (p *pick) reset() {
	values := p.values
	for i := range values {
		values[i] = values[i][:0]
	}
	*p = pick{places: p.places, values: values, name: p.name[:0], path: [2][]byte{p.path[0][:0], p.path[1][:0]}, into: -1}
}

// next goes on to the next element of a root that is an array.
func (p *pick) next() {
	for i := range p.values {
		p.values[i] = p.values[i][:0]
	}
	p.ended = false
}

// found gives what stands at a place; empty where nothing does.
func (p *pick) found(at place) []byte {
	for i, known := range p.places {
		if known == at && len(p.values[i]) <= mostPicked {
			return p.values[i]
		}
	}
	return nil
}

// feed reads text up to the end of a root object, and gives how much that was.
func (p *pick) feed(text []byte) int {
	for i := 0; i < len(text); i++ {
		if p.inText && p.into < 0 && !p.naming && !p.escaped {
			// Most of an answer is words, and no business of ours.
			for i < len(text)-1 && text[i] != '"' && text[i] != '\\' {
				i++
			}
		}
		if p.step(text[i]); p.ended {
			return i + 1
		}
	}
	return len(text)
}

func (p *pick) step(c byte) {
	if p.inText {
		p.inString(c)
		return
	}
	switch c {
	case '"':
		p.keep(c)
		p.inText = true
		p.naming, p.name = p.into < 0 && p.expect && p.inObject(), p.name[:0]
		p.expect = false
	case '{', '[':
		p.open(c)
	case '}', ']':
		p.close(c)
	case ',':
		if p.into >= 0 && p.depth == p.at {
			p.into = -1
		}
		p.keep(c)
		p.expect = p.inObject()
	case ':':
		if p.into < 0 {
			p.begin()
			return
		}
		p.keep(c)
	case ' ', '\t', '\r', '\n':
	default:
		p.keep(c)
	}
}

func (p *pick) inString(c byte) {
	p.keep(c)
	switch {
	case p.escaped:
		p.escaped = false
	case c == '\\':
		p.escaped = true
	case c == '"':
		p.inText = false
		if p.naming {
			p.named()
		}
		return
	}
	if p.naming && len(p.name) <= mostName {
		p.name = append(p.name, c)
	}
}

// level is which object is being read: 1 the root, 2 one that is a member of it.
func (p *pick) level() int { return p.depth - p.base }

func (p *pick) inObject() bool {
	return p.level() >= 1 && p.level() <= 2 && p.levels[p.depth-1] == '{'
}

func (p *pick) open(c byte) {
	if p.depth == 0 {
		p.base = 0
		if c == '[' {
			p.base = 1
		}
	}
	p.keep(c)
	if p.depth < mostLevels {
		p.levels[p.depth] = c
	}
	p.depth++
	p.expect = c == '{'
}

func (p *pick) close(c byte) {
	p.depth = max(p.depth-1, 0)
	if p.into >= 0 && p.depth < p.at {
		p.into = -1
	}
	p.keep(c)
	p.expect = false
	p.ended = c == '}' && p.depth == p.base
}

// named takes the name that was read; one that is too long is none.
func (p *pick) named() {
	p.naming = false
	name := p.name
	if bytes.IndexByte(name, '\\') >= 0 {
		// Escapes are undone: a name is what it says, however it is written.
		name = []byte(text(append(append([]byte{'"'}, name...), '"')))
	}
	if len(p.name) > mostName {
		name = nil
	}
	level := p.level() - 1
	p.path[level] = append(p.path[level][:0], name...)
	if level == 0 {
		p.path[1] = p.path[1][:0]
	}
}

// begin starts to keep the value that follows, if it stands at one of the places.
func (p *pick) begin() {
	if !p.inObject() {
		return
	}
	for i, known := range p.places {
		if p.level() == 1 && string(known) == string(p.path[0]) || p.level() == 2 && isWithin(string(known), p.path) {
			p.into, p.at = i, p.depth
			p.values[i] = p.values[i][:0]
		}
	}
}

func isWithin(known string, path [2][]byte) bool {
	n := len(path[0])
	return n > 0 && len(known) == n+1+len(path[1]) && known[:n] == string(path[0]) && known[n] == '.' && known[n+1:] == string(path[1])
}

func (p *pick) keep(c byte) {
	if p.into >= 0 && len(p.values[p.into]) <= mostPicked {
		p.values[p.into] = append(p.values[p.into], c)
	}
}

// text gives a string; empty for anything else.
func text(raw []byte) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
