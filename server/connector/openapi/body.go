package openapi

import (
	"fmt"
	"slices"
)

// body places the properties of the request's body. reason says why the operation
// cannot be mapped: the manifest's body is a JSON object of named arguments, or a form.
func (im *importer) body(t *tool, c *converter, b *content) (reason string, err error) {
	if b == nil || !b.required && im.emptyForms(b) {
		return "", nil // a form without fields, and no body at all, are the same
	}
	bodiless := t.method == "GET" || t.method == "HEAD"
	sent, form, ok := b.choose()
	switch {
	case !ok && bodiless && !b.required:
		return "", nil
	case !ok:
		return b.unlike(), nil
	case bodiless && b.required:
		return "a " + t.method + " with a body", nil
	case bodiless:
		t.tell(NotMapped, b.at, "body", "a "+t.method+" has none; the tool does without")
		return "", nil
	}
	if b.media != nil {
		b.schema, b.at = b.media.get(b.name).get("schema"), pointer(b.at, "content", b.name, "schema")
	}
	before, place := len(t.notes), im.members
	if form {
		place = im.form
	}
	if len(b.types) > 1 {
		t.tell(Changed, b.at, "body", "of several media types "+b.name+" is taken")
	}
	if reason, err = place(t, c, b); err != nil {
		return "", err
	}
	switch {
	case reason != "" && !b.required:
		t.notes = t.notes[:before]
		c.forget()
		t.tell(NotMapped, b.at, "body", reason+"; the tool does without")
		return "", nil
	case reason == "" && !form:
		if t.hasBody = true; sent != "" {
			t.headers.set("Content-Type", textNode(sent))
		}
	}
	return reason, nil
}

// flat gathers the members of the body, which is what is said, at the top of one schema.
func (im *importer) flat(t *tool, b *content, what string) (flat *flattened, reason string) {
	if _, _, err := im.referred(b.schema, b.at); err != nil {
		return nil, "the body cannot be read: " + err.Error()
	}
	types := im.typesOf(b.schema)
	if !onlyIn(types, "object") {
		if slices.Contains(types, "object") {
			return nil, "the body is an object or something else, and a manifest's body is an object"
		}
		return nil, "the body is no " + what + " with named members"
	}
	flat = &flattened{properties: &node{kind: object}, at: map[string]string{}}
	if reason = im.flatten(flat, b.schema, b.at, 0); reason != "" {
		return nil, reason
	}
	flat.name()
	if len(flat.properties.keys) == 0 {
		return nil, "the body's members have no names in the document"
	}
	if flat.open {
		t.tell(Changed, b.at, "body", "members that the document does not name cannot be sent")
	}
	return flat, ""
}

// members makes arguments of the members of a body of JSON.
func (im *importer) members(t *tool, c *converter, b *content) (reason string, err error) {
	flat, reason := im.flat(t, b, "JSON object")
	if reason != "" {
		return reason, nil
	}
	required := map[string]bool{}
	for _, name := range flat.required {
		required[name] = true
	}
	skip := c.readOnly((&node{kind: object}).set("properties", flat.properties))
	for name, p := range flat.properties.pairs() {
		if skip[name] {
			continue
		}
		made, err := c.schema(p, flat.at[name])
		if err != nil {
			return "", err
		}
		t.body = append(t.body, argument{name: name, param: name, schema: made, required: required[name]})
	}
	if len(flat.choices) > 0 {
		all := listOf()
		for _, choice := range flat.choices {
			one, err := c.schema((&node{kind: object}).set(choice.key, listOf(choice.branches...)), choice.at)
			if err != nil {
				return "", err
			}
			all.items = append(all.items, one)
		}
		t.rest = (&node{kind: object}).set("allOf", all)
	}
	return "", nil
}

// flattened is a body's schema with its members at the top.
type flattened struct {
	properties *node
	at         map[string]string // where each of them stands
	required   []string
	choices    []choice
	open       bool // it says itself that it takes more members
	closed     bool // it says itself that it takes no more
	count      int
}

