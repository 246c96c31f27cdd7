package connector

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

func (p *parser) number() (any, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if p.digits() == 0 {
		return nil, syntax("want a digit")
	}
	if p.peek() == '.' {
		p.at++
		if p.digits() == 0 {
			return nil, syntax("want a digit")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		n := p.digits()
		if n == 0 {
			return nil, syntax("want a digit")
		}
		if n > maxExponent {
			return nil, syntax(fmt.Sprintf("the exponent has more than %d digits", maxExponent))
		}
	}
	if p.at-start > maxNumber {
		return nil, syntax(fmt.Sprintf("a number longer than %d bytes", maxNumber))
	}
	return json.Number(p.text[start:p.at]), nil
}

// digits passes over digits and counts them.
func (p *parser) digits() int {
	start := p.at
	for isDigit(p.peek()) {
		p.at++
	}
	return p.at - start
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// string reads a string. Without escapes it is a part of the text, not a copy.
func (p *parser) string() (string, error) {
	p.at++
	start := p.at
	var unescaped []byte
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			p.at++
			if unescaped != nil {
				s = string(append(unescaped, s...))
			}
			return s, nil
		case c < 0x20:
			return "", syntax("a control character in a string")
		case c == '\\':
			unescaped = append(unescaped, p.text[start:p.at]...)
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			unescaped = utf8.AppendRune(unescaped, r)
			start = p.at
		default:
			p.at++
		}
	}
	return "", syntax("a string that does not end")
}

func (p *parser) escape() (rune, error) {
	p.at++
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return p.unicode()
	}
	return 0, syntax("an unknown escape")
}

// unicode reads what follows \u, and the second half where it is the first of a pair.
func (p *parser) unicode() (rune, error) {
	r, err := p.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if p.word(`\u`) {
		low, err := p.hex4()
		if err != nil {
			return 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, syntax("half a surrogate pair")
}

func (p *parser) hex4() (rune, error) {
	if len(p.text)-p.at < 4 {
		return 0, syntax("want four hexadecimal digits")
	}
	var r rune
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		switch {
		case isDigit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, syntax("want four hexadecimal digits")
		}
		r = r<<4 | rune(c)
	}
	p.at += 4
	return r, nil
}
