package sqlstore

import (
	"context"
	"errors"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

const insertCounter = `
INSERT INTO grant_counters (workspace_id, task_id, grant_id, calls_limit, bytes_limit, rows_limit, tokens_limit, micro_usd_limit)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// What a delegated grant uses is used of every grant above it as well, each in the one
// before. chain holds those of them that are limited, from below to above.
const counterChain = ` RECURSIVE above (task_id, grant_id) AS (
    SELECT task_id, id FROM grants WHERE workspace_id = $1 AND task_id = $2 AND id = $3
    UNION ALL
    SELECT d.parent_task_id, d.parent_grant_id FROM above a
    JOIN delegated_grants d ON d.workspace_id = $1 AND d.task_id = a.task_id AND d.grant_id = a.grant_id
), chain AS (
    SELECT c.* FROM above a
    JOIN grant_counters c ON c.workspace_id = $1 AND c.task_id = a.task_id AND c.grant_id = a.grant_id
)`

// Nothing is added anywhere where one of them has not enough left. Each comparison
// subtracts, since a sum could run over.
const reserveCounter = `WITH` + counterChain + `
UPDATE grant_counters
SET calls_used = calls_used + $4, bytes_used = bytes_used + $5, rows_used = rows_used + $6,
    tokens_used = tokens_used + $7, micro_usd_used = micro_usd_used + $8
WHERE workspace_id = $1 AND (task_id, grant_id) IN (SELECT task_id, grant_id FROM chain)
  AND NOT EXISTS (
    SELECT 1 FROM chain c
    WHERE (c.calls_limit >= 0 AND $4 > c.calls_limit - c.calls_used)
       OR (c.bytes_limit >= 0 AND $5 > c.bytes_limit - c.bytes_used)
       OR (c.rows_limit >= 0 AND $6 > c.rows_limit - c.rows_used)
       OR (c.tokens_limit >= 0 AND $7 > c.tokens_limit - c.tokens_used)
       OR (c.micro_usd_limit >= 0 AND $8 > c.micro_usd_limit - c.micro_usd_used))`

// Giving back more than was taken, by whatever mistake, must not raise a limit.
const settleCounter = `WITH` + counterChain + `
UPDATE grant_counters
SET calls_used = CASE WHEN calls_used + $4 < 0 THEN 0 ELSE calls_used + $4 END,
    bytes_used = CASE WHEN bytes_used + $5 < 0 THEN 0 ELSE bytes_used + $5 END,
    rows_used = CASE WHEN rows_used + $6 < 0 THEN 0 ELSE rows_used + $6 END,
    tokens_used = CASE WHEN tokens_used + $7 < 0 THEN 0 ELSE tokens_used + $7 END,
    micro_usd_used = CASE WHEN micro_usd_used + $8 < 0 THEN 0 ELSE micro_usd_used + $8 END
WHERE workspace_id = $1 AND (task_id, grant_id) IN (SELECT task_id, grant_id FROM chain)`

const readCounter = `WITH` + counterChain + `
SELECT calls_limit, calls_used, bytes_limit, bytes_used, rows_limit, rows_used,
    tokens_limit, tokens_used, micro_usd_limit, micro_usd_used
FROM chain`

var errNegative = errors.New("reserve: a negative amount")

func addCounter(ctx context.Context, t *tx, k *task.Task, g *grant.Grant) error {
	limit := func(l int64) int64 {
		if l == 0 {
			return -1
		}
		// A negative limit would read as "not limited": it allows nothing.
		return max(l, 0)
	}
	_, err := t.exec(ctx, "create task: counter", insertCounter, k.Workspace, k.ID, g.ID,
		limit(g.Limits.Calls), limit(g.Limits.Bytes), limit(g.Limits.Rows), limit(g.Limits.Tokens), limit(g.Limits.MicroUSD))
	return err
}

// Reserve adds to what a grant and every grant above it has used and reports whether all
// of it still fits their limits; where it does not, nothing is added. A grant without
// counters is store.ErrNotFound.
func (a auditTx) Reserve(ctx context.Context, ref audit.TaskRef, grantID string, amount grant.Limits) (bool, error) {
	if min(amount.Calls, amount.Bytes, amount.Rows, amount.Tokens, amount.MicroUSD) < 0 {
		return false, a.fail(errNegative)
	}
	n, err := a.exec(ctx, "reserve", reserveCounter, counterArgs(ref, grantID, amount)...)
	if err != nil || n > 0 {
		return err == nil, err
	}
	// Nothing fitted, or there is nothing: only the second is an error.
	_, err = a.Remaining(ctx, ref, grantID)
	return false, err
}

// Settle adds a difference, negative or not, to a grant and every grant above it, and
// does not look at the limits.
func (a auditTx) Settle(ctx context.Context, ref audit.TaskRef, grantID string, difference grant.Limits) error {
	n, err := a.exec(ctx, "settle", settleCounter, counterArgs(ref, grantID, difference)...)
	if err == nil && n == 0 {
		return a.fail(notFound("settle"))
	}
	return err
}

// Remaining returns what is left of a limited grant, which is never more than is left of
// any grant above it; unlimited parts are -1.
func (a auditTx) Remaining(ctx context.Context, ref audit.TaskRef, grantID string) (grant.Limits, error) {
	least := grant.Limits{Calls: -1, Bytes: -1, Rows: -1, Tokens: -1, MicroUSD: -1}
	n, err := a.query(ctx, "read a grant's counters", func(scan scanner) error {
		var limit, used grant.Limits
		err := scan(&limit.Calls, &used.Calls, &limit.Bytes, &used.Bytes, &limit.Rows, &used.Rows,
			&limit.Tokens, &used.Tokens, &limit.MicroUSD, &used.MicroUSD)
		least = grant.Limits{
			Calls: left(least.Calls, limit.Calls, used.Calls), Bytes: left(least.Bytes, limit.Bytes, used.Bytes),
			Rows: left(least.Rows, limit.Rows, used.Rows), Tokens: left(least.Tokens, limit.Tokens, used.Tokens),
			MicroUSD: left(least.MicroUSD, limit.MicroUSD, used.MicroUSD),
		}
		return err
	}, readCounter, ref.Workspace, ref.TaskID, grantID)
	if err != nil {
		return grant.Limits{}, err
	}
	if n == 0 {
		return grant.Limits{}, a.fail(notFound("read a grant's counters"))
	}
	return least, nil
}

// left is the smaller of two remainders, of which -1 is the largest.
func left(least, limit, used int64) int64 {
	switch rest := max(limit-used, 0); {
	case limit < 0:
		return least
	case least < 0:
		return rest
	default:
		return min(least, rest)
	}
}

func counterArgs(ref audit.TaskRef, grantID string, l grant.Limits) []any {
	return []any{ref.Workspace, ref.TaskID, grantID, l.Calls, l.Bytes, l.Rows, l.Tokens, l.MicroUSD}
}
