package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/store"
)

// Connectors keeps revisions of manifests: connector.Store.
type Connectors struct{ db *db }

const revisionColumns = `r.workspace_id, r.name, r.revision, r.sha256, r.manifest, r.applied_us, r.applied_by, r.withdrawn_us`

const currentJoin = ` FROM connectors c
JOIN connector_revisions r ON r.workspace_id = c.workspace_id AND r.name = c.name AND r.revision = c.current_revision
WHERE `

const currentRevision = `SELECT ` + revisionColumns + currentJoin + `c.workspace_id = $1 AND c.name = $2`

const listConnectors = `SELECT ` + revisionColumns + currentJoin + `c.workspace_id = $1 AND r.withdrawn_us = 0`

const findRevision = `
SELECT ` + revisionColumns + ` FROM connector_revisions r
WHERE r.workspace_id = $1 AND r.name = $2 AND r.revision = $3`

const insertConnector = `
INSERT INTO connectors (workspace_id, name, current_revision) VALUES ($1, $2, $3)`

const nextRevision = `
UPDATE connectors SET current_revision = $3
WHERE workspace_id = $1 AND name = $2 AND current_revision = $4`

const insertRevision = `
INSERT INTO connector_revisions (workspace_id, name, revision, sha256, manifest, applied_us, applied_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

const withdrawRevisions = `
UPDATE connector_revisions SET withdrawn_us = $4
WHERE workspace_id = $1 AND name = $2 AND (revision = $3 OR $3 = 0) AND withdrawn_us = 0`

// Current returns the newest revision, withdrawn or not.
func (c Connectors) Current(ctx context.Context, workspace, name string) (connector.Revision, error) {
	return c.one(ctx, currentRevision, workspace, name)
}

// Revision returns one revision.
func (c Connectors) Revision(ctx context.Context, workspace, name string, number int64) (connector.Revision, error) {
	return c.one(ctx, findRevision, workspace, name, number)
}

func (c Connectors) one(ctx context.Context, query string, args ...any) (r connector.Revision, err error) {
	err = c.db.one(ctx, "find a connector's revision", func(scan scanner) error { return scanRevision(scan, &r) }, query, args...)
	return r, err
}

// Add stores r, whose number must be the newest one plus 1; else store.ErrConflict.
// Whether it is withdrawn is not looked at: a revision is born in force.
func (c Connectors) Add(ctx context.Context, r connector.Revision) error {
	const what = "add a connector's revision"
	return c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		n := int64(1)
		var err error
		if r.Number == 1 {
			_, err = t.exec(ctx, what, insertConnector, r.Workspace, r.Name, r.Number)
		} else {
			n, err = t.exec(ctx, what, nextRevision, r.Workspace, r.Name, r.Number, r.Number-1)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return t.fail(conflict(what, "it does not follow the newest one"))
		}
		_, err = t.exec(ctx, what, insertRevision, r.Workspace, r.Name, r.Number, r.SHA256, r.Manifest, micros(r.AppliedAt), r.AppliedBy)
		return err
	})
}

// List returns the newest revision of every connector that is not withdrawn, by name.
func (c Connectors) List(ctx context.Context, workspace string) ([]connector.Revision, error) {
	var revisions []connector.Revision
	err := c.db.query(ctx, "list connectors", func() { revisions = nil }, func(scan scanner) error {
		var r connector.Revision
		err := scanRevision(scan, &r)
		revisions = append(revisions, r)
		return err
	}, listConnectors, workspace)
	// In Go, since databases differ in how they order texts.
	slices.SortFunc(revisions, func(a, b connector.Revision) int { return strings.Compare(a.Name, b.Name) })
	return revisions, err
}

// Withdraw withdraws one revision, or with 0 all of them, and tells the change feed.
// store.ErrNotFound where nothing is left to withdraw.
func (c Connectors) Withdraw(ctx context.Context, workspace, name string, number int64, at time.Time) error {
	const what = "withdraw a connector"
	if at.IsZero() {
		return errors.New(what + ": no time")
	}
	return c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, what, withdrawRevisions, workspace, name, number, micros(at))
		if err != nil {
			return err
		}
		if n == 0 {
			return t.fail(notFound(what))
		}
		return tell(ctx, t, workspace, store.ConnectorChanged, name, at)
	})
}

func scanRevision(scan scanner, r *connector.Revision) error {
	var applied, withdrawn int64
	if err := scan(&r.Workspace, &r.Name, &r.Number, &r.SHA256, &r.Manifest, &applied, &r.AppliedBy, &withdrawn); err != nil {
		return err
	}
	r.AppliedAt, r.Withdrawn = fromMicros(applied), withdrawn != 0
	return nil
}
