package audit

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/grant"
)

// Store keeps the trail. Write runs f in one serializable transaction and may run
// it several times; f must have no effect outside of tx.
type Store interface {
	Write(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
	// Head returns the last sequence number and hash of a chain; 0 and nil where
	// there is none.
	Head(ctx context.Context, chainID string) (seq int64, hash []byte, err error)
	// OpenHeads returns the heads of all chains that nobody has closed.
	OpenHeads(ctx context.Context) ([]Head, error)
	// Events lists the trail of one workspace, newest first.
	Events(ctx context.Context, f Filter) ([]Event, error)
	// DeadChains returns the unclosed chains of incarnations whose lease has run
	// out at the time now.
	DeadChains(ctx context.Context, now time.Time) ([]string, error)
	// Orphans returns the intents of a chain that have no outcome in any chain.
	Orphans(ctx context.Context, chainID string, limit int) ([]Event, error)
	// CloseChain marks a chain as complete: every intent in it has its outcome.
	CloseChain(ctx context.Context, chainID string) error
}

// Head is the end of one chain.
type Head struct {
	ChainID string
	Seq     int64
	Hash    []byte
}

// Tx is what may be done inside Write.
type Tx interface {
	// LiveTasks returns those of the tasks that are ACTIVE and not past their end.
	LiveTasks(ctx context.Context, tasks []TaskRef, now time.Time) (map[TaskRef]bool, error)
	// ClaimKeys claims idempotency keys in one statement. Its answer holds, for each
	// claim that came too late, the invocation that claimed the key before.
	ClaimKeys(ctx context.Context, claims []Claim, now time.Time) (map[Claim]string, error)
	// HasOutcome reports whether an invocation has an outcome row in any chain.
	HasOutcome(ctx context.Context, workspace, invocationID string) (bool, error)
	// Reserve adds to what a grant has used and reports whether all of it still
	// fits its limits; where it does not, nothing is added. Only limited grants
	// have counters.
	Reserve(ctx context.Context, task TaskRef, grantID string, amount grant.Limits) (ok bool, err error)
	// Settle adds the difference between what was reserved and what was used; the
	// amounts may be negative, and the limit is not looked at.
	Settle(ctx context.Context, task TaskRef, grantID string, difference grant.Limits) error
	// Remaining returns what is left of a limited grant; unlimited parts are -1.
	Remaining(ctx context.Context, task TaskRef, grantID string) (grant.Limits, error)
	// AddUsage puts the usage of one call into the ledger, in place of what stood there
	// of the same invocation.
	AddUsage(ctx context.Context, row LedgerRow) error
	// RemoveUsage takes the row of an invocation out of the ledger, if there is one.
	RemoveUsage(ctx context.Context, workspace, invocationID string) error
	// OpenChain registers a chain of a broker's incarnation.
	OpenChain(ctx context.Context, chainID, brokerID, incarnation string, now time.Time) error
	// Append writes rows; their (chain, seq) must be new.
	Append(ctx context.Context, events []Event) error
}

// TaskRef names a task.
type TaskRef struct{ Workspace, TaskID string }

// Claim ties an idempotency key of a task to the invocation that uses it first.
type Claim struct {
	Task         TaskRef
	Key          string
	InvocationID string
}

// Filter narrows a listing. Before and its two companions continue a page.
type Filter struct {
	Workspace    string
	TaskID       string
	InvocationID string
	Limit        int
	// After is the last row of the page before; nil for the first page.
	After *Cursor
}

// Cursor is a place in a listing, newest first by time, chain, seq.
type Cursor struct {
	Time    time.Time
	ChainID string
	Seq     int64
}
