// Package credential keeps upstream credentials and attaches them. Write-only: the
// secret goes in by Put, and comes out only through Attach, which demands the Intent
// of a recorded call.
//
//	Find ───► the sealed record for (workspace, connector, slot, owner);
//	          put for this very destination, or it counts as missing
//	Attach ─► opens it and renders it into the request; the same bytes are what the
//	          answer is scrubbed of
//
// There is one small file a kind: what is accepted at Put and how it is rendered.
package credential
