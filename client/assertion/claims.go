package assertion

import (
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// Claims are those of a verified assertion. Everything but Issuer, Audience, Subject,
// ID and the times is for decisions and records of the service's own.
type Claims struct {
	// Issuer is the broker (iss, RFC 7519 section 4.1.1).
	Issuer string `json:"iss"`
	// Audience is this service, or for TxnToken the trust domain (aud).
	Audience string `json:"-"`
	// Subject is the user's stable, opaque id (sub). It is never an e-mail address.
	Subject string `json:"sub"`
	// Actor is the agent that acts for the user (act, RFC 8693 section 4.1); nil if none
	// is named.
	Actor *Actor `json:"act"`
	// Workload is the SPIFFE ID of the sandbox that asked (req_wl, Transaction Tokens).
	Workload string `json:"req_wl"`
	// Transaction is the broker's invocation id (txn): the same in retries, in the audit
	// trail and in the broker's log.
	Transaction string `json:"txn"`
	// ID is new with every attempt (jti).
	ID string `json:"jti"`
	// IssuedAt and Expires are seconds since 1970 (iat, exp).
	IssuedAt int64 `json:"iat"`
	Expires  int64 `json:"exp"`
	// NotBefore is in seconds too (nbf). Brokers leave it out.
	NotBefore int64 `json:"nbf"`
	// Scope names the tools that the call used, separated by spaces (scope).
	Scope string `json:"scope"`
	// Method and URI are those of the request, the URI without query (htm, htu, RFC 9449
	// section 4.2); empty in a TxnToken.
	Method string `json:"htm"`
	URI    string `json:"htu"`
	// Context is what the call was for (tctx).
	Context Context `json:"tctx"`
	// Requester is the environment from which the call came (rctx).
	Requester Requester `json:"rctx"`
	// Confirmation binds the assertion to a certificate (cnf, RFC 8705 section 3.1); nil
	// if it is bound to none.
	Confirmation *Confirmation `json:"cnf"`
}

// Actor is who acts. Only the outermost one may decide anything: those within are
// history (RFC 8693 section 4.1).
type Actor struct {
	Subject string `json:"sub"`
	// Profile is "ai_agent" for an agent.
	Profile string `json:"sub_profile"`
	// Actor is who had acted before; nil at the end.
	Actor *Actor `json:"act"`
}

// Context is the call's purpose, and what binds it to the request's content.
type Context struct {
	Task      string `json:"task"`
	Workspace string `json:"workspace"`
	Tool      string `json:"tool"`
	Severity  string `json:"severity"`
	// QuerySHA256 is the unpadded base64url of the SHA-256 of the query as it stands in
	// the request, without "?"; empty if there is no query.
	QuerySHA256 string `json:"query_sha256"`
	// ContentDigest is "sha-256=:BASE64:" of the body (RFC 9530), of an empty one too.
	ContentDigest string `json:"content_digest"`
	// Body is "stream" where the broker could not know the body beforehand. It is then
	// not bound.
	Body string `json:"body"`
}

// Requester is the environment of the caller.
type Requester struct {
	SPIFFEID string `json:"spiffe_id"`
	KeyID    string `json:"key_id"`
	Session  string `json:"session"`
}

// Confirmation is the certificate over whose connection alone the assertion holds.
type Confirmation struct {
	// Thumbprint is the unpadded base64url of the SHA-256 of the DER.
	Thumbprint string `json:"x5t#S256"`
}

// maxID bounds what a replay cache is asked to keep.
const maxID = 256

// parseClaims reads a payload whose signature was verified. The decoder is go-jose's:
// it refuses duplicate names and does not fold their case, so that no two readers see
// different claims.
func parseClaims(payload []byte) (*Claims, error) {
	var wire struct {
		Claims
		Audience json.RawMessage `json:"aud"`
	}
	if err := json.Unmarshal(payload, &wire); err != nil {
		return nil, refuse(Malformed, "the payload is not an object of the expected claims")
	}
	// A list is refused even if it has one member: an assertion for two services could
	// be shown by the one to the other.
	if wire.Audience != nil && json.Unmarshal(wire.Audience, &wire.Claims.Audience) != nil {
		return nil, refuse(AudienceWrong, "aud is not one string")
	}
	return &wire.Claims, nil
}

// check holds the claims that every profile has to the options.
func (c *Claims) check(o *Options) error {
	now := o.Now()
	issued, expires := time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0)
	switch {
	case c.Issuer != o.Issuer:
		return refuse(IssuerWrong, "iss is not "+o.Issuer)
	case c.Audience != o.Audience:
		return refuse(AudienceWrong, "aud is not "+o.Audience)
	case c.Expires == 0 || c.IssuedAt == 0 || c.ID == "":
		return refuse(ClaimMissing, "exp, iat and jti are required")
	case c.Subject == "" || c.Transaction == "" || c.Workload == "" || c.Scope == "":
		return refuse(ClaimMissing, "sub, txn, req_wl and scope are required")
	case len(c.ID) > maxID:
		return refuse(Malformed, "jti is too long")
	case !now.Before(expires.Add(o.Leeway)):
		return refuse(Expired, "exp has passed")
	case issued.After(now.Add(o.Leeway)):
		return refuse(NotYetValid, "iat lies in the future")
	case time.Unix(c.NotBefore, 0).After(now.Add(o.Leeway)):
		return refuse(NotYetValid, "nbf lies in the future")
	case !expires.After(issued) || expires.Sub(issued) > maxLife:
		return refuse(LifeTooLong, "exp is not within 300 s after iat")
	}
	return nil
}
