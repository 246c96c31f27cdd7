package openapi

import (
	"slices"
)

// maxUnion bounds how deep and wide a choice of schemas is looked into for its types.
const maxUnion = 64

// typesOf lists the JSON types that a schema may take, as far as it says: through
// references, choices and values. Empty: it does not say.
func (d *document) typesOf(s *node) []string {
	found := map[string]bool{}
	left := maxUnion
	d.gather(s, found, &left, 0)
	var out []string
	for _, t := range []string{"string", "integer", "number", "boolean", "array", "object"} {
		if found[t] {
			out = append(out, t)
		}
	}
	return out
}

func (d *document) gather(s *node, found map[string]bool, left *int, depth int) {
	if *left--; *left < 0 || depth > 8 {
		return
	}
	s, _, err := d.referred(s, "")
	if err != nil || !s.isObject() {
		return
	}
	if t := s.get("type"); t != nil {
		for _, one := range append(slices.Clone(t.elements()), t) {
			if one.kind == text {
				found[one.text] = true
			}
		}
		return
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for _, one := range s.get(key).elements() {
			d.gather(one, found, left, depth+1)
		}
	}
	values := s.get("enum").elements()
	if c := s.get("const"); c != nil {
		values = append(slices.Clone(values), c)
	}
	for _, v := range values {
		switch v.kind {
		case text:
			found["string"] = true
		case number:
			found["number"] = true
		case boolean:
			found["boolean"] = true
		case null, list, object:
		}
	}
	if s.get("properties") != nil {
		found["object"] = true
	}
	if s.get("items") != nil {
		found["array"] = true
	}
}

// onlyIn reports whether all of the types are among those named, and there is one.
func onlyIn(types []string, named ...string) bool {
	return len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return !slices.Contains(named, t) })
}
