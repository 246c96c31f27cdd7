package openapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/connector"
)

// maxSchema is how long the schema of a tool's arguments may be, in bytes of JSON.
const maxSchema = 64 << 10

// tools makes one of each operation that the manifest can have, the most exact paths
// first; all others are told.
func (im *importer) tools(ctx context.Context, chosen []*operation) ([]*tool, error) {
	var made []*tool
	names := im.uniqueNames(chosen)
	for _, o := range chosen {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, reason := im.tool(o, names[o])
		if reason != "" {
			im.tell(NotMapped, o.at, o.what(), reason)
			continue
		}
		im.callbacks(o)
		for _, n := range t.notes {
			im.tell(n.Kind, n.Where, n.What, n.Why)
		}
		made = append(made, t)
	}
	slices.SortStableFunc(made, func(a, b *tool) int { return comparePaths(a.path, b.path) })
	return im.withoutTwins(made), nil
}

// tool makes one, with as much of its schemas as the manifest's reader takes.
func (im *importer) tool(o *operation, name string) (*tool, string) {
	if o.broken != "" {
		return nil, o.broken
	}
	base, reason := im.baseOf(o)
	if reason != "" {
		return nil, reason
	}
	parameters, reason := im.parameters(o)
	if reason != "" {
		return nil, reason
	}
	for _, d := range []detail{whole, bare, shallow} {
		t := &tool{operation: o, name: name, path: base, headers: &node{kind: object}}
		t.severity, t.review = severity(o)
		var err error
		if reason, err = im.fill(t, parameters, d); reason != "" {
			return nil, reason
		}
		if err == nil {
			err = im.try(t)
		}
		if err == nil {
			return t, ""
		}
		reason = "cannot be written: " + err.Error()
	}
	return nil, reason
}

// fill places all that a call consists of.
func (im *importer) fill(t *tool, parameters []parameter, d detail) (reason string, err error) {
	c := &converter{document: im.document, detail: d}
	c.forget()
	b, reason := im.bodyOf(t.operation, parameters)
	if reason != "" {
		return reason, nil
	}
	if reason, err = im.body(t, c, b); reason != "" || err != nil && !errors.Is(err, errTooLarge) {
		return reason, err
	}
	// The members of body or form keep their names; all others make room.
	taken := map[string]bool{}
	for _, a := range slices.Concat(t.form, t.body) {
		taken[strings.ToLower(a.name)] = true
	}
	if err == nil {
		if reason, err = im.place(t, c, parameters, taken); reason != "" {
			return reason, nil
		}
	}
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return "", err
	}
	t.assemble(c)
	if t.schema.size() > maxSchema {
		return "", errTooLarge
	}
	for _, n := range c.notes {
		if !strings.HasPrefix(n.Where, "/paths/") {
			t.notes = append(t.notes, n) // a part that many operations share is told once
			continue
		}
		t.tell(n.Kind, n.Where, n.What, n.Why)
	}
	return "", nil
}

// assemble makes the one schema of all arguments.
func (t *tool) assemble(c *converter) {
	properties, required := &node{kind: object}, listOf()
	for _, a := range slices.Concat(t.inPath, t.query, t.form, t.body) {
		s := a.schema
		if c.detail == shallow {
			s = c.typeAlone(s)
		}
		properties.set(a.name, s)
		if a.required {
			required.items = append(required.items, textNode(a.name))
		}
	}
	if len(properties.keys) == 0 {
		return
	}
	s := (&node{kind: object}).set("type", textNode("object"))
	if len(required.items) > 0 {
		s.set("required", required)
	}
	s.set("properties", properties)
	if c.detail == shallow {
		t.tell(Changed, t.at, "arguments", "their schemas are too large for a manifest, or none that JSON Schema takes: each is held to its type alone")
		t.schema = s
		return
	}
	for key, value := range t.rest.pairs() {
		s.set(key, value)
	}
	if len(c.defs.keys) > 0 {
		s.set("$defs", c.defs)
	}
	t.schema = s
}

// typeAlone keeps of a schema what it says of its type.
func (c *converter) typeAlone(s *node) *node {
	out := &node{kind: object}
	for range maxHops {
		ref := s.str("$ref")
		if ref == "" {
			break
		}
		s = c.defs.get(strings.TrimPrefix(ref, "#/$defs/"))
	}
	for _, key := range []string{"type", "enum", "description"} {
		if v := s.get(key); v != nil && (key != "enum" || v.size() < 1<<10) {
			out.set(key, v)
		}
	}
	if words := out.str("description"); len(words) > 80 {
		out.set("description", textNode(clean(words, 80)))
	}
	return out
}

// try has the manifest's reader judge a manifest of this tool alone.
func (im *importer) try(t *tool) error {
	text, err := im.write([]*tool{t}, "")
	if err != nil {
		return err
	}
	if _, err := connector.Parse(text); err != nil {
		return errors.New(reason(err))
	}
	return nil
}

// withoutTwins drops tools whose every request is one of an earlier tool: the manifest
// has each request once.
func (im *importer) withoutTwins(sorted []*tool) []*tool {
	var kept []*tool
	shapes := map[string]*tool{}
	for _, t := range sorted {
		shape := t.method + " " + shapeOf(t.path)
		if first := shapes[shape]; first != nil {
			im.tell(NotMapped, t.at, t.what(), "its requests are those of "+first.path+", which is the tool "+first.name)
			continue
		}
		shapes[shape] = t
		kept = append(kept, t)
	}
	return kept
}

// shapeOf is a path with all arguments alike.
func shapeOf(path string) string {
	var out strings.Builder
	within := false
	for _, c := range path {
		if c == '{' {
			within = true
			out.WriteByte('{')
		}
		if !within {
			out.WriteRune(c)
		}
		if c == '}' {
			within = false
		}
	}
	return out.String()
}

// comparePaths puts a path before every other that covers it: segment by segment, fixed
// text comes before an argument, and an argument within more text before one with less.
func comparePaths(a, b string) int {
	left, right := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(left), len(right)) {
		if c := compareSegments(left[i], right[i]); c != 0 {
			return c
		}
	}
	return len(left) - len(right)
}

func compareSegments(a, b string) int {
	beforeA, afterA, isA := aroundArgument(a)
	beforeB, afterB, isB := aroundArgument(b)
	switch {
	case isA != isB && isA:
		return 1
	case isA != isB:
		return -1
	case !isA:
		return strings.Compare(a, b)
	}
	// Longer text first: what it leaves open is less.
	if len(beforeA) != len(beforeB) {
		return len(beforeB) - len(beforeA)
	}
	if c := strings.Compare(beforeA, beforeB); c != 0 {
		return c
	}
	if len(afterA) != len(afterB) {
		return len(afterB) - len(afterA)
	}
	return strings.Compare(afterA, afterB)
}

func aroundArgument(segment string) (before, after string, is bool) {
	before, rest, is := strings.Cut(segment, "{")
	if !is {
		return segment, "", false
	}
	_, after, _ = strings.Cut(rest, "}")
	return before, after, true
}

// idempotent reports whether the method promises it (RFC 9110, 9.2.2) where the
// manifest would not assume it. A GET that does harm has broken its promise already.
func (t *tool) idempotent() bool {
	return t.method == http.MethodPut || t.method == http.MethodDelete
}
