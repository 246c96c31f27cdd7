package credential

import (
	"context"
	"time"

	"github.com/onedoor/onedoor/server/vault"
)

// Record is a stored credential: sealed, and bound to what it was put for.
type Record struct {
	Workspace string
	ID        string // UUID; stays the same over versions
	Connector string
	Slot      string
	// UserID is the owner; empty means that the workspace owns it.
	UserID string
	// UserIssuer and UserSubject are filled by List for people to read.
	UserIssuer  string
	UserSubject string
	Kind        string
	Version     int64 // from 1
	// Destination is for whom the secret may be used, what it may be sent to, and how:
	// canonical JSON of connector, slot, owner, origins, token endpoint and attachment.
	// It is part of the associated data.
	Destination string
	// Origins is for people to read; what counts is Destination.
	Origins   []string
	Sealed    vault.Sealed
	CreatedAt time.Time
	CreatedBy string
}

// Store keeps sealed credentials: one active one per (workspace, connector, slot, owner).
type Store interface {
	// Active returns the credential of that owner; store.ErrNotFound where there is none.
	Active(ctx context.Context, workspace, connector, slot, userID string) (Record, error)
	// Put stores r as the active version. Its id and version must continue the one
	// that stands there (the same id, version plus 1; or version 1); else
	// store.ErrConflict. It tells the change feed.
	Put(ctx context.Context, r Record) error
	// List returns the records without their sealed parts; connector may be empty.
	List(ctx context.Context, workspace, connector string) ([]Record, error)
	// Delete removes all versions and tells the change feed; store.ErrNotFound.
	Delete(ctx context.Context, workspace, id string, at time.Time) error
	// SealedWithout returns up to limit records whose DEK is wrapped by another KEK
	// than kekID, of any workspace.
	SealedWithout(ctx context.Context, kekID string, limit int) ([]Record, error)
	// Rewrap replaces the wrapped DEK if the record is still at that version and KEK;
	// else store.ErrConflict.
	Rewrap(ctx context.Context, r Record, oldKEK string) error
}
