// Package audit records every call and every refusal, and makes the record a
// precondition: what cannot be recorded does not happen.
//
// A call is two rows. Begin writes the INTENT, durable before the call leaves;
// Finish queues the OUTCOME, written behind within 50 ms. In between the holder of
// the Intent may open a credential and send the request; nobody else can, since
// those steps demand the Intent and refuse its zero value.
//
//	Begin ──► one transaction for all who wait: task live? key unused?
//	          limits reserved? intent appended ──► Intent
//	Finish ─► queue ──► the next transaction appends the outcome
//	Refuse ─► REFUSAL row; from the tenth a minute per (peer, reason) counted
//
// One writer a broker appends to one chain: every row holds the hash of the row
// before, so the store can lose or change none unnoticed. A chain belongs to one run
// of one broker; it opens with a signed row that names the heads of the chains then
// open. When a broker dies, another one closes its intents as UNKNOWN.
package audit
