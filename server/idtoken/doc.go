// Package idtoken verifies OpenID Connect ID tokens, by which a task learns its user
// from somebody whom the configuration trusts more than the orchestrator:
//
//	token ─ compact JWS of an asymmetric algorithm ─ its issuer is one of this
//	workspace's ─ the issuer's published key, asked for through egress and remembered
//	─ signature, issuer, end ─ audience, azp, iat, nbf, nonce ─ the subject claim
//
// What a token says is refused whole where any of it does not hold, and nothing that
// it says is repeated in an error: it is a bearer, and its claims are somebody's data.
//
// Whose rules: OpenID Connect Core 1.0, section 3.1.3.7, and RFC 8725 (JWT best
// current practices). Where those leave a choice, the stricter one is taken.
package idtoken
