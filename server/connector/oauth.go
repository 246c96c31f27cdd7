package connector

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
)

// GrantType is how an access token is obtained (RFC 6749, section 1.3).
type GrantType string

// The grant types.
const (
	// AuthorizationCode: the user connects their account in a browser; what is stored
	// are the tokens, which are refreshed.
	AuthorizationCode GrantType = "authorization_code"
	// ClientCredentials: the broker is the client; what is stored is its secret.
	ClientCredentials GrantType = "client_credentials"
	// JWTBearer: what is stored is a private key that signs who asks (RFC 7523, 2.1).
	JWTBearer GrantType = "jwt_bearer"
	// TokenExchange: one token is given for another (RFC 8693). What is stored is the
	// first; or the client's secret, where the broker itself states who the user is.
	TokenExchange GrantType = "token_exchange"
)

// ClientAuth is how the broker proves to a token endpoint which client it is (RFC 6749,
// section 2.3; RFC 7523 for the last). It is never guessed: guessing sends a refresh
// token twice.
type ClientAuth string

// The ways.
const (
	ClientNone    ClientAuth = "none" // a public client: the id alone
	ClientBasic   ClientAuth = "basic"
	ClientPost    ClientAuth = "post"
	PrivateKeyJWT ClientAuth = "private_key_jwt"
)

// TokenEndpoint is the kind of slots that hold a client's secret: it goes to a token
// endpoint and never to the upstream.
const TokenEndpoint = "token-endpoint"

const (
	maxEndpoint   = 1 << 10
	maxScopes     = 64
	maxScope      = 256
	maxParameters = 16
	maxParameter  = 1 << 10
)

// OAuth says how the access token of a slot is obtained.
type OAuth struct {
	Grant         GrantType
	TokenEndpoint egress.Location
	// AuthorizationEndpoint is where the user's browser goes; AuthorizationCode only.
	AuthorizationEndpoint egress.Location
	// Issuer is what the parameter iss of an authorization response must be (RFC 9207).
	// Empty: the provider does not send one, and a response that has it is refused.
	Issuer   string
	ClientID string
	Auth     ClientAuth
	// SecretSlot holds the client's secret or private key; empty where there is none,
	// or the slot itself holds it.
	SecretSlot string
	// ClientKey says how the client's private key signs; PrivateKeyJWT only.
	ClientKey Signed
	// Assertion is what is signed; JWTBearer only.
	Assertion *Signed
	// Exchange says what is exchanged; TokenExchange only.
	Exchange *Exchange
	Scopes   []string
	// Parameters go with each request besides, for instance audience or resource.
	Parameters []Parameter
	// Reusable says that the provider takes a refresh token more than once.
	Reusable bool
	// Egress bounds the connections to the token endpoint.
	Egress egress.Policy
}

// Parameter is one of a request to an authorization server.
type Parameter struct{ Name, Value string }

// Scope is the value of the parameter scope; empty for none.
func (o *OAuth) Scope() string { return strings.Join(o.Scopes, " ") }

// ownSecret reports whether the client's secret is what the slot itself stores.
func (o *OAuth) ownSecret() bool {
	return o.Grant == ClientCredentials || o.Exchange != nil && o.Exchange.Subject == FromAssertion
}

func (r *reader) oauth(n *yaml.Node) *OAuth {
	o := &OAuth{}
	var authorize, issuer, reusable, assertion, exchange *yaml.Node
	r.fields(n, "oauth",
		// `authorization_code`, `client_credentials`, `jwt_bearer` or `token_exchange`.
		field{"grant", true, func(n *yaml.Node) { o.Grant = r.grantType(n) }},
		// The URL where tokens are asked for.
		field{"token_endpoint", true, func(n *yaml.Node) { o.TokenEndpoint = r.location(n, "token_endpoint") }},
		// Where the user's browser goes. `authorization_code` alone, and needed there.
		field{"authorization_endpoint", false, func(n *yaml.Node) {
			authorize, o.AuthorizationEndpoint = n, r.location(n, "authorization_endpoint")
		}},
		// What the parameter `iss` of the answer must be (RFC 9207), if the provider sends it.
		// `authorization_code` alone.
		field{"issuer", false, func(n *yaml.Node) { issuer, o.Issuer = n, r.text(n, "issuer", maxEndpoint) }},
		// As whom the broker asks; needed but for `jwt_bearer`, and for `token_exchange` with `subject:
		// stored`.
		field{"client", false, func(n *yaml.Node) { r.client(n, o) }},
		// What is signed. `jwt_bearer` alone, and needed there.
		field{"assertion", false, func(n *yaml.Node) { assertion, o.Assertion = n, r.assertionGrant(n) }},
		// What is exchanged. `token_exchange` alone, and needed there.
		field{"exchange", false, func(n *yaml.Node) { exchange, o.Exchange = n, r.exchange(n) }},
		// What is asked for, at most 64.
		field{"scopes", false, func(n *yaml.Node) { o.Scopes = r.scopes(n) }},
		// Further parameters of each request, for instance `audience`; at most 16.
		field{"parameters", false, func(n *yaml.Node) { o.Parameters = r.parameters(n) }},
		// `single-use`, or `reusable` only where the provider takes a refresh token more than once.
		// `authorization_code` alone. Default `single-use`.
		field{"refresh_tokens", false, func(n *yaml.Node) { reusable, o.Reusable = n, r.reusable(n) }},
		field{"network", false, func(n *yaml.Node) {
			// As `network.allow` of the connector, for the way to the token endpoint.
			r.fields(n, "network", field{"allow", true, func(n *yaml.Node) { o.Egress.AllowRanges = r.ranges(n) }})
		}},
		field{"tls", false, func(n *yaml.Node) {
			// As `tls.ca` of the connector, for the token endpoint.
			r.fields(n, "tls", field{"ca", true, func(n *yaml.Node) { o.Egress.RootCAs = r.certificates(n) }})
		}},
	)
	r.only(n, o.Grant == AuthorizationCode, "authorization_code",
		part{"authorization_endpoint", authorize, true}, part{"issuer", issuer, false}, part{"refresh_tokens", reusable, false})
	r.only(n, o.Grant == JWTBearer, string(JWTBearer), part{"assertion", assertion, true})
	r.only(n, o.Grant == TokenExchange, string(TokenExchange), part{"exchange", exchange, true})
	r.judgeClient(n, o)
	o.complete()
	return o
}

