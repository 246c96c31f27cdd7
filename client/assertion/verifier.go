package assertion

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// maxToken bounds a token, in bytes. Brokers' are below 2 KiB.
const maxToken = 16 << 10

// Verifier judges requests. It is safe for concurrent use. Its zero value refuses all.
type Verifier struct {
	options Options
	keys    *keySet // nil in a zero value
}

// NewVerifier makes a Verifier. It fetches nothing yet: the first request does, so that
// a service starts while the broker is away. The error names every faulty option.
func NewVerifier(options Options) (*Verifier, error) {
	if err := options.complete(); err != nil {
		return nil, fmt.Errorf("assertion verifier: %w", err)
	}
	return &Verifier{options: options, keys: newKeySet(&options)}, nil
}

// Verify judges r by the whole list in the package's documentation. The body is read up
// to Options.MaxBody, and r.Body is replaced so that it can be read again. A refusal is
// an *Error. ctx bounds the wait for the issuer's keys and for the replay cache.
//
// With Options.Profile TxnToken the request itself is not looked at: only its header
// and its connection.
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (*Claims, error) {
	if v == nil || v.keys == nil {
		return nil, refuse(NotConfigured, "NewVerifier was not called")
	}
	claims, err := v.open(ctx, r.Header.Values(v.options.Header), r.TLS)
	if err != nil || v.options.Profile == TxnToken {
		return claims, err
	}
	if err := v.options.checkRequest(claims, r); err != nil {
		return nil, err
	}
	if idempotent(r.Method) {
		return claims, nil
	}
	if err := v.claim(ctx, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// VerifyToken judges a token that came by another way than an HTTP header. values are
// all that were found where one is expected; peer is the connection, nil if it is not
// TLS. It checks all that Verify does but method, target, query and body, which there
// are none of. As it cannot know what is idempotent, an assertion of the default
// profile is accepted once, whatever it is for.
func (v *Verifier) VerifyToken(ctx context.Context, values []string, peer *tls.ConnectionState) (*Claims, error) {
	if v == nil || v.keys == nil {
		return nil, refuse(NotConfigured, "NewVerifier was not called")
	}
	claims, err := v.open(ctx, values, peer)
	if err != nil || v.options.Profile == TxnToken {
		return claims, err
	}
	if err := v.claim(ctx, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// Header is the name of the header that carries the assertion.
func (v *Verifier) Header() string {
	if v == nil || v.keys == nil {
		return RequestBound.form().header
	}
	return v.options.Header
}

// open checks a token by itself and against the connection.
func (v *Verifier) open(ctx context.Context, values []string, peer *tls.ConnectionState) (*Claims, error) {
	switch {
	case len(values) == 0:
		return nil, refuse(HeaderMissing, "no "+v.options.Header)
	case len(values) > 1:
		return nil, refuse(HeaderRepeated, "more than one "+v.options.Header)
	case len(values[0]) > maxToken:
		return nil, refuse(Malformed, "the token is too long")
	}
	payload, err := v.payload(ctx, values[0])
	if err != nil {
		return nil, err
	}
	claims, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	if err := claims.check(&v.options); err != nil {
		return nil, err
	}
	if err := v.options.checkPeer(claims, peer); err != nil {
		return nil, err
	}
	return claims, nil
}

// payload verifies the signature. alg is pinned before anything else of the header is
// believed: it is the sender who writes it (RFC 8725 section 3.1).
func (v *Verifier) payload(ctx context.Context, token string) ([]byte, error) {
	// go-jose takes the JSON serialisations too where its compact form is not demanded.
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	var unexpected *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &unexpected):
		return nil, refuse(AlgorithmRefused, "alg is not ES256")
	case err != nil:
		return nil, refuse(Malformed, "not a compact JWS")
	}
	header := parsed.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != v.options.Profile.form().typ {
		return nil, refuse(TypeWrong, "typ is not "+v.options.Profile.form().typ)
	}
	if header.KeyID == "" {
		return nil, refuse(KeyUnknown, "no kid")
	}
	key, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := parsed.Verify(key)
	if err != nil {
		return nil, refuse(SignatureInvalid, "the signature does not fit, or crit names what is not known")
	}
	return payload, nil
}

// claim uses the assertion up.
func (v *Verifier) claim(ctx context.Context, c *Claims) error {
	until := time.Unix(c.Expires, 0).Add(v.options.Leeway)
	fresh, err := v.options.Replay.Claim(ctx, c.ID, v.options.Now(), until)
	if err != nil {
		return refuseFor(ReplayUnknown, "cannot tell whether jti was used before", err)
	}
	if !fresh {
		return refuse(Replayed, "jti was used before")
	}
	return nil
}

// idempotent are the methods that RFC 9110 section 9.2.2 calls so: to repeat one within
// seconds asks for nothing new, and proxies do it by themselves.
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
