package model

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
)

// object is a JSON object as it was written, of which single members can be replaced
// while all other bytes stay.
type object struct {
	text    []byte
	where   string // what it is part of, for errors
	members []member
	byName  map[string]int // where in members
	end     int            // of the closing bracket
	edits   []edit
}

// member is one name and where its value stands.
type member struct {
	name       string
	start, end int
}

type edit struct {
	start, end int
	text       string
}

// readObject reads one JSON object. A name that stands twice is refused: two readers
// would take two different values for it.
func readObject(text []byte, where string) (*object, error) {
	o := &object{text: text, where: where, byName: map[string]int{}}
	at := space(text, 0)
	if at == len(text) || text[at] != '{' || !json.Valid(text) {
		return nil, fault.Invalid(where, "want a JSON object")
	}
	for at = space(text, at+1); text[at] != '}'; {
		nameEnd := value(text, at)
		var name string
		if err := json.Unmarshal(text[at:nameEnd], &name); err != nil {
			return nil, fault.Invalid(where, "want a JSON object")
		}
		start := space(text, space(text, nameEnd)+1)
		m := member{name, start, value(text, start)}
		if o.find(name) != nil {
			return nil, fault.Invalid(o.field(name), "stands twice")
		}
		o.byName[name] = len(o.members)
		o.members = append(o.members, m)
		if at = space(text, m.end); text[at] == ',' {
			at = space(text, at+1)
		}
	}
	o.end = at
	return o, nil
}

func space(text []byte, at int) int {
	for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
		at++
	}
	return at
}

// value gives the end of the valid JSON value that begins at at.
func value(text []byte, at int) int {
	for depth := 0; ; at++ {
		switch text[at] {
		case '"':
			for at++; text[at] != '"'; at++ {
				if text[at] == '\\' {
					at++
				}
			}
			if depth == 0 {
				return at + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		default:
			if depth > 0 {
				continue
			}
			if n := bytes.IndexAny(text[at:], ",}] \t\r\n"); n >= 0 {
				return at + n
			}
			return len(text)
		}
	}
}

func (o *object) find(name string) *member {
	i, ok := o.byName[name]
	if !ok {
		return nil
	}
	return &o.members[i]
}

// raw gives a member's text; nil where it is not there or null.
func (o *object) raw(name string) []byte {
	m := o.find(name)
	if m == nil || string(o.text[m.start:m.end]) == "null" {
		return nil
	}
	return o.text[m.start:m.end]
}

// exact refuses names that differ from ours in their case alone: some servers take
// them for ours, and would find there another value than was judged.
func (o *object) exact(names ...string) error {
	for _, m := range o.members {
		for _, name := range names {
			if m.name != name && strings.EqualFold(m.name, name) {
				return fault.Invalid(o.field(m.name), "write it as "+name)
			}
		}
	}
	return nil
}

// one gives the only spelling of several that is there; the first where none is.
func (o *object) one(names ...string) (string, error) {
	found := names[0]
	for i, name := range names[1:] {
		if o.find(name) != nil {
			if slices.ContainsFunc(names[:i+1], func(n string) bool { return o.find(n) != nil }) {
				return "", fault.Invalid(o.field(name), "stands twice, in two spellings")
			}
			found = name
		}
	}
	return found, nil
}

// text gives a member that is a string; empty for anything else.
func (o *object) string(name string) string {
	var s string
	if json.Unmarshal(o.raw(name), &s) != nil {
		return ""
	}
	return s
}

// number gives a member that is a whole number: 0 where it is not there, -1 where it is
// there and below 1, which some servers take for "without end". Anything else, a number
// in quotes too, is refused: it could be read in several ways.
func (o *object) number(name string) (int64, error) {
	raw := o.raw(name)
	if raw == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case err != nil:
		return 0, fault.Invalid(o.field(name), "want a whole number")
	case n < 1 || n > MostTokens:
		return -1, nil
	}
	return n, nil
}

// field names a member for errors.
func (o *object) field(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return o.where + "." + strconv.QuoteToASCII(name)
}

// set gives a member a value, in its place or, where it is new, at the end.
func (o *object) set(name, value string) {
	if m := o.find(name); m != nil {
		o.edits = append(o.edits, edit{m.start, m.end, value})
		return
	}
	text := strconv.Quote(name) + ":" + value
	if len(o.members) > 0 || slices.ContainsFunc(o.edits, func(e edit) bool { return e.start == o.end }) {
		text = "," + text
	}
	o.edits = append(o.edits, edit{o.end, o.end, text})
}

// setIn sets a member of an object within o, which is made where there is none.
func (o *object) setIn(name, inner, value string) error {
	raw := o.raw(name)
	if raw == nil {
		raw = []byte("{}")
	}
	within, err := readObject(raw, o.where+"."+name)
	if err != nil {
		return err
	}
	if err := within.exact(inner); err != nil {
		return err
	}
	within.set(inner, value)
	o.set(name, string(within.edited()))
	return nil
}

// edited gives the text with what was set in it.
func (o *object) edited() []byte {
	if len(o.edits) == 0 {
		return o.text
	}
	slices.SortStableFunc(o.edits, func(a, b edit) int { return a.start - b.start })
	var out []byte
	at := 0
	for _, e := range o.edits {
		out = append(append(out, o.text[at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, o.text[at:]...)
}
