package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/store"
)

// Credentials keeps sealed credentials: credential.Store.
type Credentials struct{ db *db }

const credentialColumns = `
    c.workspace_id, c.id, c.connector, c.slot, c.user_id, COALESCE(u.issuer, ''), COALESCE(u.subject, ''), c.kind, c.version, c.destination,
    c.origins, c.created_us, c.created_by, COALESCE(f.dead_version, 0), COALESCE(f.reason, ''), COALESCE(f.retry_us, 0)`

const sealedColumns = `, c.kek_id, c.wrapped_dek, c.ciphertext`

const credentialJoin = `
FROM credentials c LEFT JOIN users u ON u.workspace_id = c.workspace_id AND u.id = c.user_id
LEFT JOIN credential_refreshes f ON f.workspace_id = c.workspace_id AND f.credential_id = c.id
`

const activeCredential = `SELECT ` + credentialColumns + sealedColumns + credentialJoin +
	`WHERE c.workspace_id = $1 AND c.connector = $2 AND c.slot = $3 AND c.user_id = $4`

const listCredentials = `SELECT ` + credentialColumns + credentialJoin +
	`WHERE c.workspace_id = $1 AND (c.connector = $2 OR $2 = '') ORDER BY c.connector, c.slot, c.user_id`

const credentialsWithout = `SELECT ` + credentialColumns + sealedColumns + credentialJoin +
	`WHERE c.kek_id <> $1 ORDER BY c.workspace_id, c.id LIMIT $2`

const insertCredential = `
INSERT INTO credentials (workspace_id, id, connector, slot, user_id, kind, version, destination, origins,
    kek_id, wrapped_dek, ciphertext, created_us, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

const replaceCredential = `
UPDATE credentials SET kind = $6, version = $7, destination = $8, origins = $9,
    kek_id = $10, wrapped_dek = $11, ciphertext = $12, created_us = $13, created_by = $14
