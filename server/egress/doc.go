// Package egress is the only maker of outbound connections. Everything that leaves
// the broker for an upstream goes through one [Door]:
//
//	Request ─ headers cleaned ─ credential attached ─ URL built from Origin, Path
//	and Query, re-parsed and compared ─ signed, where the credential is a key to
//	sign with ─ name looked up here, whole, every answer judged ─
//	judged addresses dialled, judged again at the socket, or asked for of the
//	customer's proxy by CONNECT ─ TLS to the origin's
//	name, showing the attached certificate ─ one HTTP exchange, redirects returned and never followed ─ answer
//	decoded, limited, scrubbed ─ Response
//
// What cannot be evaluated is refused: an address that cannot be classified, a
// content coding that cannot be decoded, a URL that does not read back as it was
// written. A proxy through which a connection is to go and cannot is no reason to go
// without; the environment variables that name proxies are not read.
//
// Errors are *[Error]: a kind, whether anything may have been sent, and a cause of
// fixed text. They never hold a URL, a query or a secret.
package egress
