package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/task"
)

// One row is the parent and one of its grants. limited is 1 where that has a counter.
const findParent = `
SELECT t.root_id, t.depth, t.user_id, t.agent, t.state, t.expires_us, COALESCE(d.above, ''),
    COALESCE(g.id, ''), CASE WHEN COALESCE(c.grant_id, '') = '' THEN 0 ELSE 1 END
FROM tasks t
LEFT JOIN delegations d ON d.workspace_id = t.workspace_id AND d.task_id = t.id
LEFT JOIN grants g ON g.workspace_id = t.workspace_id AND g.task_id = t.id
LEFT JOIN grant_counters c ON c.workspace_id = g.workspace_id AND c.task_id = g.task_id AND c.grant_id = g.id
WHERE t.workspace_id = $1 AND t.id = $2`

// What was minted since a time also expires after it. The root is none of those.
const countTree = `
SELECT SUM(CASE WHEN state IN ('PENDING', 'ACTIVE') THEN 1 ELSE 0 END),
    SUM(CASE WHEN state IN ('PENDING', 'ACTIVE') AND parent_id = $4 THEN 1 ELSE 0 END),
    SUM(CASE WHEN depth > 0 AND created_us > $3 THEN 1 ELSE 0 END)
FROM tasks WHERE workspace_id = $1 AND root_id = $2 AND expires_us > $3`

const insertDelegation = `
INSERT INTO delegations (workspace_id, task_id, above)
VALUES ($1, $2, $3)`

const insertDelegatedGrant = `
INSERT INTO delegated_grants (workspace_id, task_id, grant_id, parent_task_id, parent_grant_id)
VALUES ($1, $2, $3, $4, $5)`

// parent is what a child's parent is in the transaction that adds the child.
type parent struct {
	task   task.Task
	grants map[string]bool // by id: whether it is limited
}

// checkTree reads the parent in the transaction that adds the child: an end of the
// parent at the same moment either sees the child or keeps it from being born, and
// children that are born at the same time count each other.
func checkTree(ctx context.Context, t *tx, m *mint.Minted) error {
	const what = "create task: check its parent"
	child := &m.Task
	if child.ParentID == "" {
		if child.RootID != child.ID || child.Depth != 0 || m.Delegation != nil || len(child.Above) > 0 {
			return t.fail(conflict(what, "a task without a parent must be its own root at depth 0"))
		}
		return nil
	}
	if m.Delegation == nil {
		return t.fail(conflict(what, "a child without a delegation"))
	}
	p, err := readParent(ctx, t, child.Workspace, child.ParentID)
	if err != nil {
		return err
	}
	if why := misfit(m, p); why != "" {
		return t.fail(conflict(what, why))
	}
	if p.task.State != task.Active || !p.task.ExpiresAt.After(child.CreatedAt) || p.task.ExpiresAt.Before(fromMicros(micros(child.ExpiresAt))) {
		return t.fail(fmt.Errorf("%s: %w", what, mint.ErrParentEnded))
	}
	return checkBounds(ctx, t, m)
}

func readParent(ctx context.Context, t *tx, workspace, id string) (*parent, error) {
	p := &parent{grants: map[string]bool{}}
	n, err := t.query(ctx, "create task: read its parent", func(scan scanner) error {
		var state, above, grantID string
		var expires, limited int64
		k := &p.task
		if err := scan(&k.RootID, &k.Depth, &k.User.ID, &k.Agent, &state, &expires, &above, &grantID, &limited); err != nil {
			return err
		}
		k.State, k.ExpiresAt = task.State(state), fromMicros(expires)
		if grantID != "" {
			p.grants[grantID] = limited == 1
		}
		var err error
		k.Above, err = ancestors(above)
		return err
	}, findParent, workspace, id)
	if err == nil && n == 0 {
		err = t.fail(conflict("create task", "no such parent"))
	}
	p.task.ID = id
	return p, err
}

// misfit says in what a child does not follow from its parent.
func misfit(m *mint.Minted, p *parent) string {
	child, k := &m.Task, &p.task
	above := append([]task.Ancestor{{TaskID: k.ID, Agent: k.Agent}}, k.Above...)
	switch {
	case k.RootID != child.RootID || k.Depth+1 != child.Depth || !slices.Equal(above, child.Above):
		return "root, depth and chain do not follow from its parent"
	case k.User.ID != child.User.ID:
		return "it is for another user than its parent"
	case len(m.Delegation.Within) != len(m.Grants):
		return "not every grant lies in one of its parent"
	}
	for i, within := range m.Delegation.Within {
		limited, known := p.grants[within]
		if !known || limited && !m.Grants[i].Limits.Any() {
			return "a grant does not lie in one of its parent"
		}
	}
	return ""
}

func checkBounds(ctx context.Context, t *tx, m *mint.Minted) error {
	const what = "create task: count its tree"
	child, d := &m.Task, m.Delegation
	var tree, children, minted *int64
	_, err := t.query(ctx, what, func(scan scanner) error { return scan(&tree, &children, &minted) },
		countTree, child.Workspace, child.RootID, micros(d.CountFrom), child.ParentID)
	switch {
	case err != nil:
		return err
	case tree == nil || children == nil || minted == nil: // the parent lives, so there is one at least
		return t.fail(conflict(what, "there is none"))
	case *children >= int64(d.Bounds.Children):
		return t.fail(fmt.Errorf("%s: %w", what, mint.ErrTooManyChildren))
	case *tree >= int64(d.Bounds.Tree):
		return t.fail(fmt.Errorf("%s: %w", what, mint.ErrTreeFull))
	case *minted >= int64(d.Bounds.Tree):
		return t.fail(fmt.Errorf("%s: %w", what, mint.ErrTreeTooFast))
	}
	return nil
}

// addDelegation comes after the grants, to which its rows refer.
func addDelegation(ctx context.Context, t *tx, m *mint.Minted) error {
	if m.Delegation == nil {
		return nil
	}
	k := &m.Task
	above, err := json.Marshal(k.Above)
	if err != nil {
		return fmt.Errorf("create task: its chain: %w", err)
	}
	if _, err := t.exec(ctx, "create task: delegation", insertDelegation, k.Workspace, k.ID, string(above)); err != nil {
		return err
	}
	for i, within := range m.Delegation.Within {
		_, err := t.exec(ctx, "create task: delegated grant", insertDelegatedGrant, k.Workspace, k.ID, m.Grants[i].ID, k.ParentID, within)
		if err != nil {
			return err
		}
	}
	return nil
}
