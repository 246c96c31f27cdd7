package audit

import (
	"context"
	"time"
)

// BeginAdmin records an administrative act before it takes effect. e names who
// (SPIFFEID), where (Workspace), what (Tool: the RPC) and to what (Resources).
func (l *Log) BeginAdmin(ctx context.Context, e Event) (Intent, error) {
	if err := l.ready(); err != nil {
		return Intent{}, err
	}
	e.Kind, e.Decision = AdminIntent, Allowed
	wish := &entry{rows: func(_ context.Context, _ Tx, now time.Time) ([]Event, error) {
		e.Time = now
		return []Event{e}, nil
	}}
	if err := l.submit(ctx, wish); err != nil {
		return Intent{}, err
	}
	return Intent{event: &wish.events[0], used: new(bool)}, nil
}