// part is a field that belongs to one grant.
type part struct {
	name  string
	given *yaml.Node
	// needed says that the grant does not go without it.
	needed bool
}

// only sees that the parts of a grant stand beside it and beside no other.
func (r *reader) only(n *yaml.Node, chosen bool, grant string, parts ...part) {
	for _, p := range parts {
		switch {
		case chosen && p.needed && p.given == nil:
			r.fail(n, "oauth: %s is missing", p.name)
		case !chosen && p.given != nil:
			r.fail(p.given, "%s: only beside grant: %s", p.name, grant)
		}
	}
}

// complete puts in what follows from the rest: a statement is made for the token
// endpoint, unless another audience is named.
func (o *OAuth) complete() {
	endpoint := o.TokenEndpoint.String()
	if o.Auth == PrivateKeyJWT {
		o.ClientKey.Issuer, o.ClientKey.Subject = o.ClientID, o.ClientID
		o.ClientKey.Audience = cmp.Or(o.ClientKey.Audience, endpoint)
	}
	if o.Assertion != nil {
		o.Assertion.Audience, o.Assertion.Scope = cmp.Or(o.Assertion.Audience, endpoint), o.Scope()
	}
	if e := o.Exchange; e != nil && (e.Actor || e.Subject == FromAssertion) {
		e.Audience = cmp.Or(e.Audience, endpoint)
	}
}

// judgeClient holds the client's part against the grant.
func (r *reader) judgeClient(n *yaml.Node, o *OAuth) {
	optional := o.Grant == JWTBearer || o.Grant == TokenExchange && !o.ownSecret()
	switch {
	case o.ClientID == "" && o.Auth == "" && optional:
		o.Auth = ClientNone
	case o.ClientID == "":
		r.fail(n, "oauth: client is missing")
	case o.ownSecret() && o.Auth == ClientNone:
		r.fail(n, "client: %s needs auth", o.Grant)
	case o.ownSecret() && o.SecretSlot != "":
		r.fail(n, "client: the slot itself holds the secret, so it names no other")
	case !o.ownSecret() && (o.Auth == ClientNone) != (o.SecretSlot == ""):
		r.fail(n, "client: auth and secret go together; auth: none takes no secret")
	}
}

func (r *reader) grantType(n *yaml.Node) GrantType {
	known := []GrantType{AuthorizationCode, ClientCredentials, JWTBearer, TokenExchange}
	g := GrantType(r.text(n, "grant", maxName))
	if g != "" && !slices.Contains(known, g) {
		r.fail(n, "grant %s: want one of %v", quote(string(g)), known)
		return ""
	}
	return g
}

