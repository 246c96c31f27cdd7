// Package oauth asks token endpoints (RFC 6749, section 3.2). It is one client for
// every grant: the caller says which, and what goes along.
//
//	Request ─ form, the client proven in the one declared way ─ egress ─┬─▶ Token
//	                                                                    └─▶ *Error
//
// It also signs, with a stored private key: who the client is (private_key_jwt), a grant
// (RFC 7523), or the app that asks GitHub for a token of its installation.
//
// A request is sent once and never again by itself: whether a refresh token was
// consumed is for the caller to judge, by [Error.Kind]. Redirects are not followed, and
// nothing that a token endpoint wrote is ever in an error but a code from the registry.
package oauth
