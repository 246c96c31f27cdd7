package sqlstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
)

// eventColumns are in the order of eventArgs and scanEvent.
const (
	eventColumns = `chain_id, seq, workspace_id, broker_id, time_us, kind,
    invocation_id, task_id, key_id, user_id, agent, spiffe_id, auth_method, peer,
    connector, revision, tool, resources, severity,
    grant_id, credential_id, credential_version, decision, reason, outcome,
    upstream_status, request_bytes, response_bytes, duration_us, row_count, detail,
    prev_hash, hash, signature, signing_key_id`
	eventWidth = 35
)

const insertEvents = `INSERT INTO audit_events (` + eventColumns + `) VALUES `

// The head moves with the rows, and only from where they continue: a gap, a row
// written twice and a chain that somebody closed are all found here.
const moveHead = `
UPDATE audit_chains SET head_seq = $3, head_hash = $4
WHERE chain_id = $1 AND head_seq = $2 AND closed = FALSE`

const listEvents = `
SELECT ` + eventColumns + ` FROM audit_events
WHERE workspace_id = $1 AND (time_us, chain_id, seq) < ($2, $3, $4)
ORDER BY time_us DESC, chain_id DESC, seq DESC
LIMIT $5`

const listEventsOfTask = `
SELECT ` + eventColumns + ` FROM audit_events
WHERE workspace_id = $1 AND (time_us, chain_id, seq) < ($2, $3, $4) AND task_id = $6
ORDER BY time_us DESC, chain_id DESC, seq DESC
LIMIT $5`

const listEventsOfInvocation = `
SELECT ` + eventColumns + ` FROM audit_events
WHERE workspace_id = $1 AND (time_us, chain_id, seq) < ($2, $3, $4) AND invocation_id = $6 AND (task_id = $7 OR $7 = '')
ORDER BY time_us DESC, chain_id DESC, seq DESC
LIMIT $5`

const findOrphans = `
SELECT ` + eventColumns + ` FROM audit_events i
WHERE i.chain_id = $1 AND i.kind IN ('INTENT', 'ADMIN_INTENT')
  AND NOT EXISTS (
    SELECT 1 FROM audit_events o
    WHERE o.workspace_id = i.workspace_id AND o.invocation_id = i.invocation_id AND o.kind IN ('OUTCOME', 'ADMIN_OUTCOME'))
ORDER BY i.seq
LIMIT $2`

// Append writes rows. Those of one chain must continue it without a gap, and the
// chain must be open; else store.ErrConflict.
func (a auditTx) Append(ctx context.Context, events []audit.Event) error {
	for start := 0; start < len(events); {
		end := start + 1
		for end < len(events) && events[end].ChainID == events[start].ChainID {
			end++
		}
		if err := a.appendTo(ctx, events[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (a auditTx) appendTo(ctx context.Context, events []audit.Event) error {
	const what = "append to the audit trail"
	first, last := &events[0], &events[len(events)-1]
	args := make([]any, 0, len(events)*eventWidth)
	for i := range events {
		if events[i].Seq != first.Seq+int64(i) {
			return a.fail(conflict(what, "the rows have a gap"))
		}
		var err error
		if args, err = eventArgs(args, &events[i]); err != nil {
			return a.fail(fmt.Errorf("%s: %w", what, err))
		}
	}
	n, err := a.exec(ctx, what, moveHead, first.ChainID, first.Seq-1, last.Seq, last.Hash)
	if err != nil {
		return err
	}
	if n == 0 {
		return a.fail(conflict(what, "the chain is closed, not there, or at another row"))
	}
	_, err = a.many(ctx, what, insertEvents, "", eventWidth, args)
	return err
}

// Events lists the trail of one workspace, newest first. Without a limit nothing is
// listed.
func (a Audit) Events(ctx context.Context, f audit.Filter) ([]audit.Event, error) {
	after := audit.Cursor{}
	before := int64(math.MaxInt64)
	if f.After != nil {
		after, before = *f.After, micros(f.After.Time)
	}
	query, args := listEvents, []any{f.Workspace, before, after.ChainID, after.Seq, max(f.Limit, 0)}
	switch {
	case f.InvocationID != "":
		query, args = listEventsOfInvocation, append(args, f.InvocationID, f.TaskID)
	case f.TaskID != "":
		query, args = listEventsOfTask, append(args, f.TaskID)
	}
	return a.events(ctx, "list audit events", query, args...)
}

// Orphans returns the intents of a chain that have no outcome in any chain, in the
// order of the chain.
func (a Audit) Orphans(ctx context.Context, chainID string, limit int) ([]audit.Event, error) {
	return a.events(ctx, "find intents without an outcome", findOrphans, chainID, max(limit, 0))
}

func (a Audit) events(ctx context.Context, what, query string, args ...any) ([]audit.Event, error) {
	var events []audit.Event
	err := a.db.query(ctx, what, func() { events = nil }, func(scan scanner) error {
		e, err := scanEvent(scan)
		events = append(events, e)
		return err
	}, query, args...)
	return events, err
}

func eventArgs(args []any, e *audit.Event) ([]any, error) {
	resources, err := list(e.Resources)
	if err != nil {
		return nil, err
	}
	return append(args,
		e.ChainID, e.Seq, e.Workspace, e.BrokerID, micros(e.Time), string(e.Kind),
		e.InvocationID, e.TaskID, e.KeyID, e.UserID, e.Agent, e.SPIFFEID, e.AuthMethod, e.Peer,
		e.Connector, e.Revision, e.Tool, resources, int64(e.Severity),
		e.GrantID, e.CredentialID, e.CredentialVersion, e.Decision, e.Reason, string(e.Outcome),
		int64(e.UpstreamStatus), e.RequestBytes, e.ResponseBytes, e.Duration.Microseconds(), e.Count, e.Detail,
		e.PrevHash, e.Hash, e.Signature, e.SigningKeyID), nil
}

func scanEvent(scan scanner) (audit.Event, error) {
	var e audit.Event
	var at, severity, duration int64
	var kind, resources, outcome string
	err := scan(
		&e.ChainID, &e.Seq, &e.Workspace, &e.BrokerID, &at, &kind,
		&e.InvocationID, &e.TaskID, &e.KeyID, &e.UserID, &e.Agent, &e.SPIFFEID, &e.AuthMethod, &e.Peer,
		&e.Connector, &e.Revision, &e.Tool, &resources, &severity,
		&e.GrantID, &e.CredentialID, &e.CredentialVersion, &e.Decision, &e.Reason, &outcome,
		&e.UpstreamStatus, &e.RequestBytes, &e.ResponseBytes, &duration, &e.Count, &e.Detail,
		&e.PrevHash, &e.Hash, &e.Signature, &e.SigningKeyID)
	if err != nil {
		return audit.Event{}, err
	}
	e.Time, e.Kind, e.Outcome = fromMicros(at), audit.Kind(kind), audit.Result(outcome)
	e.Severity, e.Duration = grant.Severity(severity), time.Duration(duration)*time.Microsecond
	e.Resources, err = fromList(resources)
	return e, err
}
