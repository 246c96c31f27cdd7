package connector

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/yamlnode"
)

const (
	maxManifest = 1 << 20
	// maxFaults is how many faults are told at once.
	maxFaults = 50
)

// reader walks a YAML document and gathers every fault with its line, so that an
// author sees all of them at once.
type reader struct{ faults []lineFault }

type lineFault struct {
	line int
	text string
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, lineFault{n.Line, fmt.Sprintf(format, args...)})
}

// wrong refuses a value that is of another type than the one wanted.
func (r *reader) wrong(n *yaml.Node, what, want string) {
	text := what + ": want " + want + ", not " + yamlnode.Describe(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!str" && n.ShortTag() != "!!null" && want == "a string" {
		text += " without quotes"
	}
	r.fail(n, "%s", text)
}

// err gives everything found, in the order of lines; nil where there is nothing.
func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b lineFault) int { return a.line - b.line })
	faults := slices.Compact(r.faults)
	var text strings.Builder
	for i, f := range faults {
		if i == maxFaults {
			fmt.Fprintf(&text, "; and %d more", len(faults)-i)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprintf(&text, "line %d: %s", f.line, f.text)
	}
	return fault.Invalid("manifest", text.String())
}

// document parses text and refuses every feature of YAML by which two readers could
// see different things. It returns nil where it found a fault.
func (r *reader) document(text []byte) *yaml.Node {
	top := &yaml.Node{Line: 1}
	switch {
	case len(text) > maxManifest:
		r.fail(top, "longer than %d bytes", maxManifest)
		return nil
	case !utf8.Valid(text):
		r.fail(top, "not valid UTF-8")
		return nil
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&doc); err != nil {
		r.syntax(err)
		return nil
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		r.fail(top, "want one YAML document alone")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.fail(top, "empty")
		return nil
	}
	r.plain(doc.Content[0], 0)
	if len(r.faults) > 0 {
		return nil
	}
	return doc.Content[0]
}

// syntax keeps the line that the YAML library names.
func (r *reader) syntax(err error) {
	if errors.Is(err, io.EOF) {
		r.fail(&yaml.Node{Line: 1}, "empty")
		return
	}
	line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scanErr := fmt.Sscanf(text, "line %d:", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	r.fail(&yaml.Node{Line: line}, "not YAML: %s", text)
}

// plain refuses anchors, aliases, merge keys, explicit tags, keys that are no strings
// and keys that stand twice.
func (r *reader) plain(n *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		r.fail(n, "deeper than %d levels", maxDepth)
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fail(n, "anchors and aliases are not taken: write it out")
		return
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, "tags are not taken")
		return
	}
	if n.Kind == yaml.MappingNode {
		lines := map[string]int{}
		for key := range pairs(n) {
			if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
				r.fail(key, "a key must be a string: put it in quotes")
				continue
			}
			if first, twice := lines[key.Value]; twice {
				r.fail(key, "%s stands twice, first on line %d", quote(key.Value), first)
			}
			lines[key.Value] = key.Line
		}
	}
	for _, child := range n.Content {
		r.plain(child, depth+1)
	}
}

// pairs goes through the keys and values of a mapping in their order, and through
// nothing where n is none.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// field is one key that a mapping may have.
type field struct {
	name     string
	required bool
	read     func(*yaml.Node)
}

// fields reads a mapping whose every key has its field. what names the mapping.
func (r *reader) fields(n *yaml.Node, what string, known ...field) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, what, "a mapping")
		return
	}
	given := map[string]*yaml.Node{}
	for key, value := range pairs(n) {
		if !slices.ContainsFunc(known, func(f field) bool { return f.name == key.Value }) {
			r.fail(key, "%s has no field %s", what, quote(key.Value))
		}
		given[key.Value] = value
	}
	for _, f := range known {
		switch value := given[f.name]; {
		case value != nil:
			f.read(value)
		case f.required:
			r.fail(n, "%s: %s is missing", what, f.name)
		}
	}
}

// text reads a string of one byte at least and at most limit bytes.
func (r *reader) text(n *yaml.Node, what string, limit int) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrong(n, what, "a string")
		return ""
	}
	if n.Value == "" || len(n.Value) > limit {
		r.fail(n, "%s: want 1 to %d bytes", what, limit)
		return ""
	}
	return n.Value
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.wrong(n, what, "true or false")
		return false
	}
	return n.Value == "true"
}

// list gives the elements of a list that is not empty.
func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	const want = "a list that is not empty"
	if n.Kind != yaml.SequenceNode {
		r.wrong(n, what, want)
		return nil
	}
	if len(n.Content) == 0 {
		r.fail(n, "%s: want %s", what, want)
	}
	return n.Content
}
