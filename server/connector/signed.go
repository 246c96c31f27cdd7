package connector

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Algorithm is how a private key signs a JWT (RFC 7518, section 3.1).
type Algorithm string

// The algorithms.
const (
	RS256 Algorithm = "RS256" // RSA of 2048 bits at least
	ES256 Algorithm = "ES256" // ECDSA on P-256
)

// maxKeyID bounds what names a key.
const maxKeyID = 256

// Signed is the JWT that a stored private key signs to obtain a token (RFC 7523).
type Signed struct {
	Algorithm Algorithm
	// KeyID is the header kid; empty: there is none.
	KeyID string
	// Issuer is iss. Subject is sub; empty: there is none.
	Issuer, Subject string
	// Audience is the one string of aud; empty: there is none.
	Audience string
	// Scope is the claim scope, which some providers read there; empty: there is none.
	Scope string
}

// assertionGrant reads what JWTBearer signs:
// {issuer: ID, subject: ID, audience: ID, algorithm: RS256|ES256, key_id: ID}.
func (r *reader) assertionGrant(n *yaml.Node) *Signed {
	s := &Signed{}
	r.fields(n, "assertion",
		// `iss`: the account.
		field{"issuer", true, func(n *yaml.Node) { s.Issuer = r.identifier(n, "issuer", maxAudience) }},
		// `sub`: on whose behalf, as fixed text. The RFC wants one, often the issuer again.
		field{"subject", false, func(n *yaml.Node) { s.Subject = r.identifier(n, "subject", maxAudience) }},
		// `aud`. Default: the token endpoint's URL.
		field{"audience", false, func(n *yaml.Node) { s.Audience = r.identifier(n, "audience", maxAudience) }},
		// `RS256` or `ES256`.
		field{"algorithm", true, func(n *yaml.Node) { s.Algorithm = r.algorithm(n) }},
		// The `kid` under which the provider knows the public key.
		field{"key_id", false, func(n *yaml.Node) { s.KeyID = r.identifier(n, "key_id", maxKeyID) }},
	)
	return s
}

// identifier reads a name that is between the manifest and a provider. A space would
// make two of it for some readers.
func (r *reader) identifier(n *yaml.Node, what string, limit int) string {
	s := r.text(n, what, limit)
	if !isVisible(s) {
		r.fail(n, "%s: want printable ASCII without spaces", what)
	}
	return s
}

func isVisible(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' || c > '~' })
}

func (r *reader) algorithm(n *yaml.Node) Algorithm {
	known := []Algorithm{RS256, ES256}
	a := Algorithm(r.text(n, "algorithm", maxName))
	if a != "" && !slices.Contains(known, a) {
		r.fail(n, "algorithm %s: want one of %v", quote(string(a)), known)
	}
	return a
}

// signs gives what the private key that is stored in a slot itself signs; none where no
// private key is stored there.
func (s Slot) signs() []Signed {
	switch {
	case s.GitHubApp != nil:
		return []Signed{s.GitHubApp.signed()}
	case s.OAuth == nil:
		return nil
	case s.OAuth.Grant == JWTBearer && s.OAuth.Assertion != nil:
		return []Signed{*s.OAuth.Assertion}
	case s.OAuth.ownSecret() && s.OAuth.Auth == PrivateKeyJWT:
		return []Signed{s.OAuth.ClientKey}
	}
	return nil
}

// keys notes what each stored private key signs. One slot holds one secret, so what is
// signed with it takes one algorithm, and it is no password for another client.
func (r *reader) keys(n *yaml.Node, slots map[string]Slot) {
	for name, s := range slots {
		s.Signs = s.signs()
		clients := 0
		for _, user := range sortedSlots(slots) {
			if user.OAuth == nil || user.OAuth.SecretSlot != name {
				continue
			}
			clients++
			if user.OAuth.Auth == PrivateKeyJWT {
				s.Signs = append(s.Signs, user.OAuth.ClientKey)
			}
		}
		if len(s.Signs) > 0 && clients > len(s.Signs) {
			r.fail(n, "slot %s: it is a private key for one client and a secret for another", name)
		}
		if slices.ContainsFunc(s.Signs, func(x Signed) bool { return x.Algorithm != s.Signs[0].Algorithm }) {
			r.fail(n, "slot %s: one key signs with one algorithm", name)
		}
		slots[name] = s
	}
}

// sortedSlots gives the slots by name.
func sortedSlots(slots map[string]Slot) []Slot {
	var list []Slot
	for _, s := range slots {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Slot) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
