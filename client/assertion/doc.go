// Package assertion verifies, in an internal service, the signed JWT in which a Onedoor
// broker says on whose behalf it calls.
//
//	v, err := assertion.NewVerifier(assertion.Options{
//		Issuer:   "https://broker.example",
//		Audience: "https://payroll.internal",
//	})
//	if err != nil { … }
//	handler = v.Middleware(handler)
//	…
//	claims, ok := assertion.FromContext(r.Context())
//
// One request is judged in this order, and the first fault refuses it:
//
//	the header, exactly once → ES256 and the exact typ → a key of the JWKS → signature
//	→ iss, one aud, exp, iat, jti, life → the TLS peer and cnf
//	→ htm, htu, query, body → jti not seen before
//
// What costs little comes first, and a jti is remembered only when all else held, so
// that nobody can use up another's assertion or fill the memory with forgeries.
//
// An assertion is context, not authentication: it says for whom, and whoever copies it
// can show it too. Authenticate the broker as well, by mutual TLS, and name its SPIFFE
// ID in Options.BrokerID. docs/assertions.md explains every claim.
package assertion
