// Package model knows the shapes of model APIs: where a request names the user, how
// many tokens a call may use at most, and where an answer says how many it did use. It
// is pure: no clock, no store, no network.
//
//	Terms     what a connector's manifest says: dialect, prices, bounds
//	Prepare   request ─▶ Call: the body as it is sent, and the Estimate to reserve
//	Call.Meter  the answer on its way to the caller, read along and never held back
//	Call.Bill   what the call used: the provider's numbers, else the estimate
//
// There is one small file a dialect. Only the provider's own members at their
// documented place count: what stands in a prompt or in a tool's output is text.
package model
