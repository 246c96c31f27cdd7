// Package demo runs upstreams over TLS on loopback, as different as the real ones are:
// a CRM that demands the user's own access token, with the OAuth provider that gives it
// out; a model API that speaks the OpenAI chat shape and demands the provider's key; and
// an internal payroll API that demands a service credential, and a signed assertion of
// who the user is. `onedoord dev` starts them, so that a first call crosses everything a
// real one does. They hold invented data, in memory.
package demo
