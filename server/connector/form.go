package connector

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// form is what an argument is where there is only text: in a path, a query or a form.
type form struct {
	kind formKind
	list bool // of that kind
	one  bool // of that kind; with list: either
}

type formKind int

const (
	textForm formKind = iota
	integerForm
	booleanForm
)

// formReader reads the forms of a tool's arguments, whose schemas stand in root.
type formReader struct {
	root *yaml.Node
	at   map[string]*yaml.Node // what references lead to, once looked up
}

func newFormReader(root *yaml.Node) *formReader {
	return &formReader{root: root, at: map[string]*yaml.Node{}}
}

// formOf reads it from an argument's schema. Where text is one of several types, or no
// type is named, it is text; the schema itself still judges it. Whatever is chosen here,
// Bind makes the same text of it.
func (r *formReader) formOf(schema *yaml.Node) form {
	types := map[string]bool{}
	r.look(schema, types, false)
	f := form{list: types["array"]}
	f.one = types["string"] || types["integer"] || types["number"] || types["boolean"] || !f.list
	if f.list {
		r.look(schema, types, true)
	}
	switch {
	case types["string"]:
	case types["integer"], types["number"]:
		f.kind = integerForm
	case types["boolean"]:
		f.kind = booleanForm
	}
	return f
}

// maxSchemas bounds how many schemas are looked into for one argument. Each is looked
// into once: those that refer to one another would else be as many as they have ways.
const maxSchemas = 256

// look notes the types that a schema names, by itself or in the schemas that it is put
// together from; with elements those of an array's elements.
func (r *formReader) look(schema *yaml.Node, types map[string]bool, elements bool) {
	type visit struct {
		schema   *yaml.Node
		elements bool
	}
	queue := []visit{{schema, elements}}
	seen := map[visit]bool{queue[0]: true}
	for ; len(queue) > 0; queue = queue[1:] {
		next := func(n *yaml.Node, elements bool) {
			if v := (visit{n, elements}); !seen[v] && len(seen) < maxSchemas {
				seen[v] = true
				queue = append(queue, v)
			}
		}
		v := queue[0]
		for key, value := range pairs(v.schema) {
			switch key.Value {
			case "anyOf", "oneOf", "allOf":
				for _, one := range value.Content {
					next(one, v.elements)
				}
			case "$ref":
				next(r.follow(value.Value), v.elements)
			case "items":
				if v.elements {
					next(value, false)
				}
			default:
				if !v.elements {
					noteTypes(key.Value, value, types)
				}
			}
		}
	}
}

// noteTypes notes the types that one keyword of a schema names.
func noteTypes(keyword string, value *yaml.Node, types map[string]bool) {
	switch keyword {
	case "type":
		types[value.Value] = true
		for _, one := range value.Content {
			types[one.Value] = true
		}
	case "const":
		types[jsonType(value)] = true
	case "enum":
		for _, one := range value.Content {
			types[jsonType(one)] = true
		}
	}
}

// follow gives what a reference leads to.
func (r *formReader) follow(ref string) *yaml.Node {
	n, known := r.at[ref]
	if !known {
		n = schemaAt(r.root, ref)
		r.at[ref] = n
	}
	return n
}

// jsonType is the JSON type of a value; "" for what no text stands for.
func jsonType(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!str":
		return "string"
	case "!!int":
		return "integer"
	case "!!bool":
		return "boolean"
	}
	return ""
}

// schemaAt follows a JSON pointer in a fragment, like #/$defs/id. What it does not find
// is an empty node: the compiler judges whether the reference is good.
func schemaAt(root *yaml.Node, ref string) *yaml.Node {
	at := root
	steps, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return &yaml.Node{}
	}
	for step := range strings.SplitSeq(steps, "/") {
		next := &yaml.Node{}
		for key, value := range pairs(at) {
			if key.Value == step {
				next = value
			}
		}
		at = next
	}
	return at
}

// literal gives text as the JSON of which Bind makes this very text again, or the
// reason why there is none.
func (f form) literal(text string) (raw, reason string) {
	switch f.kind {
	case integerForm:
		if !isPlainInteger(text) || !isNumber(text) {
			return "", "want an integer in plain decimal"
		}
		return text, ""
	case booleanForm:
		if text != "true" && text != "false" {
			return "", "want true or false"
		}
		return text, ""
	case textForm:
	}
	if !utf8.ValidString(text) {
		return "", "not valid UTF-8"
	}
	return string(appendQuoted(nil, text)), ""
}
