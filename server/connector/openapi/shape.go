package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// structured follows references, and what stands around a list or object without saying
// anything of it: a choice between it and null, or allOf of it alone.
func (im *importer) structured(s *node, at string) (*node, string, error) {
	for range maxHops {
		var err error
		if s, at, err = im.referred(s, at); err != nil {
			return nil, at, err
		}
		within, withinAt := im.wrapped(s, at)
		if within == nil || !onlyIn(im.typesOf(within), "array") && !onlyIn(im.typesOf(within), "object") {
			return s, at, nil
		}
		s, at = within, withinAt
	}
	return nil, at, fmt.Errorf("more than %d schemas stand around each other", maxHops)
}

// wrapped gives the one schema that s consists of; nil where there is no such.
func (im *importer) wrapped(s *node, at string) (within *node, withinAt string) {
	for key, value := range s.pairs() {
		switch key {
		case "allOf", "anyOf", "oneOf":
			for i, branch := range value.elements() {
				if key != "allOf" && branch.str("type") == "null" {
					continue
				}
				if within != nil {
					return nil, ""
				}
				within, withinAt = branch, pointer(at, key, itoa(i))
			}
		case "title", "description", "default", "example", "examples", "nullable", "deprecated":
		default:
			if !strings.HasPrefix(key, "x-") {
				return nil, ""
			}
		}
	}
	return within, withinAt
}

// isComposed reports whether a schema has members that stand in other schemas.
func isComposed(s *node) bool {
	return slices.ContainsFunc([]string{"allOf", "anyOf", "oneOf"}, func(key string) bool { return len(s.get(key).elements()) > 0 })
}

// isOpen reports whether a schema says itself that it takes more members.
func isOpen(s *node) bool {
	more := s.get("additionalProperties")
	return more != nil && more.text != "false"
}

// isFile reports whether a schema is that of bytes that are no text.
func (d *document) isFile(s *node) bool {
	s, _, err := d.referred(s, "")
	return err == nil && (s.str("type") == "file" || s.str("format") == "binary" || s.str("contentMediaType") == "application/octet-stream")
}
