package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"math"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/task"
)

// One row is a task and one of its grants, or a task without any: a task and its
// grants are read in one round trip, and are of one moment.
const taskColumns = `
    t.workspace_id, t.id, t.agent, t.user_id, u.issuer, u.subject, t.sandbox, t.state, t.created_us, t.expires_us,
    t.ended_us, t.created_by, t.key_id, t.parent_id, t.root_id, t.depth, t.delegates, t.approved_by, t.approved_digest,
    COALESCE(d.above, ''),
    g.id, g.connector, g.revision, g.tools, g.max_severity, g.resources, g.limits, g.expires_us`

const taskJoins = `
JOIN users u ON u.workspace_id = t.workspace_id AND u.id = t.user_id
LEFT JOIN delegations d ON d.workspace_id = t.workspace_id AND d.task_id = t.id
LEFT JOIN grants g ON g.workspace_id = t.workspace_id AND g.task_id = t.id`

const findTask = `
SELECT ` + taskColumns + `
FROM tasks t` + taskJoins + `
WHERE t.workspace_id = $1 AND t.id = $2
ORDER BY g.ordinal`

// digestsPerRead is how many digests findTaskByKey takes: one a pepper that is still
// accepted. The statement has one shape, so that the database plans it once.
const digestsPerRead = 4

const findTaskByKey = `
SELECT ` + taskColumns + `, k.digest
FROM task_keys k
JOIN tasks t ON t.workspace_id = k.workspace_id AND t.id = k.task_id AND t.key_id = k.id` + taskJoins + `
WHERE k.digest IN ($1, $2, $3, $4)
ORDER BY t.workspace_id, t.id, g.ordinal`

const listTasks = `
SELECT ` + taskColumns + `
FROM (
    SELECT * FROM tasks
    WHERE workspace_id = $1` + taskPage

const listTree = `
SELECT ` + taskColumns + `
FROM (
    SELECT * FROM tasks
    WHERE workspace_id = $1 AND root_id = $7` + taskPage

// taskPage goes on with a list of tasks, the newest first, from where the page before ended.
const taskPage = ` AND (created_us, id) < ($2, $3)
      AND (created_by = $4 OR $4 = '')
      AND ((state = 'ACTIVE' AND expires_us > $5) OR $5 = 0)
    ORDER BY created_us DESC, id DESC
    LIMIT $6
) t` + taskJoins + `
ORDER BY t.created_us DESC, t.id DESC, g.ordinal`

// Those above a task in its tree that have ended, the nearest first. A tree ends from its top
// down, in more than one transaction: what lies below may never be written, where the broker
// that ends it dies meanwhile.
const findEndedAbove = `
WITH RECURSIVE above (id, parent_id, state, steps) AS (
    SELECT id, parent_id, state, 0 FROM tasks WHERE workspace_id = $1 AND id = $2
    UNION ALL
    SELECT p.id, p.parent_id, p.state, a.steps + 1 FROM above a JOIN tasks p ON p.workspace_id = $1 AND p.id = a.parent_id
)
SELECT state FROM above WHERE state <> 'ACTIVE' ORDER BY steps LIMIT 1`

// TaskByKey finds the task whose key has one of the digests, in whatever state it
// is, or in that of one above it which has ended; store.ErrNotFound.
func (s Tasks) TaskByKey(ctx context.Context, digests [][]byte) (authn.Found, error) {
	for len(digests) > 0 {
		n := min(len(digests), digestsPerRead)
		found, err := s.taskByKey(ctx, digests[:n])
		if err != nil || found != nil {
			return deref(found), err
		}
		digests = digests[n:]
	}
	return authn.Found{}, notFound("find task by key")
}

func (s Tasks) taskByKey(ctx context.Context, digests [][]byte) (*authn.Found, error) {
	args := make([]any, digestsPerRead)
	for i := range args {
		args[i] = digests[min(i, len(digests)-1)]
	}
	var tasks taskRows
	var digest []byte
	err := s.db.query(ctx, "find task by key", tasks.reset,
		func(scan scanner) error { return tasks.add(scan, &digest) }, findTaskByKey, args...)
	switch {
	case err != nil:
		return nil, err
	case len(tasks.list) > 1:
		// Digests of one key under several peppers cannot belong to two tasks.
		return nil, &failure{text: "find task by key: more than one task has it"}
	case len(tasks.list) == 0:
		return nil, nil
	}
	found := &authn.Found{Task: tasks.list[0].Task, Grants: tasks.list[0].Grants, KeyDigest: bytes.Clone(digest)}
	return found, s.endWithAbove(ctx, &found.Task)
}

