package connector

import (
	"context"
	"time"
)

// Store keeps revisions. A connector that does not exist is store.ErrNotFound.
type Store interface {
	// Current returns the newest revision, withdrawn or not.
	Current(ctx context.Context, workspace, name string) (Revision, error)
	// Revision returns one revision.
	Revision(ctx context.Context, workspace, name string, number int64) (Revision, error)
	// Add stores r, whose number must be the newest one plus 1; else store.ErrConflict.
	Add(ctx context.Context, r Revision) error
	// List returns the newest revision of every connector that is not withdrawn, by name.
	List(ctx context.Context, workspace string) ([]Revision, error)
	// Withdraw withdraws one revision, or with 0 all of them, and tells the change
	// feed. store.ErrNotFound where there is nothing to withdraw.
	Withdraw(ctx context.Context, workspace, name string, number int64, at time.Time) error
}
