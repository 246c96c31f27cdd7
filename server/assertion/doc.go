// Package assertion says to an internal upstream, in a signed JWT, who the user is, who
// the agent is, and what this one request may do.
//
//	recorded intent, caller, bound call ─▶ claims ─▶ ES256 ─▶ Assertion ─▶ egress
//	                                                   ▲
//	keys of the vault: pending, active, retired ───────┴─▶ /.well-known/jwks.json
//
// There are two profiles and one builder of claims. The default is bound to one upstream
// and one request: audience, method, target, query, body. The strict Transaction Token
// (draft-ietf-oauth-transaction-tokens-10) is made for the whole trust domain, so that
// an upstream can hand it on.
//
// An assertion is context and no credential: whoever copies one can show it for a
// minute. Upstreams authenticate the broker besides.
package assertion
