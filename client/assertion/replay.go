package assertion

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReplayCache remembers which assertions were used. It must be safe for concurrent use.
type ReplayCache interface {
	// Claim reports whether id was not claimed before, and keeps it until the given
	// time. Of two concurrent calls with one id exactly one is told true. Where that
	// cannot be said it returns an error, and the request is refused.
	Claim(ctx context.Context, id string, now, until time.Time) (fresh bool, err error)
}

// ErrReplayFull says that a MemoryReplay holds as many live entries as it may. To
// forget one would let it be replayed.
var ErrReplayFull = errors.New("replay cache is full")

// sweepInterval is how often expired entries are looked for; all are passed over once.
const sweepInterval = 10 * time.Second

// MemoryReplay is a ReplayCache of one process. Make it with NewMemoryReplay.
type MemoryReplay struct {
	max int

	mu    sync.Mutex
	until map[string]time.Time
	swept time.Time
}

// NewMemoryReplay makes a cache of at most that many live entries, each some 300 bytes.
// At 60 s of life and 30 s of leeway, 100,000 are enough for 1,100 calls a second.
func NewMemoryReplay(entries int) *MemoryReplay {
	return &MemoryReplay{max: entries, until: map[string]time.Time{}}
}

// Claim implements ReplayCache; its only error is ErrReplayFull.
func (m *MemoryReplay) Claim(_ context.Context, id string, now, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept, ok := m.until[id]; ok && now.Before(kept) {
		return false, nil
	}
	if age := now.Sub(m.swept); age < 0 || age >= sweepInterval {
		m.sweep(now)
	}
	if len(m.until) >= m.max {
		return false, ErrReplayFull
	}
	m.until[id] = until
	return true, nil
}

func (m *MemoryReplay) sweep(now time.Time) {
	m.swept = now
	for id, until := range m.until {
		if !now.Before(until) {
			delete(m.until, id)
		}
	}
}
