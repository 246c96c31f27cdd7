package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/store"
)

// A lease that has run out is anybody's. Each holder has a fence of their own.
const takeRefresh = `
INSERT INTO credential_refreshes (workspace_id, credential_id, owner, fence, lease_us)
VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (workspace_id, credential_id) DO UPDATE
SET owner = excluded.owner, fence = credential_refreshes.fence + 1, lease_us = excluded.lease_us
WHERE credential_refreshes.lease_us <= $5
RETURNING fence, attempt, failures`

const attemptRefresh = `
UPDATE credential_refreshes SET attempt = $5, attempt_fence = $4
WHERE workspace_id = $1 AND credential_id = $2 AND owner = $3 AND fence = $4`

// The lease is given back only where it is still the holder's.
const resolveRefresh = `
UPDATE credential_refreshes
SET attempt = NULL, attempt_fence = 0, failures = 0, retry_us = 0, reason = '', lease_us = CASE WHEN fence = $3 THEN 0 ELSE lease_us END
WHERE workspace_id = $1 AND credential_id = $2 AND attempt_fence = $3`

const releaseRefresh = `
UPDATE credential_refreshes
SET lease_us = 0, attempt = CASE WHEN $5 = 1 THEN NULL ELSE attempt END,
    attempt_fence = CASE WHEN $5 = 1 THEN 0 ELSE attempt_fence END,
    dead_version = CASE WHEN $6 > 0 THEN $6 ELSE dead_version END, reason = $7, failures = $8, retry_us = $9
WHERE workspace_id = $1 AND credential_id = $2 AND owner = $3 AND fence = $4`

// What a person puts anew is tried at once. What was sent before is still known.
const resetRefresh = `
UPDATE credential_refreshes SET failures = 0, retry_us = 0, reason = '' WHERE workspace_id = $1 AND credential_id = $2`

// A client's secret that was put anew may mend what was refused: all accounts of the
// connector are tried at once.
const resetRefreshesOf = `
UPDATE credential_refreshes SET failures = 0, retry_us = 0, reason = ''
WHERE workspace_id = $1 AND retry_us > 0 AND credential_id IN (
    SELECT id FROM credentials WHERE workspace_id = $1 AND connector = $2)`

const deleteRefresh = `DELETE FROM credential_refreshes WHERE workspace_id = $1 AND credential_id = $2`

var errNoDigest = errors.New("record a refresh: it has no digest")

// Take gives the lease to owner until then; store.ErrConflict while another runs.
func (c Credentials) Take(ctx context.Context, workspace, id, owner string, now, until time.Time) (credential.Lease, error) {
	const what = "take the lease of a refresh"
	l := credential.Lease{Workspace: workspace, CredentialID: id, Owner: owner}
	err := c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		l.Unresolved = nil
		n, err := t.query(ctx, what, func(scan scanner) error { return scan(&l.Fence, &l.Unresolved, &l.Failures) },
			takeRefresh, workspace, id, owner, micros(until), micros(now))
		if err == nil && n == 0 {
			return t.fail(conflict(what, "another holds it"))
		}
		return err
	})
	if err != nil {
		return credential.Lease{}, err
	}
	return l, nil
}

// Attempt records, before it is sent, the digest of a refresh token; store.ErrConflict
// where the lease is another's by now.
func (c Credentials) Attempt(ctx context.Context, l credential.Lease, digest []byte) error {
	const what = "record a refresh"
	if len(digest) == 0 {
		return errNoDigest
	}
	n, err := c.db.exec(ctx, what, attemptRefresh, l.Workspace, l.CredentialID, l.Owner, l.Fence, digest)
	if err == nil && n == 0 {
		return conflict(what, "the lease is another's")
	}
	return err
}

// Renew stores r, resolves the attempt of l and gives the lease back.
func (c Credentials) Renew(ctx context.Context, l credential.Lease, r credential.Record) error {
	const what = "store a refreshed credential"
	args, err := credentialArgs(what, r)
	if err != nil {
		return err
	}
	return c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, what, resolveRefresh, l.Workspace, l.CredentialID, l.Fence)
		if err != nil {
			return err
		}
		if n == 0 {
			return t.fail(conflict(what, "it was not this refresh that was sent last"))
		}
		return replace(ctx, t, what, r, args)
	})
}

// Release gives the lease back, where it is still l, with how it ended.
func (c Credentials) Release(ctx context.Context, l credential.Lease, e credential.RefreshEnd) error {
	const what = "give back the lease of a refresh"
	resolved := 0
	if e.Resolved {
		resolved = 1
	}
	return c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, what, releaseRefresh, l.Workspace, l.CredentialID, l.Owner, l.Fence,
			resolved, e.Dead, e.Reason, e.Failures, micros(e.RetryAt))
		if err != nil || n == 0 || e.Dead == 0 && e.RetryAt.IsZero() {
			return err
		}
		return tell(ctx, t, l.Workspace, store.CredentialChanged, l.CredentialID, e.At)
	})
}
