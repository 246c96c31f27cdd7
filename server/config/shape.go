package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/yamlnode"
)

// moved are fields that stand elsewhere than they did.
var moved = map[string]string{
	"limits.calls_per_second": "limits.task.calls_per_second", "limits.call_burst": "limits.task.call_burst",
	"limits.concurrent": "limits.task.concurrent",
}

// shape holds a document against a type of Go, and says in the configuration's own words
// what the YAML library would say in those of Go.
type shape struct {
	faults []string
	inside map[*yaml.Node]bool // aliases that are followed: one may hold itself
	seen   int
}

// maxSeen bounds how many values are looked at, for aliases can make very many of few. The
// library refuses such a document.
const maxSeen = 100_000

// shapeOf gives every value in a document that is not of its field's type, and every key
// that is no field.
func shapeOf(doc *yaml.Node, of reflect.Type) []string {
	s := &shape{inside: map[*yaml.Node]bool{}}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		s.value(doc.Content[0], of, "")
	}
	return s.faults
}

func (s *shape) fail(n *yaml.Node, path, format string, args ...any) {
	if path != "" {
		path += ": "
	}
	s.faults = append(s.faults, fmt.Sprintf("line %d: %s", n.Line, path)+fmt.Sprintf(format, args...))
}

// value holds n against the type of the field at path.
func (s *shape) value(n *yaml.Node, of reflect.Type, path string) {
	s.seen++
	switch {
	case s.seen > maxSeen:
	case n.Kind == yaml.AliasNode:
		if !s.inside[n] { // else Decode refuses it
			s.inside[n] = true
			s.value(n.Alias, of, path)
			delete(s.inside, n)
		}
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null": // as if it were not there
	case of.Kind() == reflect.Pointer:
		s.value(n, of.Elem(), path)
	case reflect.PointerTo(of).Implements(reflect.TypeFor[yaml.Unmarshaler]()):
		s.own(n, of, path)
	case of.Kind() == reflect.Struct:
		s.fields(n, of, path)
	case of.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			s.value(item, of.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case of.Kind() == reflect.Int || of.Kind() == reflect.Int64:
		// The library would make 0 of 0.5, and 0 often means that the default counts.
		if n.ShortTag() == "!!float" || n.Decode(reflect.New(of).Interface()) != nil {
			s.fail(n, path, "want %s, not %s", wanted(of), yamlnode.Describe(n))
		}
	case n.Decode(reflect.New(of).Interface()) != nil:
		s.fail(n, path, "want %s, not %s", wanted(of), yamlnode.Describe(n))
	}
}

var lineOf = regexp.MustCompile(`^line \d+: `)

// own has a type of ours read itself, which has words of its own for what it does not take.
func (s *shape) own(n *yaml.Node, of reflect.Type, path string) {
	if n.Kind != yaml.ScalarNode {
		s.fail(n, path, "want one value, not %s", yamlnode.Describe(n))
		return
	}
	var typed *yaml.TypeError
	err := n.Decode(reflect.New(of).Interface())
	if errors.As(err, &typed) {
		for _, text := range typed.Errors {
			s.fail(n, path, "%s", lineOf.ReplaceAllString(text, ""))
		}
	}
}

// fields holds the keys of a mapping against the fields of a struct.
func (s *shape) fields(n *yaml.Node, of reflect.Type, path string) {
	if n.Kind != yaml.MappingNode {
		s.fail(n, path, "want fields and their values, not %s", yamlnode.Describe(n))
		return
	}
	known := fieldsOf(of)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		switch to, ok := known[key.Value]; {
		case key.ShortTag() == "!!merge":
			s.merged(value, of, path)
		case ok:
			s.value(value, to, at)
		case moved[at] != "":
			s.fail(key, path, "unknown field %q; it is %s now", key.Value, moved[at])
		default:
			s.fail(key, path, "unknown field %q", key.Value)
		}
	}
}

// merged holds what << merges into a mapping, one or a list, against the mapping's type.
func (s *shape) merged(n *yaml.Node, of reflect.Type, path string) {
	if n.Kind != yaml.SequenceNode {
		s.value(n, of, path)
		return
	}
	for _, item := range n.Content {
		s.value(item, of, path)
	}
}

// fieldsOf gives the fields of a struct by their names in YAML.
func fieldsOf(of reflect.Type) map[string]reflect.Type {
	known := map[string]reflect.Type{}
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options != "inline" {
			known[name] = f.Type
			continue
		}
		for name, of := range fieldsOf(f.Type) {
			known[name] = of
		}
	}
	return known
}

// wanted says what a field of a type takes.
func wanted(of reflect.Type) string {
	switch of.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "text"
}
