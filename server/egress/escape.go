package egress

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLevels is how often a byte may have been escaped, each time over the escape before:
// `\"` in JSON, that in JSON, that in a URL.
const maxLevels = 3

// isLead says which bytes begin an escape: in a URL, in JSON, JavaScript and C, in HTML,
// in quoted-printable (RFC 2045).
func isLead[C byte | rune](c C) bool { return c == '%' || c == '\\' || c == '&' || c == '=' }

// symbol is one character, however it was written.
type symbol struct {
	value rune
	width int  // how much of the text it takes; 0: the text ends within it
	code  bool // value is a code point, else a byte
}

// symbolAt reads the first symbol of text with so many levels of escapes undone. final
// says that nothing follows the text.
func symbolAt(text []byte, level int, final bool) symbol {
	if len(text) == 0 {
		return symbol{}
	}
	s := symbol{value: rune(text[0]), width: 1}
	for n := 1; n <= level && isLead(s.value); n++ {
		s = undone(s, text, n, final)
	}
	return s
}

// undone undoes one more level of escapes: at level-1, text begins with head.
func undone(head symbol, text []byte, level int, final bool) symbol {
	c := cursor{text: text, at: head.width, level: level - 1, final: final}
	read, ok := c.escape(head.value)
	switch {
	case c.short:
		return symbol{}
	case !ok:
		return head
	}
	read.width = c.at
	return read
}

// cursor reads the symbols of an escape, which may be escaped themselves.
type cursor struct {
	text  []byte
	at    int
	level int
	final bool
	short bool   // the text ended before the escape did
	ahead symbol // what stands at place
	place int    // 0: not looked yet
}

// none is what stands behind the end of a text.
const none = -1

func (c *cursor) peek() (value rune, width int) {
	if c.place != c.at {
		c.ahead, c.place = symbolAt(c.text[c.at:], c.level, c.final), c.at
	}
	s := c.ahead
	if s.width == 0 {
		c.short = c.short || !c.final
		return none, 0
	}
	return s.value, s.width
}

// take goes on if the next symbol is in set.
func (c *cursor) take(set string) bool {
	value, width := c.peek()
	if value == none || !strings.ContainsRune(set, value) {
		return false
	}
	c.at += width
	return true
}

// number reads at least and at most so many digits.
func (c *cursor) number(base, least, most int) (rune, bool) {
	n, count := 0, 0
	for ; count < most; count++ {
		value, width := c.peek()
		d := digit(value)
		if d >= base {
			break
		}
		n = n*base + d
		c.at += width
	}
	return rune(n), count >= least && n <= utf8.MaxRune
}

// digit gives the value of a digit, and more than any base for another symbol.
func digit(c rune) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}

// escape reads what follows a lead.
func (c *cursor) escape(lead rune) (symbol, bool) {
	switch lead {
	case '&':
		return c.entity()
	case '\\':
		return c.backslash()
	}
	if lead == '%' {
		if c.take("uU") { // JavaScript's old escape()
			return c.unit("%", "uU")
		}
	}
	value, ok := c.number(16, 2, 2)
	return symbol{value: value}, ok
}

// short are JSON's short escapes but that of the backslash, which may lead on.
const (
	short    = `"/nrtbf`
	shortFor = "\"/\n\r\t\b\f"
)

func (c *cursor) backslash() (symbol, bool) {
	next, width := c.peek()
	switch {
	case next == 'u' || next == 'x':
		c.at += width
		if c.take("{") {
			value, some := c.number(16, 1, 8)
			return symbol{value: value, code: true}, some && c.take("}")
		}
		if next == 'u' {
			return c.unit(`\`, "u")
		}
		value, ok := c.number(16, 2, 2)
		return symbol{value: value}, ok
	case next == 'U':
		c.at += width
		value, ok := c.number(16, 8, 8)
		return symbol{value: value, code: true}, ok
	case next >= '0' && next <= '7':
		value, ok := c.number(8, 1, 3)
		return symbol{value: value & 0xff}, ok
	}
	if i := strings.IndexRune(short, next); i >= 0 {
		c.at += width
		return symbol{value: rune(shortFor[i])}, true
	}
	// Anything but a letter stands for itself: quotes, slashes, what shells and patterns escape.
	if next < ' ' || next >= utf8.RuneSelf || digit(next) < 99 || folded[next] != 0 {
		return symbol{}, false
	}
	c.at += width
	return symbol{value: next}, true
}

// unit reads four hex digits as a unit of UTF-16, and a second one where it takes two.
func (c *cursor) unit(lead, kind string) (symbol, bool) {
	value, ok := c.number(16, 4, 4)
	if !ok || !utf16.IsSurrogate(value) {
		return symbol{value: value, code: true}, ok
	}
	if !c.take(lead) || !c.take(kind) {
		return symbol{}, false
	}
	low, ok := c.number(16, 4, 4)
	value = utf16.DecodeRune(value, low)
	return symbol{value: value, code: true}, ok && value != utf8.RuneError
}

// reading is one way to read what stands at a place: as these bytes.
type reading struct {
	bytes [utf8.UTFMax]byte
	count int
	width int
}

// readings gives the ways to read an escape at the head of text other than as it stands.
// more says that text ends within what may be one.
func readings(into []reading, text []byte, final bool) (ways []reading, more bool) {
	if len(text) > 1 {
		if !leadsOn(text[0], text[1]) {
			return into, false
		}
		if i := strings.IndexByte(short, text[1]); i >= 0 && text[0] == '\\' { // as in every second JSON text
			return append(into, reading{bytes: [utf8.UTFMax]byte{shortFor[i]}, count: 1, width: 2}), false
		}
	}
	s := symbol{value: rune(text[0]), width: 1}
	for level := 1; level <= maxLevels; level++ {
		if s = undone(s, text, level, final); s.width == 0 {
			return into, true
		}
		if s.width == 1 { // a lead as it stands: what follows may be escaped
			continue
		}
		if s.value <= 0xff { // a code point may have been a byte, where UTF-8 was read as Latin-1
			into = addReading(into, reading{bytes: [utf8.UTFMax]byte{byte(s.value)}, count: 1, width: s.width}) //nolint:gosec // it fits
		}
		if s.code && s.value >= utf8.RuneSelf {
			r := reading{width: s.width}
			r.count = utf8.EncodeRune(r.bytes[:], s.value)
			into = addReading(into, r)
		}
		if !isLead(s.value) {
			break
		}
	}
	return into, false
}

// leadsOn spares what is no escape at its second byte, such as a line of "=".
func leadsOn(lead, next byte) bool {
	switch lead {
	case '&':
		return next == '#' || next >= 'A' && folded[next] != 0
	case '%', '=':
		return digit(rune(next)) < 99 || next|0x20 == 'u'
	}
	return true
}

func addReading(to []reading, r reading) []reading {
	if slices.Contains(to, r) {
		return to
	}
	return append(to, r)
}
