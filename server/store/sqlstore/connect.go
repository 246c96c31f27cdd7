package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/connect"
)

// Connects keeps users on their way to connect an account: connect.Store.
type Connects struct{ db *db }

const runColumns = `
    c.workspace_id, c.id, c.connector, c.revision, c.slot, c.user_id, u.issuer, u.subject, c.step, c.link_digest, c.state_digest,
    c.browser_digest, c.challenge, c.signed_in, c.problem, c.renews, c.ends_us, c.missing, c.created_us, c.created_by, c.expires_us
FROM connects c JOIN users u ON u.workspace_id = c.workspace_id AND u.id = c.user_id
`

const findRunByLink = `SELECT ` + runColumns + `WHERE c.link_digest IN ($1, $2, $3, $4)`

const findRunByState = `SELECT ` + runColumns + `WHERE c.state_digest IN ($1, $2, $3, $4)`

const insertRun = `
INSERT INTO connects (workspace_id, id, connector, revision, slot, user_id, step, link_digest, created_us, created_by, expires_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

const advanceRun = `
UPDATE connects SET step = $5, state_digest = $6, browser_digest = $7, challenge = $8, signed_in = $9, problem = $10,
    renews = $11, ends_us = $12, missing = $13, expires_us = $14
WHERE workspace_id = $1 AND id = $2 AND step = $3 AND expires_us > $4`

const pruneRuns = `DELETE FROM connects WHERE expires_us < $1`

var errRunDigest = errors.New("store a run: a digest is missing")

// AddRun stores a new run; its user must be stored already.
func (c Connects) AddRun(ctx context.Context, r connect.Run) error {
	if len(r.LinkDigest) == 0 {
		return errRunDigest
	}
	_, err := c.db.exec(ctx, "store a run", insertRun, r.Workspace, r.ID, r.Connector, r.Revision, r.Slot, r.User.ID,
		string(r.Step), r.LinkDigest, micros(r.CreatedAt), r.CreatedBy, micros(r.ExpiresAt))
	return err
}

// RunByLink finds a run by any of the digests; store.ErrNotFound.
func (c Connects) RunByLink(ctx context.Context, digests [][]byte) (connect.Run, error) {
	return c.run(ctx, "find a run by its link", findRunByLink, digests)
}

// RunByState finds a run by what the browser brings back; store.ErrNotFound.
func (c Connects) RunByState(ctx context.Context, digests [][]byte) (connect.Run, error) {
	return c.run(ctx, "find a run by its state", findRunByState, digests)
}

func (c Connects) run(ctx context.Context, what, query string, digests [][]byte) (r connect.Run, err error) {
	for len(digests) > 0 {
		n := min(len(digests), digestsPerRead)
		args := make([]any, digestsPerRead)
		for i := range args {
			args[i] = digests[min(i, n-1)]
		}
		found := false
		err := c.db.query(ctx, what, func() { found = false }, func(scan scanner) error {
			found = true
			return scanRun(scan, &r)
		}, query, args...)
		if err != nil || found {
			return r, err
		}
		digests = digests[n:]
	}
	return connect.Run{}, notFound(what)
}

// Advance stores what r says of its way, where the run is still at the step from and
// has not expired at now; else store.ErrConflict.
func (c Connects) Advance(ctx context.Context, r connect.Run, from connect.Step, now time.Time) error {
	const what = "advance a run"
	if len(r.StateDigest) == 0 || len(r.BrowserDigest) == 0 {
		return errRunDigest
	}
	missing, err := list(r.Missing)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	n, err := c.db.exec(ctx, what, advanceRun, r.Workspace, r.ID, string(from), micros(now), string(r.Step), r.StateDigest,
		r.BrowserDigest, r.Challenge, yesNo(r.SignedIn), string(r.Problem), yesNo(r.Renews), micros(r.Ends), missing, micros(r.ExpiresAt))
	if err == nil && n == 0 {
		return conflict(what, "it is at another step, or has expired")
	}
	return err
}

// PruneRuns removes what expired before then.
func (c Connects) PruneRuns(ctx context.Context, before time.Time) error {
	_, err := c.db.exec(ctx, "prune runs", pruneRuns, micros(before))
	return err
}

// yesNo is how a yes or no is stored.
func yesNo(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func scanRun(scan scanner, r *connect.Run) (err error) {
	var signedIn, renews, ends, created, expires int64
	var missing string
	err = scan(&r.Workspace, &r.ID, &r.Connector, &r.Revision, &r.Slot, &r.User.ID, &r.User.Issuer, &r.User.Subject, &r.Step,
		&r.LinkDigest, &r.StateDigest, &r.BrowserDigest, &r.Challenge, &signedIn, &r.Problem, &renews, &ends, &missing,
		&created, &r.CreatedBy, &expires)
	if err != nil {
		return err
	}
	r.SignedIn, r.Renews = signedIn == 1, renews == 1
	r.Ends, r.CreatedAt, r.ExpiresAt = fromMicros(ends), fromMicros(created), fromMicros(expires)
	r.Missing, err = fromList(missing)
	return err
}
