package mint

import (
	"context"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

// Revoke ends a task and all below it: when it returns, this broker refuses them;
// every other broker does within a second. A task that has ended stays as it is. By
// its orchestrator it is ENDED, by an operator REVOKED.
func (m *Mint) Revoke(ctx context.Context, by authn.Identity, id string) (task.Task, []grant.Grant, error) {
	to := task.Revoked
	if by.Role == authn.OrchestratorRole {
		to = task.Ended
	}
	return m.end(ctx, by.Workspace, id, roleSees(by), to)
}

// EndDelegated ends a task below the caller's own, and all below that, as Revoke does:
// they are ENDED. The caller's own task and all that do not stand below it are
// TASK_UNKNOWN, like one that there is not. The chain by which this is decided was checked
// when the task was minted, and never changes.
func (m *Mint) EndDelegated(ctx context.Context, caller *task.Task, id string) (task.Task, []grant.Grant, error) {
	below := sight{unknown: "no such task below this one", sees: func(t *task.Task) bool { return t.Below(caller.ID) }}
	return m.end(ctx, caller.Workspace, id, below, task.Ended)
}

// end ends a task that is seen and returns it as it stands then. Where it fails, the task
// may have ended: to call again ends what is left.
func (m *Mint) end(ctx context.Context, workspace, id string, s sight, to task.State) (task.Task, []grant.Grant, error) {
	if _, _, err := m.seen(ctx, workspace, id, s); err != nil {
		return task.Task{}, nil, err
	}
	tree, err := m.o.Store.EndTask(ctx, workspace, id, to, m.o.Now())
	if err != nil {
		return task.Task{}, nil, unavailable("the task could not be ended; try again", err)
	}
	m.o.Forget(workspace, tree)
	return m.seen(ctx, workspace, id, s)
}
