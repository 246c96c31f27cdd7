package openapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// operation is one of the document's, with what its path item says for all.
type operation struct {
	*node
	at           string // a JSON pointer
	method, path string
	id           string // operationId, may be empty
	tags         []string
	item         *node // the path item
	itemAt       string
	broken       string // why it cannot be read
}

// what names the operation, or a part of it, for people.
func (o *operation) what(part ...string) string {
	return strings.Join(append([]string{o.method + " " + o.path}, part...), ": ")
}

const (
	// maxOperations bounds those that are looked at: many paths can share what they refer to,
	// so that a document can have more of them than it is long.
	maxOperations = 50_000
	// maxTags and maxParameters bound those of one operation.
	maxTags       = 100
	maxParameters = 1000
)

// operations lists the document's operations in its order. What no manifest can call
// is told.
func (im *importer) operations() []*operation {
	var all []*operation
	for path, entry := range im.root.get("paths").pairs() {
		at := pointer("/paths", path)
		if len(all) > maxOperations {
			im.tell(NotMapped, at, "all paths from here on", fmt.Sprintf("the document has more than %d operations: keep to a part of it", maxOperations))
			break
		}
		if strings.HasPrefix(path, "x-") {
			continue
		}
		item, itemAt, err := im.referred(entry, at)
		if err != nil {
			im.tell(NotMapped, at, path, err.Error())
			continue
		}
		for key, n := range item.pairs() {
			method := strings.ToUpper(key)
			switch method {
			case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
				all = append(all, newOperation(n, pointer(itemAt, key), method, path, item, itemAt))
			case http.MethodOptions, http.MethodTrace, "QUERY":
				im.tell(NotMapped, pointer(itemAt, key), method+" "+path, "a tool's method is GET, HEAD, POST, PUT, PATCH or DELETE")
			case "ADDITIONALOPERATIONS":
				im.tell(NotMapped, pointer(itemAt, key), path, "methods of its own: a tool's method is GET, HEAD, POST, PUT, PATCH or DELETE")
			}
		}
	}
	return all
}

func newOperation(n *node, at, method, path string, item *node, itemAt string) *operation {
	o := &operation{node: n, at: at, method: method, path: path, item: item, itemAt: itemAt, id: n.str("operationId")}
	tags := n.get("tags").elements()
	for _, tag := range tags[:min(len(tags), maxTags)] {
		if tag.kind == text {
			o.tags = append(o.tags, tag.text)
		}
	}
	if !n.isObject() {
		o.broken = "is no object"
	}
	return o
}

// others tells what stands beside the operations and cannot be called.
func (im *importer) others() {
	for name, n := range im.root.get("webhooks").pairs() {
		if n.isObject() {
			im.tell(NotMapped, pointer("/webhooks", name), "webhook "+name, "the upstream calls it; a connector's tools are what it is called with")
		}
	}
}

// callbacks tells those of an operation.
func (im *importer) callbacks(o *operation) {
	for name := range o.get("callbacks").pairs() {
		im.tell(NotMapped, pointer(o.at, "callbacks", name), o.what("callback "+name), "the upstream calls it; a connector's tools are what it is called with")
	}
}

// parameter is one of an operation, its references followed.
type parameter struct {
	*node
	at       string
	name, in string
	required bool
	schema   *node
	schemaAt string
}

// parameters gives those of an operation over those of its path (of one name and place
// the operation's counts). What cannot be read is told; the first such that could be
// needed gives a reason not to map the operation.
func (im *importer) parameters(o *operation) (all []parameter, broken string) {
	for _, from := range []struct {
		n  *node
		at string
	}{{o.item, o.itemAt}, {o.node, o.at}} {
		entries := from.n.get("parameters").elements()
		if len(entries) > maxParameters {
			return nil, fmt.Sprintf("has more than %d parameters", maxParameters)
		}
		for i, entry := range entries {
			n, at, err := im.referred(entry, pointer(from.at, "parameters", itoa(i)))
			if err != nil {
				return nil, "a parameter cannot be read: " + err.Error()
			}
			p := parameter{node: n, at: at, name: n.str("name"), in: n.str("in"), required: n.isTrue("required")}
			if p.name == "" && p.in != "body" || !n.isObject() {
				return nil, "a parameter has no name"
			}
			p.schema, p.schemaAt = n.get("schema"), pointer(at, "schema")
			if im.version == v20 && p.in != "body" {
				p.schema, p.schemaAt = n, at // its keywords stand in the parameter itself
			}
			same := slices.IndexFunc(all, func(q parameter) bool { return q.name == p.name && q.in == p.in })
			if same >= 0 {
				all[same] = p
				continue
			}
			all = append(all, p)
		}
	}
	return all, ""
}
