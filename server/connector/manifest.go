package connector

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
)

const (
	maxName        = 63
	maxDescription = 4 << 10
	maxOrigin      = 512
	maxCAs         = 256 << 10
	maxRanges      = 64
	maxSlots       = 16
	maxTools       = 1000
)

// Parse reads a manifest. Unknown fields, keys that stand twice, wrong types and
// whatever else is wrong are told all at once, with their lines, in one
// ARGUMENT_INVALID about the field "manifest". Workspace and Revision stay empty.
// The result is immutable and may be shared.
func Parse(text []byte) (*Connector, error) {
	r := &reader{}
	c := &Connector{}
	if doc := r.document(text); doc != nil {
		r.manifest(doc, c)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (r *reader) manifest(n *yaml.Node, c *Connector) {
	var tools *yaml.Node
	r.fields(n, "manifest",
		field{"connector", true, func(n *yaml.Node) { c.Name = r.name(n, "connector") }},
		field{"kind", true, func(n *yaml.Node) {
			if c.Kind = r.text(n, "kind", maxName); c.Kind != "" && c.Kind != KindHTTP {
				r.fail(n, "kind %s: want http", quote(c.Kind))
			}
		}},
		field{"description", false, func(n *yaml.Node) { c.Description = r.text(n, "description", maxDescription) }},
		field{"origin", true, func(n *yaml.Node) { c.Origin = r.origin(n) }},
		field{"network", false, func(n *yaml.Node) {
			r.fields(n, "network", field{"allow", true, func(n *yaml.Node) { c.Egress.AllowRanges = r.ranges(n) }})
		}},
		field{"tls", false, func(n *yaml.Node) {
			r.fields(n, "tls", field{"ca", true, func(n *yaml.Node) { c.Egress.RootCAs = r.certificates(n) }})
		}},
		field{"credentials", false, func(n *yaml.Node) { c.Slots = r.slots(n) }},
		field{"assertion", false, func(n *yaml.Node) { c.Assertion = r.assertion(n, c.Slots) }},
		field{"tools", true, func(n *yaml.Node) { tools = n }},
	)
	if tools != nil {
		r.tools(tools, c)
	}
}

// name reads a connector's or slot's name: [a-z][a-z0-9-]{0,62}.
func (r *reader) name(n *yaml.Node, what string) string {
	s := r.text(n, what, maxName)
	if s != "" && !isName(s) {
		r.fail(n, "%s %s: want lower-case letters, digits and '-', a letter first", what, quote(s))
		return ""
	}
	return s
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		if letter := c >= 'a' && c <= 'z'; !letter && (i == 0 || !isDigit(c) && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func (r *reader) origin(n *yaml.Node) egress.Origin {
	s := r.text(n, "origin", maxOrigin)
	if s == "" {
		return egress.Origin{}
	}
	origin, err := egress.ParseOrigin(s)
	if err != nil {
		r.fail(n, "%s", err.Error())
		return egress.Origin{}
	}
	// One spelling alone: what the author reads is what is dialled.
	if canonical := origin.String(); canonical != s {
		r.fail(n, "origin: write it as %s", canonical)
	}
	return origin
}

// ranges reads the ranges that this connector alone may dial though they are not
// public. A range that reaches beyond such networks is refused: 0.0.0.0/0 would
// switch the judgement of addresses off.
func (r *reader) ranges(n *yaml.Node) []netip.Prefix {
	list := r.list(n, "network.allow")
	if len(list) > maxRanges {
		r.fail(n, "network.allow: more than %d ranges", maxRanges)
		return nil
	}
	var ranges []netip.Prefix
	for _, item := range list {
		s := r.text(item, "network.allow", maxName)
		if s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil || p.String() != s || p.Masked() != p:
			r.fail(item, "network.allow %s: want a range like 10.1.0.0/16", quote(s))
		case !isPrivate(p):
			r.fail(item, "network.allow %s: want a part of a private, shared, loopback or link-local network", quote(s))
		default:
			ranges = append(ranges, p)
		}
	}
	return ranges
}

// isPrivate reports whether the whole of p lies in one network that is not public.
func isPrivate(p netip.Prefix) bool {
	for _, s := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
		"127.0.0.0/8", "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128",
	} {
		whole := netip.MustParsePrefix(s)
		if p.Bits() >= whole.Bits() && whole.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// certificates reads PEM text that holds certificates and nothing else.
func (r *reader) certificates(n *yaml.Node) []byte {
	text := r.text(n, "tls.ca", maxCAs)
	rest := []byte(text)
	for len(strings.TrimSpace(string(rest))) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			r.fail(n, "tls.ca: want PEM certificates alone")
			return nil
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			r.fail(n, "tls.ca: a certificate cannot be read")
			return nil
		}
	}
	return []byte(text)
}

func (r *reader) slots(n *yaml.Node) map[string]Slot {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxSlots {
		r.fail(n, "credentials: want a mapping of 1 to %d slots", maxSlots)
		return nil
	}
	slots := map[string]Slot{}
	places := map[string]string{}
	for key, value := range pairs(n) {
		slot := r.slot(value, r.name(key, "slot"))
		place := slot.place()
		if other, taken := places[place]; taken && place != "" {
			r.fail(value, "slot %s would be attached where %s is", slot.Name, other)
		}
		places[place] = slot.Name
		slots[slot.Name] = slot
	}
	return slots
}

func (r *reader) slot(n *yaml.Node, name string) Slot {
	s := Slot{Name: name}
	r.fields(n, "slot",
		field{"owner", true, func(n *yaml.Node) {
			s.Owner = Owner(r.text(n, "owner", maxName))
			if s.Owner != "" && s.Owner != UserOwned && s.Owner != WorkspaceOwned {
				r.fail(n, "owner: want user or workspace")
			}
		}},
		field{"attach", true, func(n *yaml.Node) { r.attach(n, &s) }},
	)
	return s
}

// attach reads bearer, basic, {header: NAME, prefix: TEXT} or {query: NAME}.
func (r *reader) attach(n *yaml.Node, s *Slot) {
	if n.Kind != yaml.MappingNode {
		s.Kind = n.Value
		if n.Kind != yaml.ScalarNode || n.Value != "bearer" && n.Value != "basic" {
			r.fail(n, "attach: want bearer, basic, {header: NAME} or {query: NAME}")
		}
		return
	}
	var prefix *yaml.Node
	r.fields(n, "attach",
		field{"header", false, func(n *yaml.Node) { s.Kind, s.Param = "header", r.credentialHeader(n) }},
		field{"prefix", false, func(n *yaml.Node) {
			prefix = n
			if s.Prefix = r.text(n, "prefix", maxName); !isHeaderText(s.Prefix) {
				r.fail(n, "prefix: want printable ASCII")
			}
		}},
		field{"query", false, func(n *yaml.Node) {
			if s.Kind == "header" {
				r.fail(n, "attach: header and query exclude each other")
			}
			s.Kind, s.Param = "query", r.queryName(n, "query")
		}},
	)
	switch {
	case s.Kind == "":
		r.fail(n, "attach: want header or query")
	case prefix != nil && s.Kind != "header":
		r.fail(prefix, "prefix: only beside header")
	}
}

// place names where a slot's secret goes; two slots may not share one.
func (s Slot) place() string {
	switch s.Kind {
	case "bearer", "basic":
		return "header Authorization"
	case "header":
		return "header " + http.CanonicalHeaderKey(s.Param)
	case "query":
		return "query " + strings.ToLower(s.Param)
	}
	return ""
}

// slotPlaces gives the headers and query parameters that the slots use, as place
// names them.
func slotPlaces(slots map[string]Slot) []string {
	var places []string
	for _, s := range slots {
		places = append(places, s.place())
	}
	slices.Sort(places)
	return places
}
