package egress

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// minEncoded is the shortest secret that is searched in other forms than its own. The
// base64 of fewer bytes is so short that it would match by chance.
const minEncoded = 6

// patterns gives the forms in which a secret is searched. Escapes of single bytes are
// not among them: those the scrubber undoes as it reads, see symbol.
func patterns(secret []byte) [][]byte {
	if len(secret) == 0 {
		return nil
	}
	list := [][]byte{bytes.Clone(secret)}
	if len(secret) >= minEncoded {
		lower := hex.EncodeToString(secret)
		list = append(list, []byte(lower), bytes.ToUpper([]byte(lower)))
		for shift := range 3 {
			list = append(list, aligned(base64.RawStdEncoding, secret, shift), aligned(base64.RawURLEncoding, secret, shift))
		}
		list = append(list,
			bytes.ReplaceAll(secret, []byte(" "), []byte("+")),           // in a form
			bytes.Join(bytes.Split(secret, nil), []byte{0}),              // UTF-16 of ASCII, of either endianness
			escapeRunes(secret, `\u%04x`), escapeRunes(secret, `\u%04X`)) // JSON in pure ASCII
	}
	for _, p := range list[:len(list):len(list)] {
		list = append(list, undone(p)...)
	}
	return list
}

// undone gives what a pattern that itself looks escaped becomes as the scrubber reads:
// "%41" comes out as "A", but as "%41" where an upstream wrote "%2541". Each escape is
// one language's, and an upstream writes one language over the secret, so every
// combination of languages may be undone.
func undone(pattern []byte) [][]byte {
	var list [][]byte
	for _, leads := range [...]string{`%`, `\`, `&`, `%\`, `%&`, `\&`, `%\&`} {
		if !bytes.ContainsAny(pattern, leads) {
			continue
		}
		if plain := unescape(pattern, leads); !bytes.Equal(plain, pattern) {
			list = append(list, plain)
		}
	}
	return list
}

// aligned gives the base64 of secret where it begins shift bytes into a group of
// three, without the characters that depend on its neighbours.
func aligned(enc *base64.Encoding, secret []byte, shift int) []byte {
	text := enc.EncodeToString(append(make([]byte, shift), secret...))
	whole := (shift + len(secret)) * 8 / 6
	first := (shift*8 + 5) / 6
	return []byte(text[first:whole])
}

// escapeRunes writes what is not ASCII as UTF-16 code units by the format.
func escapeRunes(secret []byte, format string) []byte {
	if !utf8.Valid(secret) {
		return secret
	}
	var b strings.Builder
	for _, r := range string(secret) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r)) //nolint:gosec // it is ASCII
		case r > 0xffff:
			fmt.Fprintf(&b, format+format, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&b, format, r)
		}
	}
	return []byte(b.String())
}

// unescape undoes the escapes that begin with one of leads.
func unescape(text []byte, leads string) []byte {
	var out []byte
	for i := 0; i < len(text); {
		c, width := text[i], 1
		if strings.IndexByte(leads, c) >= 0 {
			c, width = symbol(text[i:])
		}
		if width == 0 {
			c, width = text[i], 1
		}
		out, i = append(out, c), i+width
	}
	return out
}

// mayEscape says which bytes begin an escape.
func mayEscape(c byte) bool { return c == '%' || c == '\\' || c == '&' }

// symbol reads one byte at the head of text, as it stands or as any escape that
// writes a single ASCII byte: percent, JSON and JavaScript, HTML. width is how much
// of text it takes; 0 means that text ends within what may become an escape.
func symbol(text []byte) (value byte, width int) {
	switch text[0] {
	case '%':
		return number(text, "%", 16, 2, "")
	case '&':
		return entity(text)
	case '\\':
		if len(text) == 1 {
			return 0, 0
		}
		switch text[1] {
		case 'u':
			return number(text, `\u00`, 16, 2, "")
		case 'x':
			return number(text, `\x`, 16, 2, "")
		}
		if i := strings.IndexByte(`"\/'nrtbf`, text[1]); i >= 0 {
			return "\"\\/'\n\r\t\b\f"[i], 2
		}
	}
	return text[0], 1
}

var entities = [...]struct {
	name  string
	value byte
}{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&sol;", '/'}, {"&plus;", '+'}, {"&equals;", '='}}

func entity(text []byte) (byte, int) {
	for _, e := range entities {
		n := min(len(text), len(e.name))
		if string(text[:n]) != e.name[:n] {
			continue
		}
		if n < len(e.name) {
			return 0, 0
		}
		return e.value, n
	}
	forms := [...]struct {
		lead         string
		base, digits int
	}{{"&#x", 16, 2}, {"&#X", 16, 2}, {"&#", 10, 2}, {"&#", 10, 3}}
	for _, f := range forms {
		if value, width := number(text, f.lead, f.base, f.digits, ";"); width != 1 {
			return value, width
		}
	}
	return text[0], 1
}

// number reads lead, a fixed count of digits and tail as one byte. Where text cannot
// be that, it is the plain byte at its head.
func number(text []byte, lead string, base, digits int, tail string) (value byte, width int) {
	n := 0
	for i := range len(lead) + digits + len(tail) {
		if i == len(text) {
			return 0, 0
		}
		c := text[i]
		var ok bool
		switch {
		case i < len(lead):
			ok = c == lead[i]
		case i < len(lead)+digits:
			d := digit(c)
			ok, n = d < base, n*base+d
		default:
			ok = c == tail[i-len(lead)-digits]
		}
		if !ok {
			return text[0], 1
		}
	}
	if n > 0xff {
		return text[0], 1
	}
	return byte(n), len(lead) + digits + len(tail)
}

// digit gives the value of a digit, and more than any base for another byte.
func digit(c byte) int {
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
