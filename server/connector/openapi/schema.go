package openapi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// detail is how much of a schema is carried over: less where more would not fit.
type detail int

const (
	whole   detail = iota
	bare           // without descriptions
	shallow        // of each argument its type alone
)

// maxConverted bounds the schemas of one tool, in nodes.
const maxConverted = 40_000

var errTooLarge = errors.New("the schema is too large")

// converter makes JSON Schema 2020-12 of OpenAPI's schemas, for one tool. What a schema
// refers to goes into defs, once each, so that circles end.
type converter struct {
	*document
	detail
	defs  *node
	names map[string]string // pointer of what is referred to → its name in defs
	taken map[string]int    // name in defs → how many wanted it
	queue []string          // pointers whose definitions are still to be made
	count int
	notes []Finding
}

// forget begins anew: nothing that was converted so far counts.
func (c *converter) forget() {
	c.defs, c.names, c.taken = &node{kind: object}, map[string]string{}, map[string]int{}
	c.queue, c.notes = nil, nil
}

// note tells that a part of a schema at a place is not held.
func (c *converter) note(at, what, why string) {
	c.notes = append(c.notes, Finding{Changed, at, what, why})
}

// schema converts what stands at a place.
func (c *converter) schema(s *node, at string) (*node, error) {
	if c.count++; c.count > maxConverted {
		return nil, errTooLarge
	}
	if s == nil || s.kind != object {
		if s != nil && s.kind == boolean {
			return s, nil
		}
		return &node{kind: object}, nil
	}
	out := &node{kind: object}
	if ref := s.get("$ref"); ref != nil && ref.kind == text {
		name, err := c.define(ref.text)
		if err != nil {
			return nil, err
		}
		out.set("$ref", textNode("#/$defs/"+name))
		if c.version != v31 {
			return out, nil // what stands beside a reference does not count
		}
	}
	skip := c.readOnly(s)
	for key, value := range s.pairs() {
		if err := c.keyword(out, s, key, value, pointer(at, key), skip); err != nil {
			return nil, err
		}
	}
	c.bounds(out, s)
	if s.isTrue("nullable") || s.isTrue("x-nullable") {
		out = nullable(out)
	}
	return out, nil
}

// define gives the name under which the target of a reference stands in defs.
func (c *converter) define(ref string) (string, error) {
	_, at, err := c.target(ref)
	if err != nil {
		return "", err
	}
	if name := c.names[at]; name != "" {
		return name, nil
	}
	last := at[strings.LastIndexByte(at, '/')+1:]
	name := plainName(last)
	if name == "" {
		name = "schema"
	}
	// The count goes on where it was: names that are all alike must not be tried from the start.
	for base := name; c.taken[name] > 0; {
		c.taken[base]++
		name = fmt.Sprintf("%s-%d", base, c.taken[base])
	}
	c.taken[name]++
	c.names[at] = name
	c.queue = append(c.queue, at)
	return name, nil
}

// finish makes the definitions that were referred to.
func (c *converter) finish() error {
	for len(c.queue) > 0 {
		at := c.queue[0]
		c.queue = c.queue[1:]
		n, _, err := c.target("#" + escaped(at))
		if err != nil {
			return err
		}
		made, err := c.schema(n, at)
		if err != nil {
			return err
		}
		c.defs.set(c.names[at], made)
	}
	return nil
}

// escaped keeps a pointer's percent signs through a reference.
func escaped(at string) string { return strings.ReplaceAll(at, "%", "%25") }

// keyword converts one, of the schema s, into out.
func (c *converter) keyword(out, s *node, key string, value *node, at string, skip map[string]bool) error {
	switch key {
	case "type":
		c.typeWord(out, value, at)
	case "enum", "const", "default", "uniqueItems", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
		"minProperties", "maxProperties", "minContains", "maxContains", "dependentRequired":
		out.set(key, value)
	case "required":
		c.required(out, value, skip)
	case "format":
		c.format(out, value, at)
	case "pattern":
		if value.kind != text || !compiles(value.text) {
			c.note(at, "pattern "+quoted(value.text), "is no regular expression of RE2 and is not held")
			return nil
		}
		out.set(key, value)
	case "description":
		if value.kind == text && c.detail == whole && clean(value.text, maxWords) != "" {
			out.set(key, textNode(clean(value.text, maxWords)))
		}
	case "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties":
		return c.one(out, key, value, at)
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return c.several(out, key, value, at)
	case "properties", "patternProperties", "dependentSchemas":
		return c.named(out, key, value, at, skip)
	default:
		c.unheld(key, at, s)
	}
	return nil
}

// maxWords bounds the description of an argument, in bytes.
const maxWords = 200

