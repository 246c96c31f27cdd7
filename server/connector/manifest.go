package connector

import (
	"crypto/x509"
	"encoding/pem"
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
		// The name: lower-case letters, digits and `-`, a letter first, at most 63.
		field{"connector", true, func(n *yaml.Node) { c.Name = r.name(n, "connector") }},
		// `http`, or `model` for the APIs of models. Both are called by the tools' names, and by any
		// client of the API.
		field{"kind", true, func(n *yaml.Node) { c.Kind = r.kind(n) }},
		// What it is, for people and models.
		field{"description", false, func(n *yaml.Node) { c.Description = r.text(n, "description", maxDescription) }},
		// `https://HOST` or `https://HOST:PORT`: one exact host name, in lower case, international names
		// as `xn--…`; no IP address, and not the name of a metadata service. Everything that the
		// connector sends goes there.
		field{"origin", true, func(n *yaml.Node) { c.Origin = r.origin(n) }},
		field{"network", false, func(n *yaml.Node) {
			// Ranges that may be dialled though they are not public, for instance `10.1.0.0/16`, each within
			// one private, shared or loopback network, or `64:ff9b::/96` where the network reaches IPv4
			// through NAT64 (the IPv4 address that it carries is judged too). Without it only public
			// addresses are. Link-local addresses and metadata services stay out of reach even then.
			r.fields(n, "network", field{"allow", true, func(n *yaml.Node) { c.Egress.AllowRanges = r.ranges(n) }})
		}},
		// How the upstream is known, and as whom the broker comes; see TLS.
		field{"tls", false, func(n *yaml.Node) { r.tls(n, c) }},
		// What is attached: a mapping of slots, 1 to 16. Without it calls go out with none.
		field{"credentials", false, func(n *yaml.Node) { c.Slots = r.slots(n) }},
		// Says of the user, signed, what an internal API needs to know.
		field{"assertion", false, func(n *yaml.Node) { c.Assertion = r.assertion(n, c.Slots) }},
		// What is known of a model API; with `kind: model`, and needed there.
		field{"model", false, func(n *yaml.Node) { c.Model = r.model(n) }},
		// The operations, at most 1000.
		field{"tools", true, func(n *yaml.Node) { tools = n }},
	)
	if (c.Kind == KindModel) != (c.Model != nil) && c.Kind != "" {
		r.fail(n, "kind model and the section model go together")
	}
	if c.ShowsSVID && slices.Contains(slotPlaces(c.Slots), clientCertificate) {
		r.fail(n, "tls.client and a certificate among the credentials exclude each other: a connection shows one")
	}
	if tools != nil {
		r.tools(tools, c)
		r.policed(tools, c)
		r.unminted(tools, c)
	}
}

func (r *reader) kind(n *yaml.Node) string {
	s := r.text(n, "kind", maxName)
	if s != "" && s != KindHTTP && s != KindModel {
		r.fail(n, "kind %s: want http or model", quote(s))
		return ""
	}
	return s
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
// public.
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
		if err != nil || p.String() != s || p.Masked() != p {
			r.fail(item, "network.allow %s: want a range like 10.1.0.0/16", quote(s))
			continue
		}
		if err := egress.CheckRange(p); err != nil {
			r.fail(item, "network.allow %s: %s", quote(s), err.Error())
			continue
		}
		ranges = append(ranges, p)
	}
	return ranges
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
		for _, place := range slot.places() {
			if other, taken := places[place]; taken {
				r.fail(value, "slot %s would be attached where %s is", slot.Name, other)
			}
			places[place] = slot.Name
		}
		slots[slot.Name] = slot
	}
	r.secretSlots(n, slots)
	r.keys(n, slots)
	return slots
}

