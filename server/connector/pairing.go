package connector

import (
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxQueryName = 128

// queryParam puts an argument into the query, or into the form that is the body.
type queryParam struct {
	name string // escaped
	slot int
	// comma: a list is one parameter whose elements a comma separates; otherwise it
	// repeats the parameter.
	comma bool
}

// pairings reads a mapping of parameters to arguments: those of what, "query" or
// "form". taken are the places that are none of theirs.
func (r *reader) pairings(n *yaml.Node, d *draft, what string, taken []string) []queryParam {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, what, "a mapping of parameter to argument")
		return nil
	}
	var list []queryParam
	for key, value := range pairs(n) {
		name := r.queryName(key, what)
		place := what + " " + strings.ToLower(name)
		if slices.Contains(taken, place) {
			r.fail(key, "%s %s: the name is taken, by another or by the credential", what, quote(name))
		}
		taken = append(taken, place)
		argument, comma := r.pairing(value, what)
		if name == "" || argument == "" {
			continue
		}
		slot := r.place(value, d, argument)
		if comma && slot < len(d.schema.forms) && !d.schema.forms[slot].list {
			r.fail(value, "%s %s: list: comma is for an array", what, quote(name))
		}
		list = append(list, queryParam{string(appendEscaped(nil, name)), slot, comma})
	}
	return list
}

// pairing reads ARGUMENT, or {argument: ARGUMENT, list: repeat|comma}.
func (r *reader) pairing(n *yaml.Node, what string) (argument string, comma bool) {
	if n.Kind != yaml.MappingNode {
		return r.text(n, what, maxArgumentName), false
	}
	r.fields(n, what,
		// The argument, where more than its name is to be said.
		field{"argument", true, func(n *yaml.Node) { argument = r.text(n, what, maxArgumentName) }},
		// How an array stands there: `repeat` gives each element a parameter of its own, as the short
		// form does; `comma` puts them all into one.
		field{"list", true, func(n *yaml.Node) {
			switch s := r.text(n, "list", maxName); s {
			case "repeat", "comma":
				comma = s == "comma"
			default:
				r.fail(n, "list %s: want repeat or comma", quote(s))
			}
		}},
	)
	return argument, comma
}

// form reads the parameters of a body of application/x-www-form-urlencoded.
func (r *reader) form(d *draft) {
	switch {
	case d.tool.method == http.MethodGet || d.tool.method == http.MethodHead:
		r.fail(d.form, "tool %s: %s has no body", d.tool.Name, d.tool.method)
	case d.body != nil:
		r.fail(d.form, "tool %s: form and body exclude each other", d.tool.Name)
	case d.model:
		r.fail(d.form, "tool %s: the body of a model connector's tool is JSON", d.tool.Name)
	case d.tool.header["Content-Type"] != nil:
		r.fail(d.form, "tool %s: a form has its own Content-Type", d.tool.Name)
	default:
		d.tool.form = r.pairings(d.form, d, "form", nil)
		if d.tool.form == nil {
			r.fail(d.form, "tool %s: want at least one parameter in the form", d.tool.Name)
		}
	}
}

// queryName reads a parameter's name: visible ASCII without what separates parameters.
func (r *reader) queryName(n *yaml.Node, what string) string {
	s := r.text(n, what, maxQueryName)
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`&=;#%+"<>\`, c) >= 0 {
			r.fail(n, "%s %s: want a parameter's name", what, quote(s))
			return ""
		}
	}
	return s
}
