package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// json reads JSON (RFC 8259), numbers digit by digit. The standard library says first
// that it is JSON, so what follows only takes it apart, and keeps the order of keys,
// which the library would lose.
func (r *reader) json(data []byte) (*node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("is not JSON: the fault is at byte %d", syntax.Offset)
		}
		return nil, errors.New("is not JSON")
	}
	p := &taker{reader: r, text: string(data)}
	return p.value(0)
}

// taker takes apart text that is known to be JSON.
type taker struct {
	*reader
	text string
	at   int
}

// next gives the next byte that is no space.
func (p *taker) next() byte {
	for strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	return p.text[p.at]
}

func (p *taker) value(depth int) (*node, error) {
	if err := p.one(depth); err != nil {
		return nil, err
	}
	switch c := p.next(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.list(depth)
	case '"':
		s, err := p.string()
		return textNode(s), err
	case 't', 'f':
		p.at += len("true")
		if c == 'f' {
			p.at++
		}
		return boolNode(c == 't'), nil
	case 'n':
		p.at += len("null")
		return &node{}, nil
	}
	from := p.at
	for p.at < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.at]) >= 0 {
		p.at++
	}
	return numberNode(p.text[from:p.at]), nil
}

// string gives the text of the one that begins here.
func (p *taker) string() (string, error) {
	from := p.at
	escaped := false
	for p.at++; p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			escaped = true
			p.at++
		}
	}
	p.at++
	if !escaped {
		return p.text[from+1 : p.at-1], nil
	}
	var s string
	err := json.Unmarshal([]byte(p.text[from:p.at]), &s)
	return s, err
}

func (p *taker) list(depth int) (*node, error) {
	n := listOf()
	for p.at++; p.next() != ']'; {
		if p.text[p.at] == ',' {
			p.at++
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	p.at++
	return n, nil
}

func (p *taker) object(depth int) (*node, error) {
	n := &node{kind: object}
	for p.at++; p.next() != '}'; {
		if p.text[p.at] == ',' {
			p.at++
			p.next()
		}
		key, err := p.string()
		if err != nil {
			return nil, err
		}
		if n.find(key) >= 0 {
			return nil, fmt.Errorf("an object names %q twice, before byte %d", clean(key, 60), p.at)
		}
		p.next() // the colon
		p.at++
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.set(key, value)
	}
	p.at++
	return n, nil
}
