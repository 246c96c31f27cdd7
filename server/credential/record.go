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
	// Dead says that this version was found dead: a person must renew it.
	Dead bool
	// RetryAt is before when no token endpoint is asked for it again; zero: any time.
	RetryAt time.Time
	// Reason says for people why it is Dead, or why nobody is asked before RetryAt.
	Reason string
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
	Refreshes
	// Rewrap replaces the wrapped DEK if the record is still at that version and KEK;
	// else store.ErrConflict.
	Rewrap(ctx context.Context, r Record, oldKEK string) error
}

// Lease is the right to refresh one credential for a time.
type Lease struct {
	Workspace, CredentialID, Owner string
	// Fence grows with each holder.
	Fence int64
	// Unresolved is the digest of a refresh token that was sent, or was about to be,
	// and of which nobody knows what became; nil: none.
	Unresolved []byte
	// Failures is how often it has failed since it last worked.
	Failures int64
}

// RefreshEnd is how a refresh ended that brought no token.
type RefreshEnd struct {
	// Resolved says that the token that was sent was not consumed.
	Resolved bool
	// Dead is the version that was found dead; 0: none.
	Dead int64
	// Reason says why, for people.
	Reason   string
	Failures int64
	// RetryAt is before when the provider is left alone; zero: it need not be.
	RetryAt time.Time
	At      time.Time
}

// Refreshes keeps who refreshes which credential, and what was sent.
type Refreshes interface {
	// Take gives the lease to owner until then; store.ErrConflict while another runs.
	Take(ctx context.Context, workspace, id, owner string, now, until time.Time) (Lease, error)
	// Attempt records, before it is sent, the digest of a refresh token;
	// store.ErrConflict where the lease is another's by now.
	Attempt(ctx context.Context, l Lease, digest []byte) error
	// Renew stores r, which must continue the version that stands, resolves the attempt
	// of l and gives the lease back. It tells the change feed. It works also where the
	// lease has run out meanwhile: whoever came after has sent nothing.
	Renew(ctx context.Context, l Lease, r Record) error
	// Release gives the lease back, where it is still l, with how it ended. It tells the
	// change feed where that changes what others may do.
	Release(ctx context.Context, l Lease, e RefreshEnd) error
}