func (r *reader) client(n *yaml.Node, o *OAuth) {
	var algorithm, keyID, audience *yaml.Node
	r.fields(n, "client",
		// The id under which the provider knows the broker.
		field{"id", true, func(n *yaml.Node) {
			if o.ClientID = r.text(n, "id", maxScope); !isHeaderText(o.ClientID) {
				r.fail(n, "client id: want printable ASCII")
			}
		}},
		// `basic`, `post`, `private_key_jwt`, or `none` for a public client. It is never guessed:
		// guessing sends a refresh token twice.
		field{"auth", true, func(n *yaml.Node) {
			known := []ClientAuth{ClientNone, ClientBasic, ClientPost, PrivateKeyJWT}
			o.Auth = ClientAuth(r.text(n, "auth", maxName))
			if o.Auth != "" && !slices.Contains(known, o.Auth) {
				r.fail(n, "client auth %s: want one of %v", quote(string(o.Auth)), known)
			}
		}},
		// The slot that holds the secret or key: `{owner: workspace, attach: token-endpoint}`. None where
		// the slot itself holds it, and with `auth: none`.
		field{"secret", false, func(n *yaml.Node) { o.SecretSlot = r.name(n, "secret") }},
		// `RS256` or `ES256`. With `private_key_jwt`, and needed there.
		field{"algorithm", false, func(n *yaml.Node) { algorithm, o.ClientKey.Algorithm = n, r.algorithm(n) }},
		// The `kid` under which the provider knows the public key. With `private_key_jwt`.
		field{"key_id", false, func(n *yaml.Node) { keyID, o.ClientKey.KeyID = n, r.identifier(n, "key_id", maxKeyID) }},
		// `aud` of what the key signs. With `private_key_jwt`. Default: the token endpoint's URL.
		field{"audience", false, func(n *yaml.Node) { audience, o.ClientKey.Audience = n, r.identifier(n, "audience", maxAudience) }},
	)
	if o.Auth == PrivateKeyJWT && algorithm == nil {
		r.fail(n, "client: algorithm is missing")
	}
	for _, p := range []part{{"algorithm", algorithm, true}, {"key_id", keyID, false}, {"audience", audience, false}} {
		if p.given != nil && o.Auth != PrivateKeyJWT {
			r.fail(p.given, "%s: only beside auth: %s", p.name, PrivateKeyJWT)
		}
	}
}

// location reads the URL of an endpoint, in its one spelling.
func (r *reader) location(n *yaml.Node, what string) egress.Location {
	s := r.text(n, what, maxEndpoint)
	if s == "" {
		return egress.Location{}
	}
	l, err := egress.ParseLocation(s)
	if err == nil {
		_, err = url.ParseQuery(l.Query) // more is added to it
	}
	switch {
	case err != nil:
		r.fail(n, "%s: want https://HOST/PATH without user and fragment, with no '.', '..', '//' or '\\' in its path, and a plain query", what)
	case l.String() != s:
		r.fail(n, "%s: write it as %s", what, l.String())
	case !strings.HasPrefix(l.Path, "/"):
		r.fail(n, "%s: it has no path; write at least /", what)
	}
	return l
}

func (r *reader) scopes(n *yaml.Node) []string {
	var scopes []string
	for _, item := range r.list(n, "scopes") {
		s := r.text(item, "scopes", maxScope)
		if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			r.fail(item, "scope %s: want printable ASCII without spaces and quotes", quote(s)) // RFC 6749, 3.3
		}
		if slices.Contains(scopes, s) {
			r.fail(item, "scope %s stands twice", quote(s))
		}
		scopes = append(scopes, s)
	}
	if len(scopes) > maxScopes {
		r.fail(n, "scopes: more than %d", maxScopes)
	}
	return scopes
}

// ownParameters are set by the broker alone.
func ownParameters() []string {
	return []string{
		"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier",
		"code_challenge", "code_challenge_method", "redirect_uri", "response_type", "response_mode", "state", "nonce", "scope",
		"refresh_token", "assertion", "subject_token", "subject_token_type", "actor_token", "actor_token_type", "iss",
		"requested_token_type",
		"request", "request_uri",
	}
}

func (r *reader) parameters(n *yaml.Node) []Parameter {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxParameters {
		r.fail(n, "parameters: want a mapping of 1 to %d", maxParameters)
		return nil
	}
	var list []Parameter
	for key, value := range pairs(n) {
		p := Parameter{Name: r.queryName(key, "parameter"), Value: r.text(value, "parameters", maxParameter)}
		if slices.Contains(ownParameters(), p.Name) {
			r.fail(key, "parameter %s: the broker sets it", p.Name)
		}
		if !isHeaderText(p.Value) {
			r.fail(value, "parameter %s: want printable ASCII", p.Name)
		}
		list = append(list, p)
	}
	return list
}

func (r *reader) reusable(n *yaml.Node) bool {
	s := r.text(n, "refresh_tokens", maxName)
	if s != "reusable" && s != "single-use" && s != "" {
		r.fail(n, "refresh_tokens %s: want single-use or reusable", quote(s))
	}
	return s == "reusable"
}

// secretSlots sees that each client's secret has a slot of the workspace's, and that
// no such slot stands for nothing.
func (r *reader) secretSlots(n *yaml.Node, slots map[string]Slot) {
	used := map[string]bool{}
	for _, s := range slots {
		if s.OAuth == nil || s.OAuth.SecretSlot == "" {
			continue
		}
		name := s.OAuth.SecretSlot
		used[name] = true
		switch holder, ok := slots[name]; {
		case !ok:
			r.fail(n, "slot %s: client secret: there is no slot %s", s.Name, quote(name))
		case holder.Kind != TokenEndpoint || holder.Owner != WorkspaceOwned:
			r.fail(n, "slot %s: it holds a client's secret, so it is {owner: workspace, attach: %s}", name, TokenEndpoint)
		}
	}
	for _, s := range slots {
		if s.Kind == TokenEndpoint && !used[s.Name] {
			r.fail(n, "slot %s: no oauth client names it as its secret", s.Name)
		}
	}
}
