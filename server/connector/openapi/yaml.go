package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yaml reads YAML. Aliases are written out, each as often as it stands, within the
// bounds; tags and merge keys, by which two readers could see different things, are
// refused.
func (r *reader) yaml(data []byte) (*node, error) {
	if len(data) > maxYAML {
		return nil, fmt.Errorf("is YAML of more than %d bytes: make JSON of it, or keep to a part", maxYAML)
	}
	// The library builds its own tree first. Each of its nodes needs one of these.
	marks := 0
	for _, c := range []byte(",[{:-\n?") {
		marks += bytes.Count(data, []byte{c})
	}
	if marks > 2*maxNodes {
		return nil, fmt.Errorf("is YAML of more than %d values: make JSON of it, or keep to a part", maxNodes)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("is empty")
		}
		return nil, errors.New("is neither JSON nor YAML: " + strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one YAML document alone")
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("is empty")
	}
	return r.yamlValue(doc.Content[0], 0)
}

func (r *reader) yamlValue(n *yaml.Node, depth int) (*node, error) {
	if err := r.one(depth); err != nil {
		return nil, err
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return nil, fmt.Errorf("line %d: tags are not taken", n.Line)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.yamlValue(n.Alias, depth+1)
	case yaml.SequenceNode:
		out := listOf()
		for _, child := range n.Content {
			item, err := r.yamlValue(child, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
		}
		return out, nil
	case yaml.MappingNode:
		return r.yamlObject(n, depth)
	}
	return yamlScalar(n), r.say(n.Value)
}

// say counts text, which an alias has read again wherever it stands.
func (r *reader) say(text string) error {
	if r.text += len(text); r.text > maxDocument {
		return fmt.Errorf("holds more than %d bytes of text, aliases counted as often as they stand", maxDocument)
	}
	return nil
}

func (r *reader) yamlObject(n *yaml.Node, depth int) (*node, error) {
	out := &node{kind: object}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0:
			return nil, fmt.Errorf("line %d: a key must be a plain word", key.Line)
		case key.ShortTag() == "!!merge":
			return nil, fmt.Errorf("line %d: merge keys (<<) are not taken: write it out", key.Line)
		case out.find(key.Value) >= 0:
			return nil, fmt.Errorf("line %d: a key stands twice", key.Line)
		}
		if err := r.say(key.Value); err != nil {
			return nil, err
		}
		value, err := r.yamlValue(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		out.set(key.Value, value)
	}
	return out, nil
}

// yamlScalar gives what JSON would have; other spellings of numbers, and dates, are
// text.
func yamlScalar(n *yaml.Node) *node {
	switch tag := n.ShortTag(); {
	case tag == "!!null":
		return &node{}
	case tag == "!!bool":
		return boolNode(strings.EqualFold(n.Value, "true"))
	case (tag == "!!int" || tag == "!!float") && json.Valid([]byte(n.Value)):
		return numberNode(n.Value)
	}
	return textNode(n.Value)
}
