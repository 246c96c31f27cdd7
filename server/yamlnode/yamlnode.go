// Package yamlnode puts in words what stands in a YAML document.
package yamlnode

import "go.yaml.in/yaml/v3"

// Describe says what n is, for errors about a value of another type than was expected. Text
// is never repeated: a database's URL with its password in a wrong place is text too.
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.DocumentNode:
		return "a document"
	case yaml.ScalarNode:
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "a date"
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return "text in quotes"
	}
	return "text"
}