// endWithAbove gives a live task the state of one above it that has ended.
func (s Tasks) endWithAbove(ctx context.Context, k *task.Task) error {
	if k.ParentID == "" || k.State != task.Active {
		return nil
	}
	return s.db.query(ctx, "find what has ended above a task", func() {}, func(scan scanner) error { return scan((*string)(&k.State)) },
		findEndedAbove, k.Workspace, k.ParentID)
}

func deref(f *authn.Found) authn.Found {
	if f == nil {
		return authn.Found{}
	}
	return *f
}

// Task returns a task and its grants; store.ErrNotFound.
func (s Tasks) Task(ctx context.Context, workspace, id string) (task.Task, []grant.Grant, error) {
	var tasks taskRows
	err := s.db.query(ctx, "find task", tasks.reset,
		func(scan scanner) error { return tasks.add(scan) }, findTask, workspace, id)
	if err != nil {
		return task.Task{}, nil, err
	}
	if len(tasks.list) == 0 {
		return task.Task{}, nil, notFound("find task")
	}
	return tasks.list[0].Task, tasks.list[0].Grants, nil
}

// Tasks lists tasks, newest first. Without a limit nothing is listed.
func (s Tasks) Tasks(ctx context.Context, f mint.Filter) ([]mint.Listed, error) {
	before := int64(math.MaxInt64)
	if !f.AfterTime.IsZero() {
		before = micros(f.AfterTime)
	}
	query, args := listTasks, []any{f.Workspace, before, f.AfterID, f.CreatedBy, micros(f.LiveAt), max(f.Limit, 0)}
	if f.RootID != "" {
		query, args = listTree, append(args, f.RootID)
	}
	var tasks taskRows
	err := s.db.query(ctx, "list tasks", tasks.reset,
		func(scan scanner) error { return tasks.add(scan) }, query, args...)
	return tasks.list, err
}

// taskRows gathers rows of taskColumns, in which the grants of a task follow each
// other.
type taskRows struct{ list []mint.Listed }

func (r *taskRows) reset() { r.list = nil }

func (r *taskRows) add(scan scanner, more ...any) error {
	var k task.Task
	var g grantColumns
	var sandbox, state, delegates, above string
	var created, expires, ended int64
	into := append([]any{
		&k.Workspace, &k.ID, &k.Agent, &k.User.ID, &k.User.Issuer, &k.User.Subject, &sandbox, &state, &created, &expires,
		&ended, &k.CreatedBy, &k.KeyID, &k.ParentID, &k.RootID, &k.Depth, &delegates, &k.ApprovedBy, &k.ApprovedDigest, &above,
		&g.id, &g.connector, &g.revision, &g.tools, &g.severity, &g.resources, &g.limits, &g.expires,
	}, more...)
	if err := scan(into...); err != nil {
		return err
	}
	if n := len(r.list); n == 0 || r.list[n-1].Task.ID != k.ID || r.list[n-1].Task.Workspace != k.Workspace {
		var err error
		if k.Delegates, err = fromList(delegates); err != nil {
			return err
		}
		if k.Above, err = ancestors(above); err != nil {
			return err
		}
		if sandbox != "" {
			if k.Sandbox, err = spiffeid.FromString(sandbox); err != nil {
				return &failure{text: "a stored SPIFFE ID cannot be read"}
			}
		}
		k.State = task.State(state)
		k.CreatedAt, k.ExpiresAt, k.EndedAt = fromMicros(created), fromMicros(expires), fromMicros(ended)
		r.list = append(r.list, mint.Listed{Task: k})
	}
	return g.appendTo(&r.list[len(r.list)-1].Grants)
}

// ancestors gives nil for a root, of which nothing is stored.
func ancestors(text string) (above []task.Ancestor, err error) {
	if text == "" {
		return nil, nil
	}
	return above, fromJSON(text, &above)
}

// grantColumns are NULL where a task has no grant.
type grantColumns struct {
	id, connector, tools, resources, limits sql.NullString
	revision, severity, expires             sql.NullInt64
}

func (c *grantColumns) appendTo(grants *[]grant.Grant) error {
	if !c.id.Valid {
		return nil
	}
	g := grant.Grant{
		ID: c.id.String, Connector: c.connector.String, Revision: c.revision.Int64,
		MaxSeverity: grant.Severity(c.severity.Int64), ExpiresAt: fromMicros(c.expires.Int64),
	}
	var err error
	if g.Tools, err = fromList(c.tools.String); err != nil {
		return err
	}
	if err := fromJSON(c.resources.String, &g.Resources); err != nil {
		return err
	}
	if err := fromJSON(c.limits.String, &g.Limits); err != nil {
		return err
	}
	*grants = append(*grants, g)
	return nil
}
