package mint

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// Get returns a task. An orchestrator sees only those that it minted, and
// what these delegated to.
func (m *Mint) Get(ctx context.Context, by authn.Identity, id string) (task.Task, []grant.Grant, error) {
	t, grants, err := m.o.Store.Task(ctx, by.Workspace, id)
	if errors.Is(err, store.ErrNotFound) || (err == nil && !mine(by, &t)) {
		return task.Task{}, nil, fault.New(fault.TaskUnknown, "no such task in this workspace", err)
	}
	if err != nil {
		return task.Task{}, nil, unavailable("the task cannot be read now; try again", err)
	}
	return t, grants, nil
}

// Listing says which tasks of a workspace to list.
type Listing struct {
	// RootID narrows to one tree; empty means all.
	RootID     string
	ActiveOnly bool
	Limit      int
	// AfterTime and AfterID continue a page.
	AfterTime time.Time
	AfterID   string
}

// List returns tasks, newest first. An orchestrator sees only those that it minted.
func (m *Mint) List(ctx context.Context, by authn.Identity, l Listing) ([]Listed, error) {
	f := Filter{Workspace: by.Workspace, RootID: l.RootID, Limit: l.Limit, AfterTime: l.AfterTime, AfterID: l.AfterID}
	if by.Role == authn.OrchestratorRole {
		f.CreatedBy = by.Orchestrator.ID.String()
	}
	if l.ActiveOnly {
		f.LiveAt = m.o.Now()
	}
	list, err := m.o.Store.Tasks(ctx, f)
	if err != nil {
		return nil, unavailable("the tasks cannot be read now; try again", err)
	}
	return list, nil
}

// Revoke ends a task and all below it: when it returns, this broker refuses them;
// every other broker does within a second. A task that has ended stays as it is. By
// its orchestrator it is ENDED, by an operator REVOKED.
func (m *Mint) Revoke(ctx context.Context, by authn.Identity, id string) (task.Task, []grant.Grant, error) {
	if _, _, err := m.Get(ctx, by, id); err != nil {
		return task.Task{}, nil, err
	}
	to := task.Revoked
	if by.Role == authn.OrchestratorRole {
		to = task.Ended
	}
	tree, err := m.o.Store.EndTask(ctx, by.Workspace, id, to, m.o.Now())
	if err != nil {
		return task.Task{}, nil, unavailable("the task could not be ended; try again", err)
	}
	m.o.Forget(by.Workspace, tree)
	return m.Get(ctx, by, id)
}

func mine(by authn.Identity, t *task.Task) bool {
	return by.Role == authn.OperatorRole || t.CreatedBy == by.Orchestrator.ID.String()
}
