package audit

import (
	"context"
	"sync"
	"time"

	"github.com/onedoor/onedoor/server/limit"
)

// Refuse records a refusal and waits until that is durable. From the tenth a minute
// of one (peer, reason) refusals are counted instead and written as one row, so that
// a stranger at the door cannot fill the store. A refusal that cannot be recorded is
// an error for the log; the call stays refused.
func (l *Log) Refuse(ctx context.Context, e Event) error {
	e.Kind, e.Decision, e.Count = Refusal, Refused, 1
	if e.Workspace == "" {
		e.Workspace = SystemWorkspace
	}
	now := l.o.Now()
	if l.refused.counted(refusalKey(&e), e, now) {
		return nil
	}
	e.Time = now
	return l.submit(context.WithoutCancel(ctx), &entry{rows: func(context.Context, Tx, time.Time) ([]Event, error) {
		return []Event{e}, nil
	}})
}

// refusalKey is what makes refusals alike: who, and why. An authenticated workload
// is itself; anybody else is an address.
func refusalKey(e *Event) [2]string {
	if e.SPIFFEID != "" {
		return [2]string{e.Workspace + "|" + e.SPIFFEID, e.Reason}
	}
	return [2]string{limit.PeerOf(e.Peer), e.Reason}
}

const (
	refusalsAlone  = 9
	refusalWindow  = time.Minute
	maxRefusalKeys = 10_000
)

// refusals counts refusals by key within a minute.
type refusals struct {
	mu      sync.Mutex
	byKey   map[[2]string]*refusalCount
	timer   *time.Timer
	pending bool
}

type refusalCount struct {
	since time.Time
	seen  int64
	// sample is the first counted refusal; its Count is how many.
	sample Event
}

func (r *refusals) init() {
	r.byKey = map[[2]string]*refusalCount{}
	r.timer = time.NewTimer(time.Hour)
	r.timer.Stop()
}

func (r *refusals) due() <-chan time.Time { return r.timer.C }

// counted reports whether the refusal was only counted.
func (r *refusals) counted(key [2]string, e Event, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.byKey[key]
	if c == nil && len(r.byKey) >= maxRefusalKeys {
		// Too many strangers: they share one count a reason, which names none of them.
		key[0] = "(others)"
		c = r.byKey[key]
		e = Event{Workspace: SystemWorkspace, Kind: e.Kind, Decision: e.Decision, Reason: e.Reason, Peer: key[0]}
	}
	// A count that waits to be written goes on, however late the writer is.
	if c == nil || (now.Sub(c.since) >= refusalWindow && c.sample.Count == 0) {
		c = &refusalCount{since: now}
		r.byKey[key] = c
	}
	c.seen++
	if !r.pending {
		r.pending = true
		r.timer.Reset(refusalWindow)
	}
	if c.seen <= refusalsAlone {
		return false
	}
	if c.sample.Count == 0 {
		e.Time = now
		c.sample, c.sample.Count = e, 0
	}
	c.sample.Count++
	return true
}

// take gives the counted rows and forgets all keys.
func (r *refusals) take() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rows []Event
	for _, c := range r.byKey {
		if c.sample.Count > 0 {
			rows = append(rows, c.sample)
		}
	}
	clear(r.byKey)
	r.pending = false
	return rows
}

// flushRefusals queues the counted refusals of the minute that ended.
func (l *Log) flushRefusals() {
	for _, row := range l.refused.take() {
		l.behind.add(&entry{rows: func(context.Context, Tx, time.Time) ([]Event, error) {
			return []Event{row}, nil
		}})
	}
}
