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
	return m.seen(ctx, by.Workspace, id, roleSees(by))
}

// sight says which tasks of a workspace somebody sees, and what whoever asks for any other
// is told: whether that exists is not.
type sight struct {
	sees    func(t *task.Task) bool
	unknown string
}

func roleSees(by authn.Identity) sight {
	return sight{unknown: "no such task in this workspace", sees: func(t *task.Task) bool {
		return by.Role == authn.OperatorRole || t.CreatedBy == by.Orchestrator.ID.String()
	}}
}

// seen returns a task that is seen; TASK_UNKNOWN.
func (m *Mint) seen(ctx context.Context, workspace, id string, s sight) (task.Task, []grant.Grant, error) {
	t, grants, err := m.o.Store.Task(ctx, workspace, id)
	if errors.Is(err, store.ErrNotFound) || (err == nil && !s.sees(&t)) {
		return task.Task{}, nil, fault.New(fault.TaskUnknown, s.unknown, err)
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
