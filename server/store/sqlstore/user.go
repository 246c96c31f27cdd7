package sqlstore

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/task"
)

const findUser = `SELECT id FROM users WHERE workspace_id = $1 AND issuer = $2 AND subject = $3`

// The update changes nothing; it makes the row that stood there come back.
const ensureUser = `
INSERT INTO users (workspace_id, id, issuer, subject, created_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (workspace_id, issuer, subject) DO UPDATE SET issuer = users.issuer
RETURNING id`

// FindUser returns a user; store.ErrNotFound.
func (s Tasks) FindUser(ctx context.Context, workspace, issuer, subject string) (task.User, error) {
	u := task.User{Issuer: issuer, Subject: subject}
	err := s.db.one(ctx, "find user", func(scan scanner) error { return scan(&u.ID) },
		findUser, workspace, issuer, subject)
	if err != nil {
		return task.User{}, err
	}
	return u, nil
}

// EnsureUser returns the user, with the given id if it did not exist.
func (s Tasks) EnsureUser(ctx context.Context, workspace, issuer, subject, newID string, now time.Time) (task.User, error) {
	u := task.User{Issuer: issuer, Subject: subject}
	err := s.db.transact(ctx, "ensure user", func(ctx context.Context, t *tx) error {
		_, err := t.query(ctx, "ensure user", func(scan scanner) error { return scan(&u.ID) },
			ensureUser, workspace, newID, issuer, subject, micros(now))
		return err
	})
	if err != nil {
		return task.User{}, err
	}
	return u, nil
}
