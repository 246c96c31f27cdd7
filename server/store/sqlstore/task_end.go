package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// A child ends no later than its parent, so that below a task which has expired there
// is nothing that has not: nothing is lost by not going there.
const findTree = `
WITH RECURSIVE tree (id) AS (
    SELECT id FROM tasks WHERE workspace_id = $1 AND id = $2
    UNION ALL
    SELECT t.id FROM tasks t JOIN tree p ON t.parent_id = p.id WHERE t.workspace_id = $1 AND t.expires_us > $3
)
SELECT id FROM tree`

const endTask = `
UPDATE tasks SET state = $3, ended_us = $4
WHERE workspace_id = $1 AND id = $2 AND state IN ('PENDING', 'ACTIVE')
RETURNING id`

const endTasks = `
WITH RECURSIVE tree (id) AS (
    SELECT id FROM tasks WHERE workspace_id = $1 AND id = $2
    UNION ALL
    SELECT t.id FROM tasks t JOIN tree p ON t.parent_id = p.id WHERE t.workspace_id = $1 AND t.expires_us > $5
)
UPDATE tasks SET state = $3, ended_us = $4
WHERE workspace_id = $1 AND id IN (SELECT id FROM tree) AND state IN ('PENDING', 'ACTIVE')
RETURNING id`

var errNotFinal = errors.New("end task: not a final state, or no time")

// clocksApart is more than brokers can differ in what time it is.
const clocksApart = time.Minute

// EndTask moves an ACTIVE or PENDING task and all tasks below it in its tree to the
// given final state and tells the change feed. Below a task that has ended already,
// whatever still lives is ended all the same. It returns the ids of all of them. The task
// itself ends first, in a transaction of its own: where an error is returned it may have
// ended, and calling again ends the rest.
func (s Tasks) EndTask(ctx context.Context, workspace, id string, to task.State, at time.Time) (tree []string, err error) {
	switch to {
	case task.Ended, task.Revoked, task.Expired:
	default:
		return nil, errNotFinal
	}
	if at.IsZero() {
		return nil, errNotFinal
	}
	if err := s.endFirst(ctx, workspace, id, to, at); err != nil {
		return nil, err
	}
	for range endRounds {
		if tree, err = s.endBelow(ctx, workspace, id, to, at); !mayRetry(err) {
			break
		}
	}
	return tree, err
}

// endRounds is how often the end of a tree is tried anew after the tries of one transaction.
const endRounds = 5

// endFirst ends the task itself. It reads and writes this one row, so that no transaction
// that adds a child can keep it from its commit on a database that lets one of the two
// fail: a task that delegates without pause could else hold its own end off. What it adds
// from now on finds no live parent.
func (s Tasks) endFirst(ctx context.Context, workspace, id string, to task.State, at time.Time) error {
	return s.db.transact(ctx, "end task", func(ctx context.Context, t *tx) error {
		ended, err := ids(ctx, t, endTask, workspace, id, string(to), micros(at))
		if err != nil || len(ended) == 0 {
			return err
		}
		return tell(ctx, t, workspace, store.TaskChanged, id, at)
	})
}

// endBelow ends all that lives below a task and gives the ids of the whole tree.
func (s Tasks) endBelow(ctx context.Context, workspace, id string, to task.State, at time.Time) (tree []string, err error) {
	live := micros(at.Add(-clocksApart))
	err = s.db.transact(ctx, "end task", func(ctx context.Context, t *tx) error {
		var err error
		if tree, err = ids(ctx, t, findTree, workspace, id, live); err != nil {
			return err
		}
		if len(tree) == 0 {
			return t.fail(notFound("end task"))
		}
		ended, err := ids(ctx, t, endTasks, workspace, id, string(to), micros(at), live)
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
	return tree, err
}

func ids(ctx context.Context, t *tx, query string, args ...any) (found []string, err error) {
	_, err = t.query(ctx, "end task", func(scan scanner) error {
		var id string
		err := scan(&id)
		found = append(found, id)
		return err
	}, query, args...)
	return found, err
}