// unheld tells of keywords that JSON Schema would not know, but for those that only
// describe, or were dealt with elsewhere.
func (c *converter) unheld(key, at string, s *node) {
	switch key {
	case "$ref", "nullable", "x-nullable", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "title", "example", "examples",
		"externalDocs", "xml", "discriminator", "deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding",
		"$schema", "$comment", "$defs", "definitions", "contentSchema":
		return
	case "name", "in", "allowEmptyValue", "collectionFormat", "style", "explode", "allowReserved":
		if s.get("in") != nil && s.get("name") != nil {
			return // a parameter of Swagger 2.0, whose schema it is as well
		}
	}
	if strings.HasPrefix(key, "x-") {
		return
	}
	c.note(at, "keyword "+quoted(key), "is not held: the manifest's JSON Schema does not know it")
}

func (c *converter) typeWord(out, value *node, at string) {
	known := []string{"string", "integer", "number", "boolean", "array", "object", "null"}
	words := value.elements()
	if value.kind == text {
		words = []*node{value}
	}
	kept := listOf()
	for _, w := range words {
		if slices.Contains(known, w.text) {
			kept.items = append(kept.items, w)
			continue
		}
		c.note(at, "type "+quoted(w.text), "is none of JSON Schema and is not held")
	}
	switch len(kept.items) {
	case 0:
	case 1:
		out.set("type", kept.items[0])
	default:
		out.set("type", kept)
	}
}

// required keeps the names of a list, but those that a request does not have.
func (c *converter) required(out, value *node, skip map[string]bool) {
	kept := listOf()
	for _, name := range value.elements() {
		if name.kind == text && !skip[name.text] {
			kept.items = append(kept.items, name)
		}
	}
	if len(kept.items) > 0 {
		out.set("required", kept)
	}
}

func (c *converter) format(out, value *node, at string) {
	switch value.text {
	case "date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "uri-template",
		"iri", "iri-reference", "uuid", "json-pointer", "relative-json-pointer", "regex":
		out.set("format", value)
	case "int32", "int64", "float", "double", "byte", "binary", "password", "": // OpenAPI's own, which only describe
	default:
		c.note(at, "format "+quoted(value.text), "is not held: JSON Schema does not know it")
	}
}

func (c *converter) one(out *node, key string, value *node, at string) error {
	if value.kind == list { // draft 4's tuples
		c.note(at, "keyword "+key, "is a list and is not held")
		return nil
	}
	if value.kind == boolean {
		out.set(key, value)
		return nil
	}
	made, err := c.schema(value, at)
	if err == nil {
		out.set(key, made)
	}
	return err
}

func (c *converter) several(out *node, key string, value *node, at string) error {
	made := listOf()
	for i, one := range value.elements() {
		s, err := c.schema(one, pointer(at, itoa(i)))
		if err != nil {
			return err
		}
		made.items = append(made.items, s)
	}
	if len(made.items) > 0 {
		out.set(key, made)
	}
	return nil
}

func (c *converter) named(out *node, key string, value *node, at string, skip map[string]bool) error {
	made := &node{kind: object}
	for name, one := range value.pairs() {
		if key == "properties" && skip[name] {
			continue
		}
		s, err := c.schema(one, pointer(at, name))
		if err != nil {
			return err
		}
		made.set(name, s)
	}
	out.set(key, made)
	return nil
}

// readOnly lists the properties that answers have and requests do not.
func (c *converter) readOnly(s *node) map[string]bool {
	names := map[string]bool{}
	for name, one := range s.get("properties").pairs() {
		if target, _, err := c.referred(one, ""); one.isTrue("readOnly") || err == nil && target.isTrue("readOnly") {
			names[name] = true
		}
	}
	return names
}

// bounds carries over a number's, of which draft 4 says by a word beside them that they
// are no part of the range.
func (c *converter) bounds(out, s *node) {
	for _, b := range []struct{ bound, exclusive string }{{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}} {
		bound, exclusive := s.get(b.bound), s.get(b.exclusive)
		switch {
		case s.isTrue(b.exclusive) && bound != nil:
			out.set(b.exclusive, bound)
			continue
		case exclusive != nil && exclusive.kind == number:
			out.set(b.exclusive, exclusive)
		}
		if bound != nil && bound.kind == number {
			out.set(b.bound, bound)
		}
	}
}

// nullable lets null through as well.
func nullable(s *node) *node {
	none := textNode("null")
	if enum := s.get("enum"); enum != nil && !slices.ContainsFunc(enum.items, func(n *node) bool { return n.kind == null }) {
		s.set("enum", listOf(append(slices.Clone(enum.items), &node{})...))
	}
	switch t := s.get("type"); {
	case t == nil && (s.get("$ref") != nil || s.get("allOf") != nil || s.get("anyOf") != nil || s.get("oneOf") != nil):
		return (&node{kind: object}).set("anyOf", listOf(s, (&node{kind: object}).set("type", none)))
	case t == nil:
	case t.kind == text && t.text != "null":
		s.set("type", listOf(t, none))
	case t.kind == list && !slices.ContainsFunc(t.items, func(n *node) bool { return n.text == "null" }):
		s.set("type", listOf(append(slices.Clone(t.items), none)...))
	}
	return s
}

// compiles reports whether text is a regular expression of RE2.
func compiles(text string) bool {
	_, err := regexp.Compile(text)
	return err == nil
}
