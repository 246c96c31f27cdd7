package audit

import (
	"context"
	"sync"
	"time"

	"github.com/onedoor/onedoor/server/grant"
)

// Outcome is how an intent ended.
type Outcome struct {
	Result         Result
	Reason         string // empty when OK
	UpstreamStatus int
	RequestBytes   int64
	ResponseBytes  int64
	Detail         string // a JSON object; empty for none
	// CredentialVersion is the one that was attached; 0: the one of the intent. A refresh
	// between the two makes a newer one.
	CredentialVersion int64
	// Used is what a limited grant consumed beyond what was settled already, and
	// Unused what was reserved and not consumed.
	Used, Unused grant.Limits
	// Usage is what a model was used for; nil for a call that used none. It goes into
	// the ledger with the outcome's row.
	Usage *Usage
}

// Finish queues the outcome of an intent; it is durable within about 50 ms, or as
// soon as the store answers again. Every intent is finished exactly once.
func (l *Log) Finish(i Intent, o Outcome) {
	if !i.Valid() {
		return
	}
	i.done()
	l.finishRow(*i.event, o)
}

func (l *Log) finishRow(intent Event, o Outcome) {
	e := intent
	e.Kind = OutcomeRow
	if intent.Kind == AdminIntent {
		e.Kind = AdminOutcome
	}
	e.Outcome, e.Reason, e.UpstreamStatus = o.Result, o.Reason, o.UpstreamStatus
	e.RequestBytes, e.ResponseBytes, e.Detail = o.RequestBytes, o.ResponseBytes, o.Detail
	if o.CredentialVersion > 0 {
		e.CredentialVersion = o.CredentialVersion
	}
	e.Time = l.o.Now()
	e.Duration = e.Time.Sub(intent.Time)
	ref := TaskRef{intent.Workspace, intent.TaskID}
	difference := minus(o.Used, o.Unused)
	l.behind.add(&entry{rows: func(ctx context.Context, tx Tx, _ time.Time) ([]Event, error) {
		if difference.Any() {
			if err := tx.Settle(ctx, ref, intent.GrantID, difference); err != nil {
				return nil, err
			}
		}
		if err := enter(ctx, tx, intent, &e, o.Usage); err != nil {
			return nil, err
		}
		return []Event{e}, nil
	}})
}

// enter puts what a call used into the ledger. A call that could have used something and
// did not has no row: not even that of a sweeper that took this broker for dead.
func enter(ctx context.Context, tx Tx, intent Event, outcome *Event, used *Usage) error {
	switch {
	case used != nil:
		return tx.AddUsage(ctx, ledgerRow(outcome, *used))
	case estimateOf(intent.Detail) != nil:
		return tx.RemoveUsage(ctx, intent.Workspace, intent.InvocationID)
	}
	return nil
}

func minus(a, b grant.Limits) grant.Limits {
	return grant.Limits{
		Calls: a.Calls - b.Calls, Bytes: a.Bytes - b.Bytes, Rows: a.Rows - b.Rows,
		Tokens: a.Tokens - b.Tokens, MicroUSD: a.MicroUSD - b.MicroUSD,
	}
}

// outcomeQueue holds what is written behind.
type outcomeQueue struct {
	mu      sync.Mutex
	entries []*entry
	wake    chan struct{}
}

func (q *outcomeQueue) add(e *entry) {
	q.mu.Lock()
	q.entries = append(q.entries, e)
	q.mu.Unlock()
	q.signal()
}

func (q *outcomeQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *outcomeQueue) take(most int) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(most, len(q.entries))
	taken := q.entries[:n:n]
	q.entries = q.entries[n:]
	if len(q.entries) == 0 {
		q.entries = nil
	} else {
		q.signal()
	}
	return taken
}

// putBack returns entries whose batch failed to the front of the queue.
func (q *outcomeQueue) putBack(entries []*entry) {
	if len(entries) == 0 {
		return
	}
	q.mu.Lock()
	q.entries = append(entries, q.entries...)
	q.mu.Unlock()
	q.signal()
}

// forget removes an entry that turned out to be written.
func (q *outcomeQueue) forget(gone *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, e := range q.entries {
		if e == gone {
			q.entries = append(q.entries[:i], q.entries[i+1:]...)
			return
		}
	}
}

func (q *outcomeQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}
