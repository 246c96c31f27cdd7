// Package store holds what every store shares: its errors, its clock and the change
// feed. The interfaces stand with their users (authn, mint, connector, credential,
// vault, audit); sqlstore implements them all, and storetest is the conformance suite.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors that every store returns, wrapped with what it was about.
var (
	// ErrNotFound: no such row in this workspace.
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody else was first.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the database cannot be reached or did not answer in time.
	ErrUnavailable = errors.New("store unavailable")
	// ErrSchema: the database is not at the version that this binary needs.
	ErrSchema = errors.New("schema version")
)

// ChangeKind says what changed.
type ChangeKind string

// The kinds of change that caches must hear about.
const (
	TaskChanged       ChangeKind = "task"
	CredentialChanged ChangeKind = "credential"
	ConnectorChanged  ChangeKind = "connector"
)

// Change is one entry of the change feed: "what you remember of this is old".
type Change struct {
	Workspace string
	Kind      ChangeKind
	// ID is the task id, the credential id, or the connector's name.
	ID string
	At time.Time
}

// ChangeFeed is read by polling. A transaction that ends a task, replaces a
// credential or withdraws a connector adds its change in that same transaction.
type ChangeFeed interface {
	// Changes returns every change recorded at or after since.
	Changes(ctx context.Context, since time.Time) ([]Change, error)
}

// Brokers keeps the leases of the brokers on one store.
type Brokers interface {
	// Heartbeat says that an incarnation lives until the given time and has loaded
	// these keys. The first one registers it.
	Heartbeat(ctx context.Context, brokerID, incarnation string, until time.Time, keys []string) error
	// Leave ends an incarnation's lease.
	Leave(ctx context.Context, incarnation string) error
}
