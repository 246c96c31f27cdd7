package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store"
)

// entry is one wish to the writer. rows runs inside the transaction, perhaps several
// times, and gives the rows to append; a *fault.Error refuses this entry alone, any
// other error aborts the whole batch.
type entry struct {
	live  *TaskRef // must be live, or the entry is refused
	claim *Claim   // must be the first of its key, or the entry is refused
	rows  func(ctx context.Context, tx Tx, now time.Time) ([]Event, error)
	// result gets the entry's own refusal, the batch's failure, or nil; it has room
	// for one. Write-behind entries have none.
	result chan error

	err    error
	events []Event
	held   grant.Limits // what an intent reserved beyond its call
}

// doubt is a batch whose commit was neither confirmed nor denied.
type doubt struct {
	lastSeq int64
	hash    []byte
	batch   []*entry
}

var errClosed = errors.New("audit log closed")

// submit hands an entry to the writer and waits for its batch to be durable. It does
// not give up when ctx ends: the writer answers within writeTimeout of its turn, and
// whoever began must know what was recorded.
func (l *Log) submit(ctx context.Context, e *entry) error {
	if l.closed.Load() {
		return unavailable(errClosed)
	}
	e.result = make(chan error, 1)
	select {
	case l.intake <- e:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-l.done:
		return unavailable(errClosed)
	}
	select {
	case err := <-e.result:
		return err
	case <-l.done:
		select {
		case err := <-e.result:
			return err
		default:
			return unavailable(errClosed)
		}
	}
}

func (l *Log) run() {
	defer close(l.done)
	for {
		select {
		case first := <-l.intake:
			l.commit(first)
		case <-l.behind.wake:
			l.commit(l.pause(outcomeDelay))
		case <-l.refused.due():
			l.flushRefusals()
		case <-l.closing:
			l.flushRefusals()
			l.drain()
			return
		}
	}
}

// pause waits for more outcomes to share the commit, but never holds up an intent: the
// first one that comes ends it, and is given back.
func (l *Log) pause(d time.Duration) *entry {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case first := <-l.intake:
		return first
	case <-l.closing:
	}
	return nil
}

