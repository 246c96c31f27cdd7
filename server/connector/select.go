package connector

import (
	"fmt"
	"strings"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// ExpandTools gives the names that patterns stand for, by name and each once. A
// pattern is a tool's exact name, or a beginning followed by "*". No pattern at all,
// "*" alone and "*" elsewhere are ARGUMENT_INVALID; a pattern that matches no tool of
// this revision is TOOL_UNKNOWN and named.
func (c *Connector) ExpandTools(patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, fault.Invalid("tools", "name at least one")
	}
	chosen := map[string]bool{}
	for _, pattern := range patterns {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		if prefix == "" || strings.Contains(prefix, "*") {
			return nil, fault.Invalid("tools", quote(pattern)+": want a name, or a beginning with * at its end")
		}
		matched := false
		for _, t := range c.Tools {
			if t.Name == pattern || isPrefix && strings.HasPrefix(t.Name, prefix) {
				chosen[t.Name], matched = true, true
			}
		}
		if !matched {
			return nil, fault.New(fault.ToolUnknown, fmt.Sprintf("the connector %s has no tool %s", c.Name, quote(pattern)), nil)
		}
	}
	names := make([]string, 0, len(chosen))
	for _, t := range c.Tools {
		if chosen[t.Name] {
			names = append(names, t.Name)
		}
	}
	return names, nil
}

// CanCount reports whether every limit in l can be counted for each of the tools,
// which are exact names, and for all that resources cover. A limit that cannot is
// ARGUMENT_INVALID: it would bound nothing.
func (c *Connector) CanCount(l grant.Limits, tools []string, resources []grant.Pattern) error {
	if err := c.canMeter(l, resources); err != nil || l.Rows == 0 {
		return err
	}
	for _, name := range tools {
		t, ok := c.Tool(name)
		if !ok {
			return fault.New(fault.ToolUnknown, fmt.Sprintf("the connector %s has no tool %s", c.Name, quote(name)), nil)
		}
		if !t.RowsCounted {
			return fault.Invalid("limits.rows", "the tool "+name+" does not say where its rows are")
		}
	}
	return nil
}
