package connector

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onedoor/onedoor/server/fault"
)

const (
	// maxArguments bounds the text of one call's arguments, in bytes. Model calls carry
	// pictures; Invoke's own bound is lower.
	maxArguments = 8 << 20
	maxDepth     = 64
	// A value takes up to some fifty bytes beside its text, so two bytes of text could
	// become a hundred. The largest embeddings request has 300,000 numbers.
	maxValues = 320_000
	// A number is kept as text, but a schema may compare it as an exact fraction:
	// 1e1000000 would cost megabytes. These bounds keep that cheap.
	maxNumber   = 128
	maxExponent = 3 // digits
	maxEcho     = 64
)

// member is one argument: its exact text, and what that text means. Numbers are
// json.Number, so no digit is lost.
type member struct {
	raw   string
	value any
}

// object is a JSON object as it was written.
type object struct {
	names   []string // in the order of the text
	members []member // beside names
	values  map[string]any
}

// parseObject reads one JSON object and nothing else; what names it in errors. It is
// stricter than encoding/json wherever two readers could understand the text
// differently: a name that stands twice, invalid UTF-8, half a surrogate pair, anything
// that follows.
func parseObject(what, text string) (object, error) {
	if len(text) > maxArguments {
		return object{}, fault.Invalid(what, fmt.Sprintf("longer than %d bytes", maxArguments))
	}
	if !utf8.ValidString(text) {
		return object{}, fault.Invalid(what, "not valid UTF-8")
	}
	p := &parser{text: text}
	o, err := p.document()
	if err != nil {
		return object{}, fault.Invalid(what, fmt.Sprintf("at byte %d: %s", p.at, err.Error()))
	}
	return o, nil
}

// syntax is a fault of the text, in words that hold none of its values.
type syntax string

func (s syntax) Error() string { return string(s) }

type parser struct {
	text  string
	at    int
	depth int
	count int
}

func (p *parser) document() (object, error) {
	p.space()
	if p.peek() != '{' {
		return object{}, syntax("want a JSON object")
	}
	o := object{values: map[string]any{}}
	err := p.object(func(name string, m member) {
		o.names = append(o.names, name)
		o.members = append(o.members, m)
	}, o.values)
	if err != nil {
		return object{}, err
	}
	p.space()
	if p.at != len(p.text) {
		return object{}, syntax("something follows the JSON object")
	}
	return o, nil
}

// peek gives the next byte, or 0 at the end; 0 itself is no JSON outside of strings.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// object reads an object into values, telling each of its members to seen if that is
// not nil.
func (p *parser) object(seen func(string, member), values map[string]any) error {
	return p.nested('}', func() error {
		if p.peek() != '"' {
			return syntax("want a name in quotes")
		}
		name, err := p.string()
		if err != nil {
			return err
		}
		if _, twice := values[name]; twice {
			return syntax("the name " + quote(name) + " stands twice in one object")
		}
		p.space()
		if p.peek() != ':' {
			return syntax("want ':'")
		}
		p.at++
		p.space()
		start := p.at
		value, err := p.value()
		if err != nil {
			return err
		}
		values[name] = value
		if seen != nil {
			seen(name, member{raw: p.text[start:p.at], value: value})
		}
		return nil
	})
}

// nested reads what stands between a bracket and its end: items separated by commas.
func (p *parser) nested(end byte, item func() error) error {
	if p.depth++; p.depth > maxDepth {
		return syntax(fmt.Sprintf("deeper than %d levels", maxDepth))
	}
	p.at++
	p.space()
	for first := true; p.peek() != end || !first; first = false {
		if err := item(); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case end:
			p.at++
			p.depth--
			return nil
		case ',':
			p.at++
			p.space()
		default:
			return syntax("want ',' or '" + string(end) + "'")
		}
	}
	p.at++
	p.depth--
	return nil
}

func (p *parser) value() (any, error) {
	if p.count++; p.count > maxValues {
		return nil, syntax(fmt.Sprintf("more than %d values", maxValues))
	}
	switch c := p.peek(); {
	case c == '{':
		values := map[string]any{}
		return values, p.object(nil, values)
	case c == '[':
		return p.array()
	case c == '"':
		return p.string()
	case c == '-' || isDigit(c):
		return p.number()
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	case p.word("null"):
		return nil, nil
	}
	return nil, syntax("want a JSON value")
}

func (p *parser) array() (any, error) {
	list := []any{}
	err := p.nested(']', func() error {
		value, err := p.value()
		list = append(list, value)
		return err
	})
	return list, err
}

func (p *parser) word(w string) bool {
	if !strings.HasPrefix(p.text[p.at:], w) {
		return false
	}
	p.at += len(w)
	return true
}

// quote shows a name to its reader: printable, and never long.
func quote(s string) string {
	if len(s) <= maxEcho {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:maxEcho]) + "…"
}
