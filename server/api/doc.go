// Package api is the gRPC surface: one table that names every RPC and who may call
// it, one ordered chain through which every RPC passes, and thin handlers that turn
// messages into calls and results into messages.
//
//	recover → trace → log, metrics → deadline → refusals → who may → rate → validate → record → handler
//
// Validation comes last of the checks, so that strangers learn nothing of the schema.
// An RPC that is not in the table is refused.
package api
