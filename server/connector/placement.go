package connector

import (
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/grant"
)

const maxTemplates = 32

// resourceTemplate makes resources from arguments.
type resourceTemplate struct {
	fixed  grant.Resource // where there is no placeholder
	pieces []resourcePiece
}

// resourcePiece is a literal, or an argument where arg is not empty.
type resourcePiece struct {
	piece
	slot int
	// narrow: more text follows, so the value must not hold what separates it.
	narrow bool
	// also is what the tool's path takes beside the unreserved characters.
	also string
}

// placement decides where each argument goes. An argument goes to one place, and to
// one at least: what only a resource names would be judged but never sent.
func (r *reader) placement(d *draft) {
	if d.path != nil {
		r.path(d)
	}
	if d.query != nil {
		d.tool.query = r.pairings(d.query, d, "query", slotPlaces(d.slots))
	}
	if d.form != nil {
		r.form(d)
	}
	if d.body != nil {
		r.body(d)
	}
	for _, name := range d.schema.names {
		if !d.placed[name] {
			r.fail(d.at, "tool %s: the argument %s goes nowhere: not into path, query, form or body", d.tool.Name, quote(name))
		}
	}
	if d.resources != nil {
		r.resources(d)
	}
	d.tool.arguments = d.schema
}

// place takes an argument for one place and gives its slot.
func (r *reader) place(n *yaml.Node, d *draft, name string) int {
	slot, ok := d.schema.slots[name]
	switch {
	case !ok:
		r.fail(n, "tool %s: %s is no argument", d.tool.Name, quote(name))
	case d.placed[name]:
		r.fail(n, "tool %s: the argument %s is placed twice", d.tool.Name, quote(name))
	}
	d.placed[name] = true
	return slot
}

// needRequired refuses an argument that a call could leave out.
func (r *reader) needRequired(n *yaml.Node, d *draft, name string) {
	if slot, ok := d.schema.slots[name]; ok && !d.schema.required[slot] {
		r.fail(n, "tool %s: the argument %s must be required", d.tool.Name, quote(name))
	}
}

func (r *reader) path(d *draft) {
	text := r.text(d.path, "path", maxPathTemplate)
	if text == "" {
		return
	}
	segments, err := parsePath(text)
	if err != nil {
		r.fail(d.path, "path: %s", err.Error())
		return
	}
	for i, s := range segments {
		if d.model && s.arg != "" && s.arg != "model" {
			// An id in the path is what one user made and another could read; see foreign.
			r.fail(d.path, "path: of a model connector's arguments only {model} may stand there")
		}
		if s.arg != "" {
			segments[i].also = d.tool.also
			segments[i].slot = r.place(d.path, d, s.arg)
			r.needRequired(d.path, d, s.arg)
		}
	}
	d.tool.path = segments
}

// pathCharacters reads what a path's arguments may hold beside the unreserved
// characters: "@", ":" or both. No reader of a URL's path takes them for the same as
// another character; see RFC 3986, section 3.3. What they mean is the upstream's: where it
// has verbs behind a colon, a tool for each of them keeps them from all others (overlaps).
func (r *reader) pathCharacters(n *yaml.Node) string {
	switch s := r.text(n, "path_characters", maxName); s {
	case "@", ":", "@:", ":@":
		return s
	}
	r.fail(n, "path_characters: want \"@\", \":\" or \"@:\"")
	return ""
}

// body reads a list of arguments, or "all": every one that goes nowhere else.
func (r *reader) body(d *draft) {
	if d.tool.method == http.MethodGet || d.tool.method == http.MethodHead {
		r.fail(d.body, "tool %s: %s has no body", d.tool.Name, d.tool.method)
		return
	}
	d.tool.body = make([]bodyMember, len(d.schema.names))
	if d.body.Kind == yaml.ScalarNode && d.body.Value == "all" {
		for slot, name := range d.schema.names {
			if !d.placed[name] {
				d.placed[name] = true
				d.tool.body[slot] = newBodyMember(name)
			}
		}
		return
	}
	for _, item := range r.list(d.body, "body") {
		name := r.text(item, "body", maxArgumentName)
		if name == "" {
			continue
		}
		if slot := r.place(item, d, name); slot < len(d.tool.body) {
			d.tool.body[slot] = newBodyMember(name)
		}
	}
}

// bodyMember is the key of an argument in the body, `"name":`; empty for an argument
// that does not go there.
type bodyMember string

func newBodyMember(name string) bodyMember {
	return bodyMember(append(appendQuoted(nil, name), ':'))
}

func (r *reader) resources(d *draft) {
	list := r.list(d.resources, "resources")
	if len(list) > maxTemplates {
		r.fail(d.resources, "resources: more than %d", maxTemplates)
		return
	}
	for _, item := range list {
		text := r.text(item, "resources", maxPathTemplate)
		if text == "" {
			continue
		}
		pieces, err := splitTemplate(text)
		if err != nil {
			r.fail(item, "resource %s: %s", quote(text), err.Error())
			continue
		}
		d.tool.resources = append(d.tool.resources, r.resource(item, d, pieces))
		d.tool.Resources = append(d.tool.Resources, text)
	}
}

// resource judges one template. It is tried with "x" for every argument. Two
// arguments must be kept apart by a character that the first of them cannot hold, so
// that no two calls on different things come to the same resource.
func (r *reader) resource(n *yaml.Node, d *draft, pieces []piece) resourceTemplate {
	var t resourceTemplate
	var example strings.Builder
	arguments := 0
	for i, p := range pieces {
		last := i == len(pieces)-1
		if p.arg == "" {
			example.WriteString(p.literal)
			t.pieces = append(t.pieces, resourcePiece{piece: p})
			continue
		}
		slot, ok := d.schema.slots[p.arg]
		if !ok {
			r.fail(n, "resource: %s is no argument", quote(p.arg))
		}
		also := d.also(slot)
		if !last && (pieces[i+1].arg != "" || isPathText(pieces[i+1].literal[:1], also)) {
			r.fail(n, "resource: after the argument %s want a separator like / or :, which it cannot hold itself", quote(p.arg))
		}
		r.needRequired(n, d, p.arg)
		example.WriteByte('x')
		arguments++
		t.pieces = append(t.pieces, resourcePiece{piece: p, slot: slot, narrow: !last, also: also})
	}
	fixed, err := grant.ParseResource(example.String())
	switch {
	case err != nil:
		r.fail(n, "%s", err.Error())
	case arguments == 0:
		t.fixed = fixed
	case strings.Contains(example.String(), "*"):
		r.fail(n, "resource: * stands alone, for the whole type")
	case !strings.Contains(pieces[0].literal, ":"):
		r.fail(n, "resource: the type is fixed, want type:{argument}")
	}
	return t
}
