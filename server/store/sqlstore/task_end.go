package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

const taskExists = `SELECT 1 FROM tasks WHERE workspace_id = $1 AND id = $2`

const endTasks = `
WITH RECURSIVE tree (id) AS (
    SELECT id FROM tasks WHERE workspace_id = $1 AND id = $2
    UNION ALL
    SELECT t.id FROM tasks t JOIN tree p ON t.parent_id = p.id WHERE t.workspace_id = $1
)
UPDATE tasks SET state = $3, ended_us = $4
WHERE workspace_id = $1 AND id IN (SELECT id FROM tree) AND state IN ('PENDING', 'ACTIVE')
RETURNING id`

var errNotFinal = errors.New("end task: not a final state, or no time")

// EndTask moves an ACTIVE or PENDING task and all tasks below it in its tree to the
// given final state and tells the change feed. Below a task that has ended already,
// whatever still lives is ended all the same.
func (s Tasks) EndTask(ctx context.Context, workspace, id string, to task.State, at time.Time) error {
	switch to {
	case task.Ended, task.Revoked, task.Expired:
	default:
		return errNotFinal
	}
	if at.IsZero() {
		return errNotFinal
	}
	return s.db.transact(ctx, "end task", func(ctx context.Context, t *tx) error {
		n, err := t.query(ctx, "end task", func(scan scanner) error { return scan(new(int)) }, taskExists, workspace, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return t.fail(notFound("end task"))
		}
		var ended []string
		_, err = t.query(ctx, "end task", func(scan scanner) error {
			var id string
			err := scan(&id)
			ended = append(ended, id)
			return err
		}, endTasks, workspace, id, string(to), micros(at))
		if err != nil {
			return err
		}
		for _, id := range ended {
			if err := tell(ctx, t, workspace, store.TaskChanged, id, at); err != nil {
				return err
			}
		}
		return nil
	})
}
