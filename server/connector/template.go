package connector

import (
	"errors"
	"fmt"
	"strings"
)

// piece is a part of a template: a literal, or the name of an argument.
type piece struct {
	literal string
	arg     string // empty for a literal
}

// splitTemplate reads text with {placeholders}. Adjacent placeholders come without a
// literal between them.
func splitTemplate(text string) ([]piece, error) {
	var pieces []piece
	for text != "" {
		open := strings.IndexAny(text, "{}")
		if open < 0 {
			return append(pieces, piece{literal: text}), nil
		}
		if text[open] == '}' {
			return nil, errors.New("'}' without '{'")
		}
		if open > 0 {
			pieces = append(pieces, piece{literal: text[:open]})
		}
		name, rest, closed := strings.Cut(text[open+1:], "}")
		if !closed || name == "" || strings.Contains(name, "{") {
			return nil, errors.New("want {argument}")
		}
		pieces = append(pieces, piece{arg: name})
		text = rest
	}
	return pieces, nil
}

// segment is what stands between two slashes of a path: a literal, or one argument
// with literal text around it.
type segment struct {
	prefix string // the whole, for a literal
	arg    string // empty for a literal
	suffix string
	slot   int // of the argument, where there is one
	// also are the characters that the argument may hold beside the unreserved ones.
	also string
}

const (
	maxPathTemplate = 1 << 10
	// maxValue bounds one argument in a path, in bytes.
	maxValue = 256
)

// parsePath reads a path template. Its literals are what a URL's path may hold
// unescaped, but for ';', which some servers take for the start of parameters.
func parsePath(text string) ([]segment, error) {
	if len(text) > maxPathTemplate {
		return nil, fmt.Errorf("longer than %d bytes", maxPathTemplate)
	}
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return nil, errors.New("must begin with /")
	}
	var segments []segment
	for part := range strings.SplitSeq(rest, "/") {
		s, err := parseSegment(part)
		if err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	for i, s := range segments {
		if s.arg == "" && s.prefix == "" && i < len(segments)-1 {
			return nil, errors.New("holds //")
		}
	}
	return segments, nil
}

func parseSegment(part string) (segment, error) {
	pieces, err := splitTemplate(part)
	if err != nil {
		return segment{}, err
	}
	var s segment
	for _, p := range pieces {
		switch {
		case p.arg != "" && s.arg != "":
			return segment{}, errors.New("two arguments in one segment cannot be told apart")
		case p.arg != "":
			s.arg = p.arg
		case !isPathLiteral(p.literal):
			return segment{}, fmt.Errorf("%s: a path's fixed text is letters, digits and -._~!$&'()*+,=:@", quote(p.literal))
		case s.arg == "":
			s.prefix = p.literal
		default:
			s.suffix = p.literal
		}
	}
	if s.arg == "" && (s.prefix == "." || s.prefix == "..") {
		return segment{}, errors.New("'.' and '..' lead elsewhere")
	}
	return s, nil
}

func isPathLiteral(s string) bool {
	for _, c := range []byte(s) {
		if !isUnreserved(c) && strings.IndexByte("!$&'()*+,=:@", c) < 0 {
			return false
		}
	}
	return true
}

// isUnreserved reports whether every reader of a URL leaves c as it is.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// isPathValue is the canonical form of an argument in a path. It has no escapes, so
// what is judged, what is sent and what any server reads are the same bytes. also are
// the characters that the tool takes there besides.
func isPathValue(s, also string) bool {
	return s != "" && len(s) <= maxValue && s != "." && s != ".." && isPathText(s, also)
}

// isPathText reports whether s is made of unreserved characters and those in also.
func isPathText(s, also string) bool {
	for _, c := range []byte(s) {
		if !isUnreserved(c) && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return true
}

// matches reports whether a segment of a path could have been made from s.
func (s segment) matches(text string) bool {
	if s.arg == "" {
		return text == s.prefix
	}
	return len(text) >= len(s.prefix)+len(s.suffix) &&
		strings.HasPrefix(text, s.prefix) && strings.HasSuffix(text, s.suffix) &&
		isPathValue(text[len(s.prefix):len(text)-len(s.suffix)], s.also)
}

// covers reports whether whatever o makes, s could have made.
func (s segment) covers(o segment) bool {
	if o.arg == "" {
		return s.matches(o.prefix)
	}
	if s.arg == "" {
		return false
	}
	before, ok := strings.CutPrefix(o.prefix, s.prefix)
	after, ok2 := strings.CutSuffix(o.suffix, s.suffix)
	return ok && ok2 && isPathText(before, s.also) && isPathText(after, s.also) && isPathText(o.also, s.also)
}

// meets reports whether s and o might make the same text. It errs towards yes.
func (s segment) meets(o segment) bool {
	switch {
	case s.arg == "":
		return o.matches(s.prefix)
	case o.arg == "":
		return s.matches(o.prefix)
	}
	return (strings.HasPrefix(s.prefix, o.prefix) || strings.HasPrefix(o.prefix, s.prefix)) &&
		(strings.HasSuffix(s.suffix, o.suffix) || strings.HasSuffix(o.suffix, s.suffix))
}

// every reports whether test holds for each pair of segments of two paths of the
// same length.
func every(a, b []segment, test func(segment, segment) bool) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !test(a[i], b[i]) {
			return false
		}
	}
	return true
}

// pathMatches reports whether path, which begins with "/", could have been made from
// the template.
func pathMatches(template []segment, path string) bool {
	rest := path[1:]
	for i, s := range template {
		text, after, more := strings.Cut(rest, "/")
		if more != (i < len(template)-1) || !s.matches(text) {
			return false
		}
		rest = after
	}
	return true
}
