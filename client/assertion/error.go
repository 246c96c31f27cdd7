package assertion

import "errors"

// Reason says why a request was refused. It is an error itself, so that callers can
// write errors.Is(err, assertion.Expired). Every text of it may be shown to a stranger.
type Reason string

// The reasons. tests/conformance/assertions has a case for those that do not depend on
// the verifier's surroundings.
const (
	// NotConfigured says that the Verifier is a zero value; NewVerifier makes a real one.
	NotConfigured Reason = "NOT_CONFIGURED"
	// HeaderMissing says that the request carries no assertion.
	HeaderMissing Reason = "HEADER_MISSING"
	// HeaderRepeated says that the header is there more than once: which of them another
	// component would take cannot be known.
	HeaderRepeated Reason = "HEADER_REPEATED"
	// Malformed says that the token is no JWT that a broker makes.
	Malformed Reason = "MALFORMED"
	// AlgorithmRefused says that alg is anything but ES256.
	AlgorithmRefused Reason = "ALGORITHM_REFUSED"
	// TypeWrong says that typ is not the profile's.
	TypeWrong Reason = "TYPE_WRONG"
	// KeyUnknown says that the issuer does not publish the key named by kid, or that
	// none is named.
	KeyUnknown Reason = "KEY_UNKNOWN"
	// KeysUnavailable says that the issuer's keys could not be fetched and none that are
	// young enough are at hand. It may pass; the others do not.
	KeysUnavailable Reason = "KEYS_UNAVAILABLE"
	// SignatureInvalid says that header or payload are not what was signed.
	SignatureInvalid Reason = "SIGNATURE_INVALID"
	// IssuerWrong says that iss is another.
	IssuerWrong Reason = "ISSUER_WRONG"
	// AudienceWrong says that aud is not this service alone.
	AudienceWrong Reason = "AUDIENCE_WRONG"
	// ClaimMissing says that a claim which brokers always set is not there, or cnf where
	// Options.RequireConfirmation asks for it.
	ClaimMissing Reason = "CLAIM_MISSING"
	// Expired says that exp has passed.
	Expired Reason = "EXPIRED"
	// NotYetValid says that iat or nbf lies in the future.
	NotYetValid Reason = "NOT_YET_VALID"
	// LifeTooLong says that exp is not within 300 s after iat.
	LifeTooLong Reason = "LIFE_TOO_LONG"
	// PeerWrong says that the TLS peer is not the broker, or not the one to whose
	// certificate the assertion is bound.
	PeerWrong Reason = "PEER_WRONG"
	// MethodWrong says that htm is not the request's method.
	MethodWrong Reason = "METHOD_WRONG"
	// URIWrong says that htu is not the request's target.
	URIWrong Reason = "URI_WRONG"
	// QueryWrong says that tctx.query_sha256 is not that of the request's query.
	QueryWrong Reason = "QUERY_WRONG"
	// DigestMissing says that the assertion binds no body and does not say "stream".
	DigestMissing Reason = "DIGEST_MISSING"
	// DigestWrong says that the body is not the one that the broker sent.
	DigestWrong Reason = "DIGEST_WRONG"
	// BodyTooLarge says that the body exceeds Options.MaxBody.
	BodyTooLarge Reason = "BODY_TOO_LARGE"
	// BodyUnreadable says that the body ended early.
	BodyUnreadable Reason = "BODY_UNREADABLE"
	// Replayed says that the assertion was used before.
	Replayed Reason = "REPLAYED"
	// ReplayUnknown says that the replay cache could not answer, or is full.
	ReplayUnknown Reason = "REPLAY_UNKNOWN"
)

// Error makes a Reason a target of errors.Is.
func (r Reason) Error() string { return string(r) }

// Error is a refusal. Its text holds neither the token nor a part of it.
type Error struct {
	// Reason is one of the constants of this package.
	Reason Reason
	detail string
	cause  error
}

// Error gives the reason and what was expected.
func (e *Error) Error() string {
	text := "assertion refused: " + string(e.Reason) + ": " + e.detail
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Is reports whether target is the reason.
func (e *Error) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && reason == e.Reason
}

// Unwrap gives what went wrong below, for instance a network's error; often nil.
func (e *Error) Unwrap() error { return e.cause }

// ReasonOf gives the reason of an error of this package, and "" for any other.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func refuse(reason Reason, detail string) *Error { return &Error{Reason: reason, detail: detail} }

func refuseFor(reason Reason, detail string, cause error) *Error {
	return &Error{Reason: reason, detail: detail, cause: cause}
}
