package grant

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Resource is what a call acts on, `type:id`. The id "*" stands for the whole type:
// a collection tool acts on `contact:*`, and only a grant of `contact:*` covers it.
type Resource struct{ text string }

// Pattern is what a grant covers: `contact:42`, `contact:eu-*` or `contact:*`.
type Pattern struct{ text string }

// maxResource is in bytes.
const maxResource = 1024

// ParseResource reads `type:id`. Only the id of a whole type holds "*", so that no
// argument can pass for a pattern.
func ParseResource(s string) (Resource, error) {
	if err := checkResource(s); err != nil {
		return Resource{}, err
	}
	if _, id, _ := strings.Cut(s, ":"); id != "*" && strings.Contains(id, "*") {
		return Resource{}, fmt.Errorf("resource %q: an id may not hold *", s)
	}
	return Resource{s}, nil
}

// ParsePattern reads a resource with `*` allowed at the end of the id. A bare `*` is
// refused: a grant names the types that it covers.
func ParsePattern(s string) (Pattern, error) {
	if err := checkResource(s); err != nil {
		return Pattern{}, err
	}
	return Pattern{s}, nil
}

// String gives the text that was parsed; empty for the zero value.
func (r Resource) String() string { return r.text }

// String gives the text that was parsed; empty for the zero value.
func (p Pattern) String() string { return p.text }

// MarshalText and UnmarshalText keep a Pattern parse-only in JSON too.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// UnmarshalText parses; on an error p covers nothing.
func (p *Pattern) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePattern(string(b))
	return err
}

// Covers reports whether p covers r. The zero Pattern covers nothing, and nothing
// covers the zero Resource.
func (p Pattern) Covers(r Resource) bool {
	if p.text == "" || r.text == "" {
		return false
	}
	if prefix, ok := strings.CutSuffix(p.text, "*"); ok {
		return strings.HasPrefix(r.text, prefix)
	}
	return p.text == r.text
}

// Contains reports whether everything that child covers, p covers.
func (p Pattern) Contains(child Pattern) bool {
	if child.text == "" {
		return false
	}
	return p.Covers(Resource(child))
}

func texts(patterns []Pattern) []string {
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = p.text
	}
	return out
}

// checkResource refuses what two readers could take for two different resources.
func checkResource(s string) error {
	kind, id, ok := strings.Cut(s, ":")
	switch {
	case len(s) > maxResource:
		return fmt.Errorf("resource longer than %d bytes", maxResource)
	case s == "*":
		return errors.New(`resource "*": a bare * is refused, want type:*, for instance contact:*`)
	case !ok || kind == "" || id == "":
		return fmt.Errorf("resource %q: want type:id", s)
	case !typeName(kind):
		return fmt.Errorf("resource %q: the type is lower-case letters, digits, '-' and '_'", s)
	case !utf8.ValidString(s) || !norm.NFC.IsNormalString(s):
		return errors.New("resource: not in Unicode normal form C")
	case strings.ContainsFunc(id, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || r == ','
	}):
		return fmt.Errorf("resource %q: no spaces, commas or invisible characters", s)
	}
	if i := strings.IndexByte(id, '*'); i >= 0 && i != len(id)-1 {
		return fmt.Errorf("resource %q: * only at the end", s)
	}
	return nil
}

func typeName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '-' || c == '_')) {
			return false
		}
	}
	return s != ""
}
