package connector

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// shape says what stands behind a keyword of JSON Schema.
type shape int

const (
	unknown     shape = iota
	plainValue        // no schema within
	oneSchema         // a schema
	schemaList        // a list of schemas
	schemaNamed       // a mapping of names to schemas
)

// shapeOf knows the keywords that are evaluated or that only describe. JSON Schema
// itself would ignore every other one, and a rule with a typing error in its name
// would silently not hold.
func shapeOf(keyword string) shape {
	switch keyword {
	case "type", "enum", "const", "format", "pattern", "minLength", "maxLength",
		"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minItems", "maxItems", "uniqueItems", "minContains", "maxContains",
		"required", "minProperties", "maxProperties", "dependentRequired",
		"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
		"$ref", "$anchor", "$comment", "$schema":
		return plainValue
	case "not", "if", "then", "else", "items", "contains", "additionalProperties",
		"propertyNames", "unevaluatedItems", "unevaluatedProperties":
		return oneSchema
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return schemaList
	case "properties", "patternProperties", "dependentSchemas", "$defs":
		return schemaNamed
	}
	return unknown
}

// isFormat knows the formats that are asserted; any other would be ignored.
func isFormat(name string) bool {
	switch name {
	case "date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6",
		"uri", "uri-reference", "uri-template", "iri", "iri-reference", "uuid",
		"json-pointer", "relative-json-pointer", "regex":
		return true
	}
	return false
}

// keywords walks a schema along the places where schemas stand. What the walk does
// not judge (a value's type, say) the compiler does.
func (r *reader) keywords(n *yaml.Node) {
	for key, value := range pairs(n) {
		switch shapeOf(key.Value) {
		case unknown:
			r.fail(key, "arguments: the keyword %s is not known", quote(key.Value))
		case oneSchema:
			r.keywords(value)
		case schemaList:
			for _, child := range value.Content {
				r.keywords(child)
			}
		case schemaNamed:
			for _, child := range pairs(value) {
				r.keywords(child)
			}
		case plainValue:
			r.keyword(key.Value, value)
		}
	}
}

// keyword judges the few values by which a schema could escape judgement.
func (r *reader) keyword(name string, value *yaml.Node) {
	switch name {
	case "$ref":
		if !strings.HasPrefix(value.Value, "#") {
			r.fail(value, "arguments: $ref %s leads out of this schema", quote(value.Value))
		}
	case "$schema":
		if value.Value != "https://json-schema.org/draft/2020-12/schema" {
			r.fail(value, "arguments: want JSON Schema 2020-12")
		}
	case "format":
		if !isFormat(value.Value) {
			r.fail(value, "arguments: the format %s is not known", quote(value.Value))
		}
	}
}

// json appends n as compact JSON. YAML's other spellings of numbers and truth are
// refused, so that the text means what its author sees.
func (r *reader) json(to []byte, n *yaml.Node) []byte {
	switch n.Kind {
	case yaml.MappingNode:
		to = append(to, '{')
		for key, value := range pairs(n) {
			to = append(appendQuoted(to, key.Value), ':')
			to = append(r.json(to, value), ',')
		}
		return closeWith(to, '}')
	case yaml.SequenceNode:
		to = append(to, '[')
		for _, child := range n.Content {
			to = append(r.json(to, child), ',')
		}
		return closeWith(to, ']')
	}
	switch tag := n.ShortTag(); {
	case tag == "!!str":
		return appendQuoted(to, n.Value)
	case tag == "!!null":
		return append(to, "null"...)
	case tag == "!!bool" && (n.Value == "true" || n.Value == "false"):
		return append(to, n.Value...)
	case (tag == "!!int" || tag == "!!float") && isNumber(n.Value):
		return append(to, n.Value...)
	}
	r.fail(n, "%s: write it as JSON would, or in quotes", quote(n.Value))
	return append(to, "null"...)
}

// closeWith puts the end in the place of the last comma.
func closeWith(to []byte, end byte) []byte {
	if to[len(to)-1] == ',' {
		to = to[:len(to)-1]
	}
	return append(to, end)
}

// isNumber reports whether s is a number as JSON writes it, within our bounds.
func isNumber(s string) bool {
	p := &parser{text: s}
	_, err := p.number()
	return err == nil && p.at == len(s)
}

// appendQuoted appends s as a JSON string.
func appendQuoted(to []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string always has its JSON
	return append(to, text...)
}
