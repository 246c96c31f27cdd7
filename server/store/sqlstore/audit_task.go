package sqlstore

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/audit"
)

// liveTasksPerRead is how many ids liveTasks takes. A shorter list is filled up with
// its last id, so that the statement has one shape.
const liveTasksPerRead = 16

const liveTasks = `
SELECT id FROM tasks
WHERE workspace_id = $1 AND state = 'ACTIVE' AND expires_us > $2
  AND id IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`

// LiveTasks returns those of the tasks that are ACTIVE and not past their end.
func (a auditTx) LiveTasks(ctx context.Context, tasks []audit.TaskRef, now time.Time) (map[audit.TaskRef]bool, error) {
	live := make(map[audit.TaskRef]bool, len(tasks))
	byWorkspace := map[string][]string{}
	for _, ref := range tasks {
		byWorkspace[ref.Workspace] = append(byWorkspace[ref.Workspace], ref.TaskID)
	}
	for workspace, ids := range byWorkspace {
		for len(ids) > 0 {
			n := min(len(ids), liveTasksPerRead)
			args := make([]any, 0, 2+liveTasksPerRead)
			args = append(args, workspace, micros(now))
			for i := range liveTasksPerRead {
				args = append(args, ids[min(i, n-1)])
			}
			_, err := a.query(ctx, "check that tasks are live", func(scan scanner) error {
				var id string
				err := scan(&id)
				live[audit.TaskRef{Workspace: workspace, TaskID: id}] = true
				return err
			}, liveTasks, args...)
			if err != nil {
				return nil, err
			}
			ids = ids[n:]
		}
	}
	return live, nil
}

const (
	claimKeysHead = `INSERT INTO idempotency_keys (workspace_id, task_id, idem_key, invocation_id, created_us) VALUES `
	claimKeysTail = ` ON CONFLICT (workspace_id, task_id, idem_key) DO NOTHING`
	claimColumns  = 5
)

const findClaim = `
SELECT invocation_id FROM idempotency_keys
WHERE workspace_id = $1 AND task_id = $2 AND idem_key = $3`

// claimed is an idempotency key of a task.
type claimed struct {
	task audit.TaskRef
	key  string
}

// ClaimKeys claims idempotency keys. Its answer holds, for each claim that came too
// late, the invocation that claimed the key before; within one call, the first claim
// of a key wins.
func (a auditTx) ClaimKeys(ctx context.Context, claims []audit.Claim, now time.Time) (map[audit.Claim]string, error) {
	winner := make(map[claimed]string, len(claims))
	args := make([]any, 0, len(claims)*claimColumns)
	for _, c := range claims {
		k := claimed{c.Task, c.Key}
		if _, twice := winner[k]; twice {
			continue // a statement may not touch a row twice
		}
		winner[k] = c.InvocationID
		args = append(args, c.Task.Workspace, c.Task.TaskID, c.Key, c.InvocationID, micros(now))
	}
	made, err := a.many(ctx, "claim idempotency keys", claimKeysHead, claimKeysTail, claimColumns, args)
	if err != nil {
		return nil, err
	}
	if int(made) != len(winner) {
		// Rare: at least one key was claimed in an earlier transaction.
		if err := a.readClaims(ctx, winner); err != nil {
			return nil, err
		}
	}
	late := map[audit.Claim]string{}
	for _, c := range claims {
		if first := winner[claimed{c.Task, c.Key}]; first != c.InvocationID {
			late[c] = first
		}
	}
	return late, nil
}

func (a auditTx) readClaims(ctx context.Context, winner map[claimed]string) error {
	for k := range winner {
		var invocation string
		n, err := a.query(ctx, "read an idempotency key", func(scan scanner) error { return scan(&invocation) },
			findClaim, k.task.Workspace, k.task.TaskID, k.key)
		if err == nil && n == 0 {
			err = a.fail(conflict("read an idempotency key", "it was neither claimed nor is it there"))
		}
		if err != nil {
			return err
		}
		winner[k] = invocation
	}
	return nil
}

const hasOutcome = `
SELECT 1 FROM audit_events
WHERE workspace_id = $1 AND invocation_id = $2 AND kind IN ('OUTCOME', 'ADMIN_OUTCOME')
LIMIT 1`

// HasOutcome reports whether an invocation has an outcome row in any chain.
func (a auditTx) HasOutcome(ctx context.Context, workspace, invocationID string) (bool, error) {
	n, err := a.query(ctx, "look for an outcome", func(scan scanner) error { return scan(new(int)) },
		hasOutcome, workspace, invocationID)
	return n > 0, err
}
