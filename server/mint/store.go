package mint

import (
	"context"
	"errors"
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
	// Delegation is nil for a root.
	Delegation *Delegation
}

// Delegation is what the store holds a child to, in the transaction that adds it.
type Delegation struct {
	// Within has, for each grant, the id of the parent's grant in which it lies.
	Within []string
	Bounds Bounds
	// CountFrom is the time from which tasks count against Bounds: all that live and whose
	// end is later. Of those minted later, Bounds.Tree is the most as well, whatever became
	// of them: who ends tasks frees their places, and must not mint the more for it.
	CountFrom time.Time
}

// Bounds keep one tree of tasks from growing without end. Zero allows none.
type Bounds struct {
	// Depth is how far below its root a task may be.
	Depth int
	// Children are those of one task, Tree all tasks of one root with the root itself.
	// Both count tasks that live or have expired of late, and none that was ended.
	Children int
	Tree     int
}

// Why a child is not stored. A parent that is not as the child says is
// store.ErrConflict.
var (
	// ErrParentEnded: the parent is not live, or ends before the child.
	ErrParentEnded = errors.New("the parent is not live, or does not last as long")
	// ErrTooManyChildren and ErrTreeFull: a bound is reached; ErrTreeTooFast: that of the
	// tree, by how many were minted of late.
	ErrTooManyChildren = errors.New("the parent has as many children as it may have")
	ErrTreeFull        = errors.New("the tree has as many tasks as it may have")
	ErrTreeTooFast     = errors.New("the tree was given as many tasks of late as it may have")
)

// Store keeps tasks.
type Store interface {
	// EnsureUser returns the user, with the given id if it did not exist.
	EnsureUser(ctx context.Context, workspace, issuer, subject, newID string, now time.Time) (task.User, error)
	// FindUser returns a user; store.ErrNotFound.
	FindUser(ctx context.Context, workspace, issuer, subject string) (task.User, error)
	// CreateTask stores task, key, grants and the counters of limited grants. A child is
	// held to its parent and to its Delegation in the same transaction: ErrParentEnded,
	// ErrTooManyChildren, ErrTreeFull, ErrTreeTooFast.
	CreateTask(ctx context.Context, m Minted) error
	// Task returns a task and its grants; store.ErrNotFound.
	Task(ctx context.Context, workspace, id string) (task.Task, []grant.Grant, error)
	// Tasks lists tasks, newest first.
	Tasks(ctx context.Context, f Filter) ([]Listed, error)
	// EndTask moves an ACTIVE or PENDING task and all tasks below it in its tree to
	// the given final state and tells the change feed. A task that has ended already
	// stays as it is and is no error; store.ErrNotFound. It returns the ids of the task
	// and of all below it that have not expired, whether they had ended before or not.
	EndTask(ctx context.Context, workspace, id string, to task.State, at time.Time) (tree []string, err error)
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
	// RootID narrows to one tree; empty means all.
	RootID string
	// LiveAt, when not zero, keeps only tasks that are live at that time.
	LiveAt time.Time
	Limit  int
	// AfterTime and AfterID continue a page.
	AfterTime time.Time
	AfterID   string
}
