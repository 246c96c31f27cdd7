package openapi

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// manifest writes the whole and has it judged as Apply would.
func (im *importer) manifest(tools []*tool, chosen []*operation) (string, error) {
	if len(tools) == 0 {
		return "", fault.Invalid("document", "none of its operations can be a tool; the first: "+im.firstReason())
	}
	for _, t := range tools {
		if t.review != "" {
			im.tell(Review, t.at, t.what("severity "+t.severity), t.review)
		}
	}
	made, err := im.write(tools, im.heading())
	if err != nil {
		return "", err
	}
	if len(made) > maxManifest {
		return "", fault.Invalid("document", fmt.Sprintf("makes a manifest of %d bytes, and %d are the most: choose fewer of its %d operations with include and exclude, for instance %s",
			len(made), maxManifest, len(chosen), topTags(chosen)))
	}
	if _, err := connector.Parse(made); err != nil {
		return "", fault.Invalid("document", "its operations cannot stand together in one manifest: "+clean(reason(err), 300))
	}
	return string(made), nil
}

func (im *importer) firstReason() string {
	for _, f := range im.findings {
		if f.Kind == NotMapped {
			return f.What + ": " + f.Why
		}
	}
	return "it says nothing that could be called"
}

func (im *importer) heading() string {
	title := clean(im.root.str("info", "title")+" "+im.root.str("info", "version"), 100)
	return "Made of the OpenAPI document " + quoted(strings.TrimSpace(title)) + ".\n" +
		"Before you apply it: judge severities and resources, which are proposals, and\n" +
		"what is marked review. What a call answers is not described here."
}

// write makes the manifest's text.
func (im *importer) write(tools []*tool, heading string) ([]byte, error) {
	top := mapping()
	add(top, "connector", word(im.Name))
	add(top, "kind", word("http"))
	if title := clean(im.root.str("info", "title"), 200); title != "" {
		add(top, "description", word(title))
	}
	add(top, "origin", word(im.origin))
	if len(im.slots) > 0 {
		slots := mapping()
		for _, s := range im.slots {
			value := mapping()
			add(value, "owner", word(s.owner))
			add(value, "attach", flow(s.attach))
			if s.oauth != nil {
				add(value, "oauth", block(s.oauth))
			}
			comment(add(slots, s.name, value), s.comment)
		}
		add(top, "credentials", slots)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, t := range tools {
		list.Content = append(list.Content, im.writeTool(t))
	}
	add(top, "tools", list)
	top.HeadComment = heading
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(top); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

func (im *importer) writeTool(t *tool) *yaml.Node {
	n := mapping()
	add(n, "name", word(t.name))
	if words := t.description(); words != "" {
		add(n, "description", word(words))
	}
	comment(add(n, "severity", word(t.severity)), t.review)
	if t.idempotent() {
		add(n, "idempotent", block(boolNode(true)))
	}
	add(n, "method", word(t.method))
	add(n, "path", word(t.path))
	addPairs(n, "query", t.query)
	if len(t.headers.keys) > 0 {
		add(n, "headers", block(t.headers))
	}
	addPairs(n, "form", t.form)
	if t.hasBody {
		var names []string
		for _, a := range t.body {
			names = append(names, a.name)
		}
		if len(names) > 0 {
			add(n, "body", flow(textList(names)))
		}
	}
	if t.schema != nil {
		add(n, "arguments", block(t.schema))
	}
	add(n, "resources", flow(listOf(textNode(t.resource))))
	return n
}

// addPairs writes the parameters of a query or form, if there are any.
func addPairs(n *yaml.Node, key string, list []argument) {
	pairs := mapping()
	for _, a := range list {
		to := word(a.name)
		if a.comma {
			to = flow((&node{kind: object}).set("argument", textNode(a.name)).set("list", textNode("comma")))
		}
		add(pairs, a.param, to)
	}
	if len(list) > 0 {
		add(n, key, pairs)
	}
}

// maxSummary bounds a tool's description, in bytes.
const maxSummary = 300

// description is what models choose by: the summary, and what it does not say already.
func (t *tool) description() string {
	summary, more := clean(t.str("summary"), maxSummary), clean(t.str("description"), maxSummary)
	switch {
	case summary == "":
		return more
	case more == "" || strings.HasPrefix(more, summary):
		return max(summary, more)
	}
	return clean(strings.TrimRight(summary, ". ")+". "+more, maxSummary)
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// add puts a key to a mapping and gives the key's node.
func add(m *yaml.Node, key string, value *yaml.Node) *yaml.Node {
	k := word(key)
	m.Content = append(m.Content, k, value)
	return k
}

// comment marks what a person must look at. It is one line of printable text, whatever
// the document holds.
func comment(n *yaml.Node, words string) {
	if words != "" {
		n.HeadComment = "review: " + clean(words, 200)
	}
}

// word is a string; the encoder quotes it where YAML would take it for something else.
func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// block writes a value with a line for each of its parts.
func block(n *node) *yaml.Node {
	switch n.kind {
	case object:
		out := mapping()
		for key, value := range n.pairs() {
			add(out, key, block(value))
		}
		if len(out.Content) == 0 {
			out.Style = yaml.FlowStyle
		}
		return out
	case list:
		out := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range n.items {
			out.Content = append(out.Content, block(item))
		}
		if allScalars(n) {
			out.Style = yaml.FlowStyle
		}
		return out
	case number:
		tag := "!!int"
		if strings.ContainsAny(n.text, ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: n.text}
	case boolean:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: n.text}
	case null:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case text:
	}
	return word(n.text)
}

func allScalars(n *node) bool {
	for _, item := range n.items {
		if item.kind == object || item.kind == list {
			return false
		}
	}
	return true
}

// flow writes a value on one line.
func flow(n *node) *yaml.Node {
	out := block(n)
	if out.Kind != yaml.ScalarNode {
		out.Style = yaml.FlowStyle
	}
	return out
}