func (r *reader) slot(n *yaml.Node, name string) Slot {
	s := Slot{Name: name}
	var oauth, app *yaml.Node
	r.fields(n, "slot",
		// `user`: each user's own, chosen by the task's user. `workspace`: one for all. There is no
		// fallback from one to the other.
		field{"owner", true, func(n *yaml.Node) {
			s.Owner = Owner(r.text(n, "owner", maxName))
			if s.Owner != "" && s.Owner != UserOwned && s.Owner != WorkspaceOwned {
				r.fail(n, "owner: want user or workspace")
			}
		}},
		// How it goes into the request: `bearer`, `basic`, `certificate`, `token-endpoint`, or one of the
		// mappings below.
		field{"attach", true, func(n *yaml.Node) { r.attach(n, &s) }},
		// What is stored only buys an access token, which is attached.
		field{"oauth", false, func(n *yaml.Node) { oauth, s.OAuth = n, r.oauth(n) }},
		// What is stored is a GitHub App's private key.
		field{"github_app", false, func(n *yaml.Node) { app, s.GitHubApp = n, r.githubApp(n) }},
	)
	if oauth != nil && !slices.Contains([]string{"bearer", "header", "query", ""}, s.Kind) {
		r.fail(oauth, "oauth: an access token is attached as bearer, {header: NAME} or {query: NAME}")
	}
	if oauth != nil && s.OAuth.Exchange != nil && s.OAuth.ownSecret() && s.Owner == UserOwned {
		r.fail(oauth, "exchange: the slot holds the client's secret, so it is the workspace's; the user is the task's all the same")
	}
	if app != nil && (s.Owner == UserOwned || oauth != nil || s.Kind != "bearer" && s.Kind != "") {
		r.fail(app, "github_app: the slot is {owner: workspace, attach: bearer} and has no oauth")
	}
	return s
}

// attach reads bearer, basic, certificate, token-endpoint, {header: NAME, prefix: TEXT},
// {query: NAME} or {aws: {…}}.
func (r *reader) attach(n *yaml.Node, s *Slot) {
	if n.Kind != yaml.MappingNode {
		s.Kind = n.Value
		if words := []string{"bearer", "basic", CertificateSlot, TokenEndpoint}; n.Kind != yaml.ScalarNode || !slices.Contains(words, n.Value) {
			r.fail(n, "attach: want bearer, basic, certificate, token-endpoint, {header: NAME}, {query: NAME} or {aws: …}")
		}
		return
	}
	var prefix *yaml.Node
	r.fields(n, "attach",
		// The header in which the secret goes.
		field{"header", false, func(n *yaml.Node) { s.Kind, s.Param = "header", r.credentialHeader(n) }},
		// What stands before the secret in the header, for instance `Token ` with its space.
		field{"prefix", false, func(n *yaml.Node) {
			prefix = n
			if s.Prefix = r.text(n, "prefix", maxName); !isHeaderText(s.Prefix) {
				r.fail(n, "prefix: want printable ASCII")
			}
		}},
		// The query parameter in which the secret goes.
		field{"query", false, func(n *yaml.Node) {
			if s.Kind == "header" {
				r.fail(n, "attach: header and query exclude each other")
			}
			s.Kind, s.Param = "query", r.queryName(n, "query")
		}},
		// Each request is signed (AWS Signature V4).
		field{"aws", false, func(n *yaml.Node) {
			if s.Kind != "" {
				r.fail(n, "attach: aws stands alone")
			}
			s.Kind, s.Param, s.AWS = AWSKey, "", r.aws(n)
		}},
	)
	switch {
	case s.Kind == "":
		r.fail(n, "attach: want header, query or aws")
	case prefix != nil && s.Kind != "header":
		r.fail(prefix, "prefix: only beside header")
	}
}

// places names where a slot's secret goes; two slots may not share one.
func (s Slot) places() []string {
	switch s.Kind {
	case "bearer", "basic":
		return []string{"header Authorization"}
	case "header":
		return []string{headerPlace(s.Param)}
	case "query":
		return []string{"query " + strings.ToLower(s.Param)}
	case CertificateSlot:
		return []string{clientCertificate}
	case AWSKey:
		return signatureHeaders()
	}
	return nil
}

// clientCertificate is the place of a certificate: a connection shows one.
const clientCertificate = "client certificate"

// slotPlaces gives the headers, query parameters and other places that the slots use, as places
// names them.
func slotPlaces(slots map[string]Slot) []string {
	var places []string
	for _, s := range slots {
		places = append(places, s.places()...)
	}
	slices.Sort(places)
	return places
}
