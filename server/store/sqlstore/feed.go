package sqlstore

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/store"
)

// Feed is the store.ChangeFeed.
type Feed struct{ db *db }

// A thing that changes twice has one row, with the newest time: whoever polls needs
// to know only that what he remembers is old.
const insertChange = `
INSERT INTO changes (workspace_id, kind, id, at_us)
VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace_id, kind, id) DO UPDATE SET at_us = excluded.at_us
WHERE changes.at_us < excluded.at_us`

const listChanges = `
SELECT workspace_id, kind, id, at_us FROM changes WHERE at_us >= $1 ORDER BY at_us, workspace_id, kind, id`

const pruneChanges = `DELETE FROM changes WHERE at_us < $1`

// keepChanges is how long a change stays to be read: far longer than any reader may
// fall behind without being unready.
const keepChanges = 10 * time.Minute

// tell adds a change in the transaction that makes it.
func tell(ctx context.Context, t *tx, workspace string, kind store.ChangeKind, id string, at time.Time) error {
	_, err := t.exec(ctx, "tell the change feed", insertChange, workspace, string(kind), id, micros(at))
	return err
}

// Changes returns every change recorded at or after since. A transaction may become
// visible some time after the moment that it recorded: read with an overlap.
func (f Feed) Changes(ctx context.Context, since time.Time) ([]store.Change, error) {
	var changes []store.Change
	err := f.db.query(ctx, "read changes", func() { changes = nil }, func(scan scanner) error {
		var c store.Change
		var at int64
		if err := scan(&c.Workspace, &c.Kind, &c.ID, &at); err != nil {
			return err
		}
		c.At = fromMicros(at)
		changes = append(changes, c)
		return nil
	}, listChanges, micros(since))
	return changes, err
}

// Prune removes changes older than ten minutes.
func (f Feed) Prune(ctx context.Context, now time.Time) error {
	_, err := f.db.exec(ctx, "prune changes", pruneChanges, micros(now.Add(-keepChanges)))
	return err
}