// drain empties the queues for good; the store gets a few tries.
func (l *Log) drain() {
	for tries := 0; tries < 10 && (len(l.intake) > 0 || l.behind.len() > 0 || l.doubted != nil); {
		if !l.commit(nil) {
			tries++
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// gather takes what waits now: intents and their like first, then outcomes.
func (l *Log) gather(first *entry) []*entry {
	var batch []*entry
	if first != nil {
		batch = append(batch, first)
	}
	for len(batch) < maxBatch {
		select {
		case e := <-l.intake:
			batch = append(batch, e)
			continue
		default:
		}
		break
	}
	return append(batch, l.behind.take(maxBatch)...)
}

// commit writes what waits in one transaction and answers its entries. It reports
// whether that was written.
func (l *Log) commit(first *entry) bool {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	// Before anything is gathered: what a doubted batch did write must leave the queue.
	err := l.resolve(ctx)
	if l.crowd >= crowded {
		time.Sleep(crowdDelay)
	}
	batch := l.gather(first)
	l.crowd = len(batch)
	if err == nil && len(batch) > 0 {
		err = l.write(ctx, batch)
	}
	if errors.Is(err, store.ErrConflict) && l.doubted == nil {
		err = l.writeAnew(ctx, batch, err)
	}
	l.told(err, len(batch))
	var late []*entry
	for _, e := range batch {
		switch {
		case e.result == nil && err != nil:
			late = append(late, e)
		case e.result == nil:
		case err != nil:
			e.result <- unavailable(err)
		default:
			e.result <- e.err
		}
	}
	l.behind.putBack(late)
	return err == nil
}

// told logs the first failure of a row of them, and their end: the store is tried
// many times a second.
func (l *Log) told(err error, entries int) {
	switch {
	case err != nil && !l.failing:
		l.o.Log.Error("audit write failed; calls are refused until one succeeds", "entries", entries, "error", err)
	case err == nil && l.failing && entries > 0:
		l.o.Log.Info("audit trail is written again")
	}
	l.failing = err != nil || l.failing && entries == 0
}

// write runs the transaction. Where its commit is in doubt it reads the chain's head
// back, since only this writer appends to the chain.
func (l *Log) write(ctx context.Context, batch []*entry) error {
	var seq int64
	var head []byte
	err := l.o.Store.Write(ctx, func(ctx context.Context, tx Tx) error {
		rows, err := l.collect(ctx, tx, batch)
		if err != nil {
			return err
		}
		seq, head = l.link(rows)
		if len(rows) == 0 {
			return nil
		}
		return tx.Append(ctx, values(rows))
	})
	if err == nil {
		l.seq, l.head = seq, head
		return nil
	}
	if seq <= l.seq {
		return err // nothing was to be appended: the chain stands as it stood
	}
	l.doubted = &doubt{lastSeq: seq, hash: head, batch: batch}
	if found, rerr := l.committed(ctx); rerr == nil {
		l.doubted = nil
		if found {
			l.seq, l.head = seq, head
			return nil
		}
	}
	return err
}

// writeAnew goes on in a new chain where the old one was closed: another broker took
// this one for dead, having heard nothing of it for the time of its lease.
func (l *Log) writeAnew(ctx context.Context, batch []*entry, cause error) error {
	l.o.Log.Warn("audit chain was closed; opening another", "chain", l.ChainID(), "cause", cause)
	if err := l.openChain(ctx); err != nil {
		return err
	}
	return l.write(ctx, batch)
}

// collect asks every entry for its rows.
func (l *Log) collect(ctx context.Context, tx Tx, batch []*entry) ([]*Event, error) {
	now := l.o.Now()
	live, claimed, err := l.precheck(ctx, tx, batch, now)
	if err != nil {
		return nil, err
	}
	var rows []*Event
	for _, e := range batch {
		e.events, e.err = nil, nil
		switch {
		case e.live != nil && !live[*e.live]:
			e.err = fault.New(fault.TaskEnded, "the task has ended", nil)
		case e.claim != nil && claimed[*e.claim] != "":
			e.err = fault.New(fault.Conflict, "this idempotency key was used before; nothing was sent", nil).
				With("first_invocation_id", claimed[*e.claim])
		default:
			e.events, e.err = e.rows(ctx, tx, now)
		}
		var refusal *fault.Error
		if e.err != nil && !errors.As(e.err, &refusal) {
			return nil, e.err
		}
		for i := range e.events {
			rows = append(rows, &e.events[i])
		}
	}
	return rows, nil
}

func (l *Log) precheck(ctx context.Context, tx Tx, batch []*entry, now time.Time) (map[TaskRef]bool, map[Claim]string, error) {
	var refs []TaskRef
	var claims []Claim
	seen := map[TaskRef]bool{}
	for _, e := range batch {
		if e.live != nil && !seen[*e.live] {
			seen[*e.live] = true
			refs = append(refs, *e.live)
		}
	}
	var live map[TaskRef]bool
	var err error
	if len(refs) > 0 {
		if live, err = tx.LiveTasks(ctx, refs, now); err != nil {
			return nil, nil, fmt.Errorf("check tasks: %w", err)
		}
	}
	for _, e := range batch {
		if e.claim != nil && (e.live == nil || live[*e.live]) {
			claims = append(claims, *e.claim)
		}
	}
	if len(claims) == 0 {
		return live, nil, nil
	}
	claimed, err := tx.ClaimKeys(ctx, claims, now)
	if err != nil {
		return nil, nil, fmt.Errorf("claim idempotency keys: %w", err)
	}
	return live, claimed, nil
}

// link numbers and hashes rows after the end of the chain, and gives the new end.
func (l *Log) link(rows []*Event) (int64, []byte) {
	id, seq, head := l.ChainID(), l.seq, l.head
	for _, e := range rows {
		seq++
		e.ChainID, e.Seq, e.BrokerID, e.PrevHash = id, seq, l.o.BrokerID, head
		e.normal()
		head = e.Sum()
		e.Hash = head
	}
	return seq, head
}

func values(rows []*Event) []Event {
	out := make([]Event, len(rows))
	for i, e := range rows {
		out[i] = *e
	}
	return out
}

func (l *Log) committed(ctx context.Context) (bool, error) {
	// The write's own deadline may be what failed it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	seq, hash, err := l.o.Store.Head(ctx, l.ChainID())
	if err != nil {
		return false, fmt.Errorf("read audit head: %w", err)
	}
	switch {
	case seq == l.seq:
		return false, nil
	case seq == l.doubted.lastSeq && bytes.Equal(hash, l.doubted.hash):
		return true, nil
	}
	return false, fmt.Errorf("audit chain %s: its end in the store (row %d) is not ours (row %d): somebody else writes to it", l.ChainID(), seq, l.seq)
}

// resolve settles a doubt before anything more is written. Intents of a batch that
// was committed after all were refused to their callers, so they get the outcome
// NOT_SENT.
func (l *Log) resolve(ctx context.Context) error {
	if l.doubted == nil {
		return nil
	}
	found, err := l.committed(ctx)
	if err != nil {
		return err
	}
	d := l.doubted
	l.doubted = nil
	if !found {
		return nil
	}
	l.seq, l.head = d.lastSeq, d.hash
	for _, e := range d.batch {
		if e.result == nil {
			l.behind.forget(e)
			continue
		}
		for i := range e.events {
			if k := e.events[i].Kind; k == IntentRow || k == AdminIntent {
				l.finishRow(e.events[i], Outcome{Result: NotSent, Reason: string(fault.AuditUnavailable), Unused: e.held})
			}
		}
	}
	return nil
}
