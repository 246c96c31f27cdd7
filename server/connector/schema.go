package connector

import (
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/cases"
)

const (
	maxSchema       = 64 << 10
	maxArgumentName = 128
	// schemaURL names the one document that a schema may refer to: itself.
	schemaURL = "urn:onedoor:arguments"
)

// schema is what a tool takes: a JSON Schema, and its arguments in their order.
type schema struct {
	text     string // compact JSON
	compiled *jsonschema.Schema
	names    []string
	required []bool         // beside names
	forms    []form         // beside names
	slots    map[string]int // name → index in names
}

// schema reads the arguments of the tool that stands at line; n is nil where it takes
// none. It returns nil where it found a fault.
func (r *reader) schema(n *yaml.Node, line int) *schema {
	before := len(r.faults)
	if n == nil {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: line, Content: []*yaml.Node{
			{Kind: yaml.ScalarNode, Value: "type"}, {Kind: yaml.ScalarNode, Value: "object"},
		}}
	}
	r.keywords(n)
	s := r.arguments(n)
	text := r.json(nil, n)
	if len(text) > maxSchema {
		r.fail(n, "arguments: the schema is longer than %d bytes", maxSchema)
	}
	if len(r.faults) > before {
		return nil
	}
	compiled, err := compileSchema(string(text))
	if err != nil {
		at, reason := schemaFault(n, err)
		r.fail(at, "arguments: not a JSON Schema: %s", reason)
		return nil
	}
	s.text, s.compiled = string(text), compiled
	return s
}

// arguments reads what the top of a schema must be: an object that takes nothing but
// what it names. additionalProperties: false is added where it does not stand.
func (r *reader) arguments(n *yaml.Node) *schema {
	s := &schema{slots: map[string]int{}}
	object, closed, required := false, false, map[string]bool{}
	for key, value := range pairs(n) {
		switch key.Value {
		case "type":
			object = value.Value == "object"
		case "additionalProperties":
			closed = true
			if value.ShortTag() != "!!bool" || value.Value != "false" {
				r.fail(value, "arguments: additionalProperties must be false")
			}
		case "patternProperties":
			r.fail(key, "arguments: patternProperties is not taken here: every argument has a name")
		case "required":
			for _, name := range value.Content {
				required[name.Value] = true
			}
		case "properties":
			r.names(value, n, s)
		}
	}
	if !object {
		r.fail(n, "arguments: want type: object")
	}
	if !closed {
		n.Content = append(n.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "additionalProperties"},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})
	}
	for _, name := range s.names {
		s.required = append(s.required, required[name])
	}
	return s
}

// names reads the arguments' names. Two that differ only in case are refused, since
// some upstreams take one for the other.
func (r *reader) names(properties, root *yaml.Node, s *schema) {
	fold, forms := cases.Fold(), newFormReader(root)
	folded := map[string]string{}
	for key, value := range pairs(properties) {
		name := key.Value
		if name == "" || len(name) > maxArgumentName || strings.ContainsAny(name, "{}") {
			r.fail(key, "argument %s: want 1 to %d bytes without braces", quote(name), maxArgumentName)
		}
		if other, ok := folded[fold.String(name)]; ok {
			r.fail(key, "argument %s differs from %s only in case", quote(name), quote(other))
		}
		folded[fold.String(name)] = name
		s.slots[name] = len(s.names)
		s.names = append(s.names, name)
		s.forms = append(s.forms, forms.formOf(value))
	}
}

// sealed is the loader that finds nothing: a schema that points outside of itself
// would have the broker read files or URLs of its author's choice.
type sealed struct{}

func (sealed) Load(string) (any, error) {
	return nil, errors.New("a schema may refer only to itself")
}

// compileSchema compiles JSON text as draft 2020-12 with formats asserted.
func compileSchema(text string) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(sealed{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}
