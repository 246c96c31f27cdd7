// Package egress is the only maker of outbound connections. Everything that leaves
// the broker for an upstream goes through one [Door]:
//
//	Request ─ headers cleaned ─ credential attached ─ URL built from Origin, Path
//	and Query, re-parsed and compared ─ name resolved here, every answer judged ─
//	judged addresses dialled, judged again at the socket ─ TLS to the origin's
//	name ─ one HTTP exchange, redirects returned and never followed ─ answer
//	decoded, limited, scrubbed ─ Response
//
// What cannot be evaluated is refused: an address that cannot be classified, a
// content coding that cannot be decoded, a URL that does not read back as it was
// written. Proxies, and the environment variables that name them, are not used.
//
// Errors are *[Error]: a kind, whether anything may have been sent, and a cause of
// fixed text. They never hold a URL, a query or a secret.
package egress