WHERE workspace_id = $1 AND id = $2 AND connector = $3 AND slot = $4 AND user_id = $5 AND version = $7 - 1`

const deleteCredential = `DELETE FROM credentials WHERE workspace_id = $1 AND id = $2`

const rewrapCredential = `
UPDATE credentials SET kek_id = $4, wrapped_dek = $5
WHERE workspace_id = $1 AND id = $2 AND version = $3 AND kek_id = $6`

// Active returns the credential of that owner; store.ErrNotFound where there is none.
func (c Credentials) Active(ctx context.Context, workspace, conn, slot, userID string) (r credential.Record, err error) {
	err = c.db.one(ctx, "find a credential", func(scan scanner) error { return scanCredential(scan, &r, true) },
		activeCredential, workspace, conn, slot, userID)
	return r, err
}

// Put stores r as the active version; the sealed bytes of the version before it are
// gone with that. store.ErrConflict where it does not continue what stands there.
func (c Credentials) Put(ctx context.Context, r credential.Record) error {
	const what = "put a credential"
	args, err := credentialArgs(what, r)
	if err != nil {
		return err
	}
	return c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		if r.Kind == connector.TokenEndpoint {
			if _, err := t.exec(ctx, what, resetRefreshesOf, r.Workspace, r.Connector); err != nil {
				return err
			}
		}
		if r.Version != 1 {
			if _, err := t.exec(ctx, what, resetRefresh, r.Workspace, r.ID); err != nil {
				return err
			}
			return replace(ctx, t, what, r, args)
		}
		if _, err := t.exec(ctx, what, insertCredential, args...); err != nil {
			return err
		}
		return tell(ctx, t, r.Workspace, store.CredentialChanged, r.ID, r.CreatedAt)
	})
}

// replace writes the next version over the one that stands.
func replace(ctx context.Context, t *tx, what string, r credential.Record, args []any) error {
	n, err := t.exec(ctx, what, replaceCredential, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return t.fail(conflict(what, "it does not continue the version that stands there"))
	}
	return tell(ctx, t, r.Workspace, store.CredentialChanged, r.ID, r.CreatedAt)
}

// credentialArgs are the columns of a record, as insertCredential and replaceCredential
// have them.
func credentialArgs(what string, r credential.Record) ([]any, error) {
	if len(r.Sealed.WrappedDEK) == 0 || len(r.Sealed.Ciphertext) == 0 {
		return nil, errors.New(what + ": it is not sealed")
	}
	origins, err := list(r.Origins)
	if err != nil {
		return nil, fmt.Errorf("%s: origins: %w", what, err)
	}
	return []any{
		r.Workspace, r.ID, r.Connector, r.Slot, r.UserID, r.Kind, r.Version, r.Destination, origins,
		r.Sealed.KEKID, r.Sealed.WrappedDEK, r.Sealed.Ciphertext, micros(r.CreatedAt), r.CreatedBy,
	}, nil
}

// List returns the records without their sealed parts; connector may be empty.
func (c Credentials) List(ctx context.Context, workspace, conn string) ([]credential.Record, error) {
	return c.records(ctx, "list credentials", false, listCredentials, workspace, conn)
}

// Delete removes all versions and tells the change feed; store.ErrNotFound.
func (c Credentials) Delete(ctx context.Context, workspace, id string, at time.Time) error {
	const what = "delete a credential"
	return c.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, what, deleteCredential, workspace, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return t.fail(notFound(what))
		}
		if _, err := t.exec(ctx, what, deleteRefresh, workspace, id); err != nil {
			return err
		}
		return tell(ctx, t, workspace, store.CredentialChanged, id, at)
	})
}

// SealedWithout returns up to limit records whose DEK is wrapped by another KEK than
// kekID, of any workspace.
func (c Credentials) SealedWithout(ctx context.Context, kekID string, limit int) ([]credential.Record, error) {
	return c.records(ctx, "find credentials to rewrap", true, credentialsWithout, kekID, max(limit, 0))
}

// Rewrap replaces the wrapped DEK if the record is still at that version and KEK;
// else store.ErrConflict.
func (c Credentials) Rewrap(ctx context.Context, r credential.Record, oldKEK string) error {
	const what = "rewrap a credential"
	if len(r.Sealed.WrappedDEK) == 0 {
		return errors.New(what + ": it is not sealed")
	}
	n, err := c.db.exec(ctx, what, rewrapCredential,
		r.Workspace, r.ID, r.Version, r.Sealed.KEKID, r.Sealed.WrappedDEK, oldKEK)
	if err == nil && n == 0 {
		return conflict(what, "it is gone, or at another version or key")
	}
	return err
}

func (c Credentials) records(ctx context.Context, what string, sealed bool, query string, args ...any) ([]credential.Record, error) {
	var records []credential.Record
	err := c.db.query(ctx, what, func() { records = nil }, func(scan scanner) error {
		var r credential.Record
		err := scanCredential(scan, &r, sealed)
		records = append(records, r)
		return err
	}, query, args...)
	return records, err
}

func scanCredential(scan scanner, r *credential.Record, sealed bool) (err error) {
	var origins string
	var created, dead, retry int64
	into := []any{
		&r.Workspace, &r.ID, &r.Connector, &r.Slot, &r.UserID, &r.UserIssuer, &r.UserSubject, &r.Kind, &r.Version, &r.Destination,
		&origins, &created, &r.CreatedBy, &dead, &r.Reason, &retry,
	}
	if sealed {
		into = append(into, &r.Sealed.KEKID, &r.Sealed.WrappedDEK, &r.Sealed.Ciphertext)
	}
	if err := scan(into...); err != nil {
		return err
	}
	r.CreatedAt, r.RetryAt = fromMicros(created), fromMicros(retry)
	if r.Dead = dead == r.Version; !r.Dead && r.RetryAt.IsZero() {
		r.Reason = "" // it is of a version that was replaced
	}
	r.Origins, err = fromList(origins)
	return err
}
