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

// Each comparison subtracts, since a sum could run over.
const reserveCounter = `
UPDATE grant_counters
SET calls_used = calls_used + $4, bytes_used = bytes_used + $5, rows_used = rows_used + $6,
    tokens_used = tokens_used + $7, micro_usd_used = micro_usd_used + $8
WHERE workspace_id = $1 AND task_id = $2 AND grant_id = $3
  AND (calls_limit < 0 OR $4 <= calls_limit - calls_used)
  AND (bytes_limit < 0 OR $5 <= bytes_limit - bytes_used)
  AND (rows_limit < 0 OR $6 <= rows_limit - rows_used)
  AND (tokens_limit < 0 OR $7 <= tokens_limit - tokens_used)
  AND (micro_usd_limit < 0 OR $8 <= micro_usd_limit - micro_usd_used)`

// Giving back more than was taken, by whatever mistake, must not raise a limit.
const settleCounter = `
UPDATE grant_counters
SET calls_used = CASE WHEN calls_used + $4 < 0 THEN 0 ELSE calls_used + $4 END,
    bytes_used = CASE WHEN bytes_used + $5 < 0 THEN 0 ELSE bytes_used + $5 END,
    rows_used = CASE WHEN rows_used + $6 < 0 THEN 0 ELSE rows_used + $6 END,
    tokens_used = CASE WHEN tokens_used + $7 < 0 THEN 0 ELSE tokens_used + $7 END,
    micro_usd_used = CASE WHEN micro_usd_used + $8 < 0 THEN 0 ELSE micro_usd_used + $8 END
WHERE workspace_id = $1 AND task_id = $2 AND grant_id = $3`

const readCounter = `
SELECT calls_limit, calls_used, bytes_limit, bytes_used, rows_limit, rows_used,
    tokens_limit, tokens_used, micro_usd_limit, micro_usd_used
FROM grant_counters WHERE workspace_id = $1 AND task_id = $2 AND grant_id = $3`

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

// Reserve adds to what a grant has used and reports whether all of it still fits its
// limits; where it does not, nothing is added. A grant without counters is
// store.ErrNotFound.
func (a auditTx) Reserve(ctx context.Context, ref audit.TaskRef, grantID string, amount grant.Limits) (bool, error) {
	if min(amount.Calls, amount.Bytes, amount.Rows, amount.Tokens, amount.MicroUSD) < 0 {
		return false, a.fail(errNegative)
	}
	n, err := a.exec(ctx, "reserve", reserveCounter, counterArgs(ref, grantID, amount)...)
	if err != nil || n == 1 {
		return err == nil, err
	}
	// Nothing fitted, or there is nothing: only the second is an error.
	_, err = a.Remaining(ctx, ref, grantID)
	return false, err
}

// Settle adds a difference, negative or not, and does not look at the limit.
func (a auditTx) Settle(ctx context.Context, ref audit.TaskRef, grantID string, difference grant.Limits) error {
	n, err := a.exec(ctx, "settle", settleCounter, counterArgs(ref, grantID, difference)...)
	if err == nil && n == 0 {
		return a.fail(notFound("settle"))
	}
	return err
}

// Remaining returns what is left of a limited grant; unlimited parts are -1.
func (a auditTx) Remaining(ctx context.Context, ref audit.TaskRef, grantID string) (grant.Limits, error) {
	var limit, used grant.Limits
	n, err := a.query(ctx, "read a grant's counters", func(scan scanner) error {
		return scan(&limit.Calls, &used.Calls, &limit.Bytes, &used.Bytes, &limit.Rows, &used.Rows,
			&limit.Tokens, &used.Tokens, &limit.MicroUSD, &used.MicroUSD)
	}, readCounter, ref.Workspace, ref.TaskID, grantID)
	if err != nil {
		return grant.Limits{}, err
	}
	if n == 0 {
		return grant.Limits{}, a.fail(notFound("read a grant's counters"))
	}
	left := func(limit, used int64) int64 {
		if limit < 0 {
			return -1
		}
		return max(limit-used, 0)
	}
	return grant.Limits{
		Calls: left(limit.Calls, used.Calls), Bytes: left(limit.Bytes, used.Bytes), Rows: left(limit.Rows, used.Rows),
		Tokens: left(limit.Tokens, used.Tokens), MicroUSD: left(limit.MicroUSD, used.MicroUSD),
	}, nil
}

func counterArgs(ref audit.TaskRef, grantID string, l grant.Limits) []any {
	return []any{ref.Workspace, ref.TaskID, grantID, l.Calls, l.Bytes, l.Rows, l.Tokens, l.MicroUSD}
}