// choice is an anyOf or oneOf at the top of a body.
type choice struct {
	key, at  string
	branches []*node
}

// maxMembers bounds those of one schema of a body: more make no tool.
const maxMembers = 3000

// flatten gathers the properties of an object's schema: its own, those of all that it is
// besides (allOf), and those of all that it may be (anyOf, oneOf), which stay a choice.
func (im *importer) flatten(to *flattened, s *node, at string, depth int) (reason string) {
	s, at, err := im.referred(s, at)
	switch to.count++; {
	case err != nil:
		return "the body cannot be read: " + err.Error()
	case to.count > 200 || depth > 16:
		return "the body's schema is put together of too many others"
	case !s.isObject():
		return ""
	}
	if properties, required := s.get("properties"), s.get("required"); properties != nil && len(properties.keys) > maxMembers || len(required.elements()) > maxMembers {
		return fmt.Sprintf("the body has more than %d members", maxMembers)
	}
	for name, p := range s.get("properties").pairs() {
		to.add(name, p, pointer(at, "properties", name))
	}
	for _, name := range s.get("required").elements() {
		if name.kind == text && !slices.Contains(to.required, name.text) {
			to.required = append(to.required, name.text)
		}
	}
	if more := s.get("additionalProperties"); more != nil {
		to.open, to.closed = to.open || isOpen(s), to.closed || !isOpen(s)
	}
	for i, part := range s.get("allOf").elements() {
		if reason := im.flatten(to, part, pointer(at, "allOf", itoa(i)), depth+1); reason != "" {
			return reason
		}
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if reason := im.choice(to, s, key, at, depth); reason != "" {
			return reason
		}
	}
	return ""
}

// add keeps a property; of one that stands in several parts, both schemas hold.
func (to *flattened) add(name string, p *node, at string) {
	switch had := to.properties.get(name); {
	case had == nil:
		to.properties.set(name, p)
		to.at[name] = at
	case had != p:
		to.properties.set(name, (&node{kind: object}).set("allOf", listOf(had, p)))
	}
}

// close has a branch of a choice refuse the members that only other branches have.
func (to *flattened) close(branch *node) {
	own := &node{kind: object}
	for name, p := range branch.get("properties").pairs() {
		own.set(name, p)
	}
	for name := range to.properties.pairs() {
		if own.get(name) == nil {
			own.set(name, boolNode(false))
		}
	}
	branch.set("properties", own)
}

// name gives every required member a place.
func (to *flattened) name() {
	for _, name := range to.required {
		if to.properties.get(name) == nil {
			to.properties.set(name, &node{kind: object})
		}
	}
}

func (im *importer) choice(to *flattened, s *node, key, at string, depth int) (reason string) {
	branches := s.get(key).elements()
	if len(branches) == 0 {
		return ""
	}
	var kept []*node
	var closed []bool
	for i, branch := range branches {
		one := &flattened{properties: &node{kind: object}, at: map[string]string{}, count: to.count}
		if reason := im.flatten(one, branch, pointer(at, key, itoa(i)), depth+1); reason != "" {
			return reason
		}
		to.count = one.count
		one.name()
		for name := range one.properties.pairs() {
			if to.properties.get(name) == nil {
				to.properties.set(name, &node{kind: object})
			}
		}
		to.open = to.open || one.open
		held := &node{kind: object}
		if len(one.properties.keys) > 0 {
			held.set("properties", one.properties)
		}
		if len(one.required) > 0 {
			held.set("required", textList(one.required))
		}
		for _, inner := range one.choices {
			held.set(inner.key, listOf(inner.branches...))
		}
		kept, closed = append(kept, held), append(closed, one.closed)
	}
	for i, held := range kept {
		if closed[i] {
			to.close(held)
		}
	}
	to.choices = append(to.choices, choice{key, at, kept})
	return ""
}
