package mint

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

// Minted is all that Create writes, in one transaction.
type Minted struct {
	Task   task.Task
	Grants []grant.Grant
	// KeyDigest is the keyed hash of the task key; PepperID names the pepper.
	KeyDigest []byte
	PepperID  string
}

// Store keeps tasks.
type Store interface {
	// EnsureUser returns the user, with the given id if it did not exist.
	EnsureUser(ctx context.Context, workspace, issuer, subject, newID string, now time.Time) (task.User, error)
	// FindUser returns a user; store.ErrNotFound.
	FindUser(ctx context.Context, workspace, issuer, subject string) (task.User, error)
	// CreateTask stores task, key, grants and the counters of limited grants.
	CreateTask(ctx context.Context, m Minted) error
	// Task returns a task and its grants; store.ErrNotFound.
	Task(ctx context.Context, workspace, id string) (task.Task, []grant.Grant, error)
	// Tasks lists tasks, newest first.
	Tasks(ctx context.Context, f Filter) ([]Listed, error)
	// EndTask moves an ACTIVE or PENDING task and all tasks below it in its tree to
	// the given final state and tells the change feed. A task that has ended already
	// stays as it is and is no error; store.ErrNotFound.
	EndTask(ctx context.Context, workspace, id string, to task.State, at time.Time) error
}

// Listed is one task of a listing.
type Listed struct {
	Task   task.Task
	Grants []grant.Grant
}

// Filter narrows a listing.
type Filter struct {
	Workspace string
	// CreatedBy narrows to one orchestrator; empty means all.
	CreatedBy string
	// LiveAt, when not zero, keeps only tasks that are live at that time.
	LiveAt time.Time
	Limit  int
	// AfterTime and AfterID continue a page.
	AfterTime time.Time
	AfterID   string
}
