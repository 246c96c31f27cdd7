package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// argument is one of a tool's.
type argument struct {
	name     string
	param    string // of the query or form; the key of the body
	schema   *node
	required bool
	wanted   bool // by the object that it is a member of
	comma    bool // a list that is one parameter, with commas
}

// tool is one of the manifest under way.
type tool struct {
	*operation
	name     string
	severity string
	review   string // why the severity is a guess
	path     string // the template, with the base
	resource string
	query    []argument
	inPath   []argument
	form     []argument // beside which there is no body
	body     []argument
	rest     *node // what the schema of form or body says besides its properties
	hasBody  bool
	headers  *node
	schema   *node
	notes    []Finding
}

// decimal is how a number stands in a path or query: there is only text there, and the
// manifest's own numbers in these places are whole.
const decimal = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`

// tell keeps a finding about the tool under way.
func (t *tool) tell(kind Kind, where, what, why string) {
	t.notes = append(t.notes, Finding{kind, where, t.what(what), why})
}

// scalar converts a parameter's schema to one whose values stand in a path, query or form as
// one text; reason says why there is none.
func (c *converter) scalar(t *tool, p parameter, inPath bool) (s *node, reason string, err error) {
	if c.count++; c.count > maxConverted {
		return nil, "", errTooLarge
	}
	types := c.typesOf(p.schema)
	switch {
	case p.in == inForm && c.isFile(p.schema):
		return nil, "is a file, which no form of this kind carries", nil
	case p.in == inForm && len(types) == 0:
		if _, _, err := c.referred(p.schema, ""); err != nil {
			return nil, "cannot be read: " + err.Error(), nil //nolint:nilerr // it is told as what could not be mapped
		}
		return nil, "is of no type that the document says", nil
	case slices.Contains(types, "number"):
		t.tell(Changed, p.at, p.label(), "a number goes as decimal text, such as \"1.5\"; its bounds are not held")
		return described(c, p, (&node{kind: object}).set("type", textNode("string")).set("pattern", textNode(decimal))), "", nil
	case inPath && slices.Contains(types, "boolean"):
		return described(c, p, (&node{kind: object}).set("type", textNode("string")).set("enum", textList([]string{"true", "false"}))), "", nil
	case len(types) > 0 && !onlyIn(types, "string", "integer", "boolean"):
		return nil, "is no text, number, true or false, nor a list of them", nil
	}
	made, err := c.schema(p.schema, p.schemaAt)
	if err != nil {
		return nil, "", err
	}
	made.drop("default") // nothing fills it in: it would only mislead
	return described(c, p, made), "", nil
}

// described puts a parameter's own description to its schema.
func described(c *converter, p parameter, s *node) *node {
	words := clean(p.str("description"), maxWords)
	if c.detail != whole || words == "" || s.kind != object {
		return s
	}
	return s.set("description", textNode(words))
}

func (n *node) drop(key string) {
	if i := n.find(key); i >= 0 {
		n.keys, n.items, n.index = slices.Delete(n.keys, i, i+1), slices.Delete(n.items, i, i+1), nil
	}
}

// label names a parameter for people.
func (p parameter) label() string {
	if p.in == "body" {
		return "body"
	}
	return fmt.Sprintf("%s parameter %s", p.in, p.name)
}

// style gives how a parameter of several values is written: its style, and whether each
// stands for itself.
func (p parameter) style(v version) (style string, explode bool) {
	if v == v20 {
		switch p.str("collectionFormat") {
		case "multi":
			return "form", true
		case "", "csv":
			return "form", false
		default:
			return p.str("collectionFormat"), false
		}
	}
	if style = p.str("style"); style == "" {
		style = map[string]string{"query": "form", inForm: "form", "path": "simple", "header": "simple", "cookie": "form"}[p.in]
	}
	if e := p.get("explode"); e != nil {
		return style, p.isTrue("explode")
	}
	return style, style == "form"
}

// braces are what no argument's name holds.
var braces = strings.NewReplacer("{", "", "}", "")

// argumentName is a parameter's name as an argument's: no braces, not too long, and none
// of those taken, in any case.
func argumentName(p parameter, taken map[string]bool) string {
	name := braces.Replace(p.name)
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "")
	}
	if name == "" {
		name = p.in
	}
	for try, i := name, 2; ; i++ {
		if !taken[strings.ToLower(try)] {
			taken[strings.ToLower(try)] = true
			return try
		}
		if try = p.in + "_" + name; i > 2 {
			try = fmt.Sprintf("%s_%s_%d", p.in, name, i)
		}
	}
}
