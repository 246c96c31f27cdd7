package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/task"
)

// Tasks keeps users, tasks, their keys and grants: authn.Tasks and mint.Store.
type Tasks struct{ db *db }

const insertTask = `
INSERT INTO tasks (workspace_id, id, agent, user_id, sandbox, state, created_us, expires_us, ended_us, created_by,
    key_id, parent_id, root_id, depth, delegates, approved_by, approved_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`

const insertTaskKey = `
INSERT INTO task_keys (workspace_id, id, task_id, digest, pepper_id, created_us)
VALUES ($1, $2, $3, $4, $5, $6)`

const insertGrant = `
INSERT INTO grants (workspace_id, task_id, id, ordinal, connector, revision, tools, max_severity, resources, limits, expires_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// CreateTask stores task, key, grants and the counters of limited grants. A child is
// held to its parent and its Delegation in the same transaction. An id or key that
// exists already, and a parent that does not fit, are store.ErrConflict.
func (s Tasks) CreateTask(ctx context.Context, m mint.Minted) error {
	return s.db.transact(ctx, "create task", func(ctx context.Context, t *tx) error {
		if err := checkTree(ctx, t, &m); err != nil {
			return err
		}
		if err := addTask(ctx, t, &m); err != nil {
			return err
		}
		for i := range m.Grants {
			if err := addGrant(ctx, t, &m.Task, i, &m.Grants[i]); err != nil {
				return err
			}
		}
		return addDelegation(ctx, t, &m)
	})
}

func addTask(ctx context.Context, t *tx, m *mint.Minted) error {
	k := &m.Task
	delegates, err := list(k.Delegates)
	if err != nil {
		return fmt.Errorf("create task: delegates: %w", err)
	}
	_, err = t.exec(ctx, "create task", insertTask,
		k.Workspace, k.ID, k.Agent, k.User.ID, k.Sandbox.String(), string(k.State),
		micros(k.CreatedAt), micros(k.ExpiresAt), micros(k.EndedAt), k.CreatedBy,
		k.KeyID, k.ParentID, k.RootID, k.Depth, delegates, k.ApprovedBy, k.ApprovedDigest)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "create task: key", insertTaskKey,
		k.Workspace, k.KeyID, k.ID, m.KeyDigest, m.PepperID, micros(k.CreatedAt))
	return err
}

func addGrant(ctx context.Context, t *tx, k *task.Task, ordinal int, g *grant.Grant) error {
	tools, err := list(g.Tools)
	if err != nil {
		return fmt.Errorf("create task: tools of a grant: %w", err)
	}
	resources, err := json.Marshal(g.Resources)
	if err != nil {
		return fmt.Errorf("create task: resources of a grant: %w", err)
	}
	limits, err := json.Marshal(g.Limits)
	if err != nil {
		return fmt.Errorf("create task: limits of a grant: %w", err)
	}
	_, err = t.exec(ctx, "create task: grant", insertGrant,
		k.Workspace, k.ID, g.ID, ordinal, g.Connector, g.Revision, tools, int64(g.MaxSeverity),
		string(resources), string(limits), micros(g.ExpiresAt))
	if err != nil || !g.Limits.Any() {
		return err
	}
	return addCounter(ctx, t, k, g)
}
