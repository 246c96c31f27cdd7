package grant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Longest names, in bytes.
const (
	maxConnector = 63
	maxTool      = 128
)

// Validate refuses a grant that no evaluation could make sense of: names that are
// malformed, given twice or missing, a severity out of range, a limit below zero, an
// end that no clock or text can hold. The error names the part and the right form.
func (g Grant) Validate() error {
	if len(g.Connector) > maxConnector || !typeName(g.Connector) {
		return fmt.Errorf("connector %q: want up to %d of a-z, 0-9, '-' and '_', a letter first",
			short(g.Connector), maxConnector)
	}
	if err := validateTools(g.Tools); err != nil {
		return err
	}
	if !g.MaxSeverity.Valid() {
		return errors.New("severity: want READ, WRITE, DESTRUCTIVE or ADMIN")
	}
	if err := validatePatterns(g.Resources); err != nil {
		return err
	}
	if l := g.Limits; min(l.Calls, l.Bytes, l.Rows, l.Tokens, l.MicroUSD) < 0 {
		return errors.New("limits: want none below zero")
	}
	return validateEnd(g.ExpiresAt)
}

func validateTools(tools []string) error {
	if len(tools) == 0 {
		return errors.New("tools: want at least one, for instance contacts.get")
	}
	for i, t := range tools {
		if t == "*" {
			return errors.New(`tool "*": a bare * is refused, want a name or a pattern such as contacts.*`)
		}
		if name, _ := strings.CutSuffix(t, "*"); len(t) > maxTool || !toolName(name) {
			return fmt.Errorf("tool %q: want up to %d of letters, digits, '_', '.' and '-', with * only at the end",
				short(t), maxTool)
		}
		if slices.Contains(tools[:i], t) {
			return fmt.Errorf("tool %q is named twice", t)
		}
	}
	return nil
}

func validatePatterns(patterns []Pattern) error {
	if len(patterns) == 0 {
		return errors.New("resources: want at least one, for instance contact:42")
	}
	for i, p := range patterns {
		if p.text == "" {
			return errors.New("resource: want type:id, for instance contact:42")
		}
		if slices.Contains(patterns[:i], p) {
			return fmt.Errorf("resource %q is named twice", short(p.text))
		}
	}
	return nil
}

// validateEnd keeps out what a store or a text would turn into another end: the
// epoch and all before it stand for "none" in too many places.
func validateEnd(end time.Time) error {
	if end.IsZero() {
		return nil
	}
	if end.UnixMicro() <= 0 || end.UTC().Year() > 9999 {
		return errors.New("until: want a time between 1970 and 9999")
	}
	return nil
}

// ToolMatches reports whether a tool pattern (a name, or a name's beginning and `*`)
// matches a tool's name. It is for expanding patterns at mint; a bare `*` and the
// empty pattern match nothing.
func ToolMatches(pattern, name string) bool {
	if !toolName(name) {
		return false
	}
	prefix, ok := strings.CutSuffix(pattern, "*")
	if !ok {
		return pattern == name
	}
	return prefix != "" && strings.HasPrefix(name, prefix)
}

func toolName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// maxShown is how many bytes of a name a message repeats.
const maxShown = 80

// short keeps a long name from filling a message. It cuts between characters.
func short(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}
