// Package limit keeps a broker for everybody: how often one may call, how many calls run
// at once, who is next where a shared place is full, and how many bytes are held.
//
//	Gate.Enter ──▶ rates ──▶ places ──full──▶ wait, a bounded time in a bounded queue ──▶ Pass
//	                 └──────── refused: takes nothing ◀────────┘                          Leave
//
// A call enters by several keys at once (its task, its user, its workspace, the whole
// broker) and takes its part of all of them or of none. Where a place becomes free, it
// goes to the caller who has the fewest calls running, and not to whoever asks most.
//
// Nothing in it grows with what strangers send: every map and queue has a bound, and
// what it forgets to stay within it is only what has nothing to be remembered.
package limit
