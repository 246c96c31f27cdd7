// Package grant decides what a task may do. It is pure: no clock, no store, no
// network, and everything in it narrows. A zero value grants nothing.
//
//	Parse, Validate    what was asked for becomes a Grant, or is refused
//	NewSet, Evaluate   a task's grants are indexed once and judge its calls
//	Within             a child's grants are held within its parent's
//	Digest             names what a person will approve; no approval is asked for yet
package grant

import "time"

// Grant is what a task may do. Every part must match a call; an empty part matches
// none.
type Grant struct {
	// ID is a UUID given when the task is minted.
	ID        string
	Connector string
	// Revision is the connector's revision on which the task runs.
	Revision int64
	// Tools are names, or patterns ("contacts.*") until the grant is minted.
	Tools       []string
	MaxSeverity Severity
	Resources   []Pattern
	Limits      Limits
	// ExpiresAt is the grant's own end; zero means with the task.
	ExpiresAt time.Time
}

// Limits bound what a grant may consume; zero means not limited.
type Limits struct {
	Calls    int64 `json:"calls,omitempty"`
	Bytes    int64 `json:"bytes,omitempty"`
	Rows     int64 `json:"rows,omitempty"`
	Tokens   int64 `json:"tokens,omitempty"`
	MicroUSD int64 `json:"micro_usd,omitempty"`
}

// Any reports whether anything is limited.
func (l Limits) Any() bool { return l != Limits{} }

// approves reports whether g approves a severity. One that is out of range, on
// either side, approves nothing and is approved by nothing.
func (g *Grant) approves(s Severity) bool {
	return s.Valid() && g.MaxSeverity.Valid() && s <= g.MaxSeverity
}

// ended reports whether g's own end has come. The moment itself is outside.
func (g *Grant) ended(now time.Time) bool {
	return !g.ExpiresAt.IsZero() && !now.Before(g.ExpiresAt)
}
