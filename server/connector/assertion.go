package connector

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// AssertionProfile is one of the two forms of an assertion; they are never mixed.
type AssertionProfile string

// The profiles.
const (
	// RequestBound is made for one upstream and one request: it names the audience, and
	// binds method, target, query and body.
	RequestBound AssertionProfile = "default"
	// TxnToken is the strict Transaction Token (draft-ietf-oauth-transaction-tokens-10):
	// made for the trust domain, so that an upstream can hand it on unchanged.
	TxnToken AssertionProfile = "txn-token"
)

// The headers in which an assertion goes, unless the manifest names another. A
// Transaction Token has no other.
const (
	AssertionHeader = "X-Onedoor-Jwt-Assertion"
	TxnTokenHeader  = "Txn-Token"
)

// ContentDigest is the header (RFC 9530) that goes beside a request-bound assertion.
const ContentDigest = "Content-Digest"

const maxAudience = 512

// Assertion says what signed statement about the user goes with each call.
type Assertion struct {
	Profile AssertionProfile
	// Audience is the upstream's identifier, the one string of aud. Empty for TxnToken,
	// whose audience is the broker's trust domain.
	Audience string
	// Header carries it; a canonical name.
	Header string
}

// assertion reads {audience: ID, profile: default|txn-token, header: NAME}.
func (r *reader) assertion(n *yaml.Node, slots map[string]Slot) *Assertion {
	a := &Assertion{Profile: RequestBound}
	var audience, header *yaml.Node
	r.fields(n, "assertion",
		// `default`: for this upstream and this one request; method, target, query and body are bound.
		// `txn-token`: a strict Transaction Token (draft-ietf-oauth-transaction-tokens), for the whole
		// trust domain, so that the upstream can hand it on; it takes no `audience` and goes in
		// `Txn-Token`. Default `default`.
		field{"profile", false, func(n *yaml.Node) { a.Profile = r.profile(n) }},
		// What the upstream calls itself: the one string in `aud`. An upstream refuses what was made for
		// another. Needed for `default`.
		field{"audience", false, func(n *yaml.Node) { audience, a.Audience = n, r.audience(n) }},
		// Where it goes, for `default`. Default `X-Onedoor-Jwt-Assertion`.
		field{"header", false, func(n *yaml.Node) { header, a.Header = n, r.assertionHeader(n) }},
	)
	switch {
	case a.Profile == TxnToken && audience != nil:
		r.fail(audience, "audience: a Transaction Token is made for the trust domain and names no other")
	case a.Profile == TxnToken && header != nil:
		r.fail(header, "header: a Transaction Token goes in %s alone", TxnTokenHeader)
	case a.Profile == RequestBound && audience == nil:
		r.fail(n, "assertion: audience is missing")
	}
	if a.Profile == TxnToken {
		a.Header = TxnTokenHeader
	} else if header == nil {
		a.Header = AssertionHeader
	}
	places := slotPlaces(slots)
	for _, place := range a.places() {
		if slices.Contains(places, place) {
			r.fail(n, "assertion: the %s carries the credential", place)
		}
	}
	// The hash of a query with the credential in it would tell something of that one.
	if a.Profile == RequestBound && slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(p, "query ") }) {
		r.fail(n, "assertion: it binds the query, so no credential can go there: attach it in a header")
	}
	return a
}

// places names the headers that the assertion takes, as [Slot.places] does.
func (a *Assertion) places() []string {
	if a == nil {
		return nil
	}
	if a.Profile == TxnToken {
		return []string{headerPlace(a.Header)}
	}
	return []string{headerPlace(a.Header), headerPlace(ContentDigest)}
}

func (r *reader) profile(n *yaml.Node) AssertionProfile {
	p := AssertionProfile(r.text(n, "profile", maxName))
	if p != "" && p != RequestBound && p != TxnToken {
		r.fail(n, "profile %s: want %s or %s", quote(string(p)), RequestBound, TxnToken)
	}
	return p
}

// audience reads one identifier. What it means is between the manifest and its upstream;
// a space would make two of it for some readers.
func (r *reader) audience(n *yaml.Node) string {
	s := r.text(n, "audience", maxAudience)
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		r.fail(n, "audience: want printable ASCII without spaces")
	}
	return s
}

// assertionHeader reads a header's name. Authorization is left to the credential, and
// Txn-Token to the profile that is one.
func (r *reader) assertionHeader(n *yaml.Node) string {
	name := r.headerName(n)
	plain := plainName(name)
	ours := strings.HasPrefix(plain, "X-Onedoor-") // the default is one of these
	if isReserved(name) && !ours || plain == "Authorization" || plain == TxnTokenHeader || plain == ContentDigest {
		r.fail(n, "the header %s cannot carry an assertion", name)
	}
	return name
}
