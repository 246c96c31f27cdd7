package audit

import (
	"context"
	"fmt"
	"time"
)

// Sweep closes, in this broker's own chain, the intents of brokers whose lease has
// run out: their outcome is UNKNOWN, since the call may have left. It returns how
// many it closed.
func (l *Log) Sweep(ctx context.Context) (int, error) {
	chains, err := l.o.Store.DeadChains(ctx, l.o.Now())
	if err != nil {
		return 0, fmt.Errorf("find dead chains: %w", err)
	}
	closed := 0
	for _, chain := range chains {
		if chain == l.ChainID() {
			continue
		}
		n, err := l.sweepChain(ctx, chain)
		closed += n
		if err != nil {
			return closed, err
		}
	}
	return closed, nil
}

func (l *Log) sweepChain(ctx context.Context, chain string) (int, error) {
	closed := 0
	for {
		orphans, err := l.o.Store.Orphans(ctx, chain, maxBatch)
		if err != nil {
			return closed, fmt.Errorf("find orphans of chain %s: %w", chain, err)
		}
		if len(orphans) == 0 {
			if err := l.o.Store.CloseChain(ctx, chain); err != nil {
				return closed, fmt.Errorf("close chain %s: %w", chain, err)
			}
			return closed, nil
		}
		for _, intent := range orphans {
			if err := l.submit(ctx, l.unknown(intent)); err != nil {
				return closed, err
			}
			closed++
		}
	}
}

// unknown is the outcome of an orphan, unless somebody else wrote one meanwhile.
func (l *Log) unknown(intent Event) *entry {
	e := intent
	e.Kind, e.Outcome, e.Reason = OutcomeRow, Unknown, "BROKER_DIED"
	if intent.Kind == AdminIntent {
		e.Kind = AdminOutcome
	}
	e.Signature, e.SigningKeyID = nil, ""
	return &entry{rows: func(ctx context.Context, tx Tx, now time.Time) ([]Event, error) {
		done, err := tx.HasOutcome(ctx, intent.Workspace, intent.InvocationID)
		if err != nil || done {
			return nil, err
		}
		e.Time, e.Duration = now, now.Sub(intent.Time)
		// Nobody knows what it used. What it reserved stays taken, and is in the ledger.
		if u := estimateOf(intent.Detail); u != nil {
			if err := tx.AddUsage(ctx, ledgerRow(&e, *u)); err != nil {
				return nil, err
			}
		}
		return []Event{e}, nil
	}}
}

// SweepEvery sweeps now and then until ctx ends.
func (l *Log) SweepEvery(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if n, err := l.Sweep(ctx); err != nil && ctx.Err() == nil {
			l.o.Log.Error("audit sweep failed", "error", err)
		} else if n > 0 {
			l.o.Log.Warn("closed intents of dead brokers as UNKNOWN", "count", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
