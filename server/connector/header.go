package connector

import (
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
)

const (
	maxHeaderName  = 128
	maxHeaderValue = 1 << 10
	maxHeaders     = 32
)

// headers reads the headers that a manifest fixes for a tool.
func (r *reader) headers(n *yaml.Node, c *Connector) http.Header {
	if n.Kind != yaml.MappingNode || len(n.Content) > 2*maxHeaders {
		r.fail(n, "headers: want a mapping of at most %d", maxHeaders)
		return nil
	}
	places, asserted := slotPlaces(c.Slots), c.Assertion.places()
	header := http.Header{}
	for key, value := range pairs(n) {
		name := r.headerName(key)
		if name == "" {
			continue
		}
		text := r.text(value, "headers", maxHeaderValue)
		switch {
		case name == "Content-Type" && isJSONType(text) && header[name] == nil:
			header[name] = []string{text}
		case slices.Contains(asserted, headerPlace(name)):
			r.fail(key, "the header %s belongs to the assertion", name)
		case name == "Authorization" || plainName(name) == TxnTokenHeader || isReserved(name):
			r.fail(key, "the header %s is not a manifest's to set", name)
		case slices.Contains(places, headerPlace(name)):
			r.fail(key, "the header %s carries the credential", name)
		case header[name] != nil:
			r.fail(key, "the header %s stands twice", name)
		case !isHeaderText(text) || strings.TrimSpace(text) != text:
			r.fail(value, "headers: want printable ASCII without spaces around it")
		default:
			header[name] = []string{text}
		}
	}
	return header
}

// credentialHeader reads the header in which a credential goes.
func (r *reader) credentialHeader(n *yaml.Node) string {
	name := r.headerName(n)
	if isReserved(name) {
		r.fail(n, "the header %s cannot carry a credential", name)
	}
	return name
}

// responseHeaders reads the headers of an answer that may be passed on.
func (r *reader) responseHeaders(n *yaml.Node) []string {
	var names []string
	for _, item := range r.list(n, "response.headers") {
		name := r.headerName(item)
		switch {
		case name == "":
		case isWithheld(name):
			r.fail(item, "the header %s is never passed on", name)
		case slices.Contains(names, name):
			r.fail(item, "the header %s stands twice", name)
		default:
			names = append(names, name)
		}
	}
	return names
}

// headerName reads a field name (RFC 9110 token) and gives its canonical form.
func (r *reader) headerName(n *yaml.Node) string {
	s := r.text(n, "header", maxHeaderName)
	for _, c := range []byte(s) {
		if !isUnreserved(c) && strings.IndexByte("!#$%&'*+^`|", c) < 0 {
			r.fail(n, "the header %s: want a header's name", quote(s))
			return ""
		}
	}
	return http.CanonicalHeaderKey(s)
}

// isJSONType knows the names under which a body of JSON goes: AWS has some of its own.
func isJSONType(s string) bool {
	subtype, ok := strings.CutPrefix(s, "application/")
	if strings.HasSuffix(subtype, "+json") {
		subtype = strings.TrimSuffix(subtype, "+json")
		return ok && subtype != "" && strings.Trim(subtype, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
	}
	return ok && (subtype == "json" || subtype == "x-amz-json-1.0" || subtype == "x-amz-json-1.1")
}

// isHeaderText reports whether s is printable ASCII: no byte of it ends a line.
func isHeaderText(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// plainName is a header's name as a server may take it that hands headers to a program as
// environment variables: X_Api_Key and X-Api-Key are one there.
func plainName(name string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// headerPlace names a header as [Slot.places] does.
func headerPlace(name string) string { return "header " + plainName(name) }

// isReserved knows the headers that frame the message, route it, say who sends it,
// turn it into another one, or would let an answer escape the scrubber. The broker
// sets what it needs of them by itself.
func isReserved(name string) bool {
	switch plainName(name) {
	case "Content-Type", "Content-Encoding", "Set-Cookie":
		return true
	}
	return egress.IsReserved(name)
}

// isWithheld knows the headers of an answer that carry credentials, lead elsewhere or
// describe the framing of a message that the caller does not get as it was.
func isWithheld(name string) bool {
	switch name {
	case "Set-Cookie", "Set-Cookie2", "Www-Authenticate", "Authentication-Info", "Authorization",
		"Location", "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Content-Length", "Content-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Proxy-")
}
