package sqlstore

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/audit"
)

// A row that stands already is an estimate: whoever knows better comes later, since a
// sweeper writes none where there is an outcome.
const addUsage = `
INSERT INTO usage_ledger (workspace_id, invocation_id, at_us, day, user_id, agent, task_id, connector, model, asked_model,
    input_tokens, cached_tokens, cache_write_tokens, output_tokens, micro_usd, estimated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (workspace_id, invocation_id) DO UPDATE SET
    at_us = excluded.at_us, day = excluded.day, model = excluded.model, asked_model = excluded.asked_model,
    input_tokens = excluded.input_tokens, cached_tokens = excluded.cached_tokens, cache_write_tokens = excluded.cache_write_tokens,
    output_tokens = excluded.output_tokens, micro_usd = excluded.micro_usd, estimated = excluded.estimated`

const removeUsage = `DELETE FROM usage_ledger WHERE workspace_id = $1 AND invocation_id = $2`

// One statement for every grouping: what is not grouped by is the same in all rows. What
// is asked of a task is asked of all that it delegated to as well.
const sumUsage = `
WITH RECURSIVE tree (id) AS (
    SELECT id FROM tasks WHERE workspace_id = $1 AND id = $6
    UNION ALL
    SELECT t.id FROM tasks t JOIN tree p ON t.parent_id = p.id WHERE t.workspace_id = $1
)
SELECT s.by_user, COALESCE(u.issuer, ''), COALESCE(u.subject, ''), s.by_agent, s.by_task, s.by_model, s.by_connector, s.by_day,
    s.calls, s.estimated, s.input_tokens, s.cached_tokens, s.cache_write_tokens, s.output_tokens, s.micro_usd, s.unpriced
FROM (
    SELECT CASE WHEN $9 = 1 THEN user_id ELSE '' END AS by_user,
        CASE WHEN $10 = 1 THEN agent ELSE '' END AS by_agent,
        CASE WHEN $11 = 1 THEN task_id ELSE '' END AS by_task,
        CASE WHEN $12 = 1 THEN model ELSE '' END AS by_model,
        CASE WHEN $13 = 1 THEN connector ELSE '' END AS by_connector,
        CASE WHEN $14 = 1 THEN day ELSE '' END AS by_day,
        SUM(1) AS calls, SUM(estimated) AS estimated,
        SUM(input_tokens) AS input_tokens, SUM(cached_tokens) AS cached_tokens,
        SUM(cache_write_tokens) AS cache_write_tokens, SUM(output_tokens) AS output_tokens,
        SUM(CASE WHEN micro_usd < 0 THEN 0 ELSE micro_usd END) AS micro_usd,
        SUM(CASE WHEN micro_usd < 0 THEN 1 ELSE 0 END) AS unpriced
    FROM usage_ledger
    WHERE workspace_id = $1 AND at_us >= $2 AND at_us < $3
      AND (user_id = $4 OR $4 = '') AND (agent = $5 OR $5 = '') AND (task_id = $6 OR $6 = '' OR task_id IN (SELECT id FROM tree))
      AND (connector = $7 OR $7 = '') AND (model = $8 OR $8 = '')
      AND ($16 = '' OR user_id IN (SELECT id FROM users WHERE workspace_id = $1 AND issuer = $17 AND subject = $16))
    GROUP BY 1, 2, 3, 4, 5, 6
) s
LEFT JOIN users u ON u.workspace_id = $1 AND u.id = s.by_user
ORDER BY s.by_day, s.by_user, s.by_agent, s.by_task, s.by_connector, s.by_model
LIMIT $15`

// AddUsage puts the usage of one call into the ledger, in place of what stood there of
// the same invocation.
func (a auditTx) AddUsage(ctx context.Context, r audit.LedgerRow) error {
	_, err := a.exec(ctx, "add to the ledger", addUsage, r.Workspace, r.InvocationID, micros(r.Time), day(r.Time),
		r.UserID, r.Agent, r.TaskID, r.Connector, r.Model, r.Asked,
		r.Input, r.CachedInput, r.CacheWrite, r.Output, r.MicroUSD, number(r.Estimated))
	return err
}

// RemoveUsage takes the row of an invocation out of the ledger, if there is one.
func (a auditTx) RemoveUsage(ctx context.Context, workspace, invocationID string) error {
	_, err := a.exec(ctx, "take out of the ledger", removeUsage, workspace, invocationID)
	return err
}

// day is in UTC: what a day is must not depend on the broker that asks.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Usage sums the ledger of one workspace, in the order of the groups.
func (a Audit) Usage(ctx context.Context, q audit.UsageQuery) ([]audit.UsageSum, error) {
	var sums []audit.UsageSum
	err := a.db.query(ctx, "sum usage", func() { sums = nil }, func(scan scanner) error {
		var s audit.UsageSum
		err := scan(&s.UserID, &s.UserIssuer, &s.UserSubject, &s.Agent, &s.TaskID, &s.Model, &s.Connector, &s.Day,
			&s.Calls, &s.Estimated, &s.Input, &s.CachedInput, &s.CacheWrite, &s.Output, &s.MicroUSD, &s.Unpriced)
		sums = append(sums, s)
		return err
	}, sumUsage, q.Workspace, micros(q.From), micros(q.Until), q.UserID, q.Agent, q.TaskID, q.Connector, q.Model,
		number(q.By.User), number(q.By.Agent), number(q.By.Task), number(q.By.Model), number(q.By.Connector), number(q.By.Day), max(q.Limit, 0),
		q.UserSubject, q.UserIssuer)
	return sums, err
}
