package connector

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// fill adds what a template makes of a call's arguments. An array makes one resource
// an element; one that is empty is refused, because a call about nothing in
// particular is, to many an upstream, a call about everything.
func (c *call) fill(list []grant.Resource, t resourceTemplate) ([]grant.Resource, error) {
	many, elements := -1, []any{nil}
	for _, p := range t.pieces {
		if p.arg == "" {
			continue
		}
		if values, isList := c.slots[p.slot].value.([]any); isList {
			switch {
			case many >= 0 && many != p.slot:
				return nil, fault.Invalid(c.field(p.slot), "two lists cannot name one resource")
			case len(values) == 0:
				return nil, fault.Invalid(c.field(p.slot), "is empty and names no resource")
			case len(values) > maxResources:
				return nil, fault.Invalid(c.field(p.slot), fmt.Sprintf("names more than %d resources", maxResources))
			}
			many, elements = p.slot, values
		}
	}
	for _, element := range elements {
		r, err := c.resource(t, many, element)
		if err != nil {
			return nil, err
		}
		if list = appendOnce(list, r); len(list) > maxResources {
			return nil, fault.Invalid("arguments", fmt.Sprintf("name more than %d resources", maxResources))
		}
	}
	return list, nil
}

// resource makes one resource, with element in the place of the list in slot many.
func (c *call) resource(t resourceTemplate, many int, element any) (grant.Resource, error) {
	text := make([]byte, 0, 64)
	last := 0
	for _, p := range t.pieces {
		if p.arg == "" {
			text = append(text, p.literal...)
			continue
		}
		value := c.slots[p.slot].value
		if p.slot == many {
			value = element
		}
		s, ok := identifier(value)
		if !ok {
			return grant.Resource{}, fault.Invalid(c.field(p.slot), "names a resource: want a string or an integer in plain decimal")
		}
		if reason := resourceReason(s, p); reason != "" {
			return grant.Resource{}, fault.Invalid(c.field(p.slot), reason)
		}
		text = append(text, s...)
		last = p.slot
	}
	r, err := grant.ParseResource(string(text))
	if err != nil {
		return grant.Resource{}, fault.Invalid(c.field(last),
			"names a resource: want no spaces, commas or invisible characters, Unicode normal form C, and no more than 1 KiB")
	}
	return r, nil
}

// resourceReason says why a value cannot be a part of a resource; "" where it can.
// Dot segments, backslashes and escapes are refused here too: a prefix grants what
// lies below it, and an upstream might resolve them to what does not.
func resourceReason(s string, p resourcePiece) string {
	if p.narrow {
		if !isPathValue(s, p.also) {
			return fmt.Sprintf("names a resource: want 1 to %d of the characters A-Z a-z 0-9 . _ ~ -, neither '.' nor '..'", maxValue)
		}
		return ""
	}
	if s == "" {
		return "names a resource: want at least one character"
	}
	if i := strings.IndexAny(s, `*\%`); i >= 0 {
		return fmt.Sprintf("names a resource: '%c' is not taken", s[i])
	}
	if hasDotSegment(s) {
		return "names a resource: '.' and '..' lead elsewhere"
	}
	return ""
}

// hasDotSegment finds "." and ".." as an upstream may come to read them that makes a URL of
// the value, or folds compatible characters: U+2025 is two dots then, U+FF0F a slash.
func hasDotSegment(s string) bool {
	for part := range strings.SplitSeq(separators.Replace(norm.NFKC.String(s)), "/") {
		if i := strings.IndexAny(part, ";?#"); i >= 0 {
			part = part[:i]
		}
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

var separators = strings.NewReplacer(`\`, "/", "\u2215", "/", "\u2044", "/") // division and fraction slash

func appendOnce(list []grant.Resource, r grant.Resource) []grant.Resource {
	if slices.Contains(list, r) {
		return list
	}
	return append(list, r)
}
