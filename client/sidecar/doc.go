// Package sidecar lets programs that speak neither SPIFFE nor mutual TLS reach a broker
// from within their sandbox.
//
//	program ──▶ http://127.0.0.1:PORT or a unix socket
//	            │  guard      loopback names only, no foreign web page
//	            │  handler    what a task may ask of /v1/, /c/ and /mcp, byte for byte
//	            │  courier    one connection a generation of the SVID
//	            ▼
//	            the broker's REST listener: mutual TLS 1.3, HTTP/2, one SPIFFE ID
//
// A sidecar holds the SVID and nothing else. The task key comes from the program, in its
// headers, and goes through; whoever sends none gets what the broker gives to callers
// without a key. What takes an SVID alone, the broker's administration, is not forwarded.
// So a sidecar adds no authority to what its sandbox has.
//
// Of a request that fails it says whether it can have been sent. What the broker has
// provably not begun is 503, or tried again where the body can be; what it may have
// done is 502 with OUTCOME_UNKNOWN, which no SDK repeats by itself.
package sidecar
