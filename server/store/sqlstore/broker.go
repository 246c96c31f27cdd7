package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// Brokers keeps the leases of brokers: store.Brokers.
type Brokers struct{ db *db }

// A lease that was left (0) does not come back: others may have closed its chain.
const heartbeat = `
INSERT INTO brokers (incarnation, broker_id, lease_us, keys_loaded) VALUES ($1, $2, $3, $4)
ON CONFLICT (incarnation) DO UPDATE SET lease_us = excluded.lease_us, keys_loaded = excluded.keys_loaded
WHERE brokers.broker_id = excluded.broker_id AND brokers.lease_us > 0`

const leave = `UPDATE brokers SET lease_us = 0 WHERE incarnation = $1`

// Heartbeat says that an incarnation lives until the given time and has loaded these
// keys. The first one registers it. store.ErrConflict where the incarnation has left
// or is another broker's.
func (b Brokers) Heartbeat(ctx context.Context, brokerID, incarnation string, until time.Time, keys []string) error {
	const what = "heartbeat"
	loaded, err := list(keys)
	if err != nil {
		return fmt.Errorf("%s: keys: %w", what, err)
	}
	n, err := b.db.exec(ctx, what, heartbeat, incarnation, brokerID, micros(until), loaded)
	if err == nil && n == 0 {
		return conflict(what, "this incarnation has left, or is another broker's")
	}
	return err
}

// Leave ends an incarnation's lease for good; store.ErrNotFound.
func (b Brokers) Leave(ctx context.Context, incarnation string) error {
	n, err := b.db.exec(ctx, "leave", leave, incarnation)
	if err == nil && n == 0 {
		return notFound("leave")
	}
	return err
}
