package vault

import (
	"context"
	"time"
)

// Purpose says what a key is for; each has associated data of its own.
type Purpose string

// The purposes.
const (
	KEK       Purpose = "kek"
	Pepper    Purpose = "pepper"
	Audit     Purpose = "audit"
	Assertion Purpose = "assertion"
)

// KeyState is where a key stands in its life.
type KeyState string

// The states. Exactly one key a purpose is active; a pending one becomes active when
// every live broker has loaded it; a retired one still opens and verifies. An assertion
// key keeps to its [Schedule] besides, and is deleted at the end.
const (
	KeyPending KeyState = "pending"
	KeyActive  KeyState = "active"
	KeyRetired KeyState = "retired"
)

// WrappedKey is one key as it is stored: wrapped by the master key.
type WrappedKey struct {
	Purpose     Purpose
	ID          string // UUID; of an assertion key its thumbprint (RFC 7638)
	State       KeyState
	Wrapped     []byte
	CreatedAt   time.Time
	ActivatedAt time.Time // zero while pending
}

// Store keeps wrapped keys.
type Store interface {
	// Keys returns all keys of all purposes.
	Keys(ctx context.Context) ([]WrappedKey, error)
	// AddKey stores a key. With state active it succeeds only where the purpose has
	// no active key, with state pending only where it has no pending one; else
	// store.ErrConflict.
	AddKey(ctx context.Context, k WrappedKey) error
	// Promote makes a pending key active and the active one retired, in one
	// transaction; store.ErrConflict where the key is not pending.
	Promote(ctx context.Context, p Purpose, id string, at time.Time) error
	// ReplaceAssertion makes the pending assertion key with this id active and deletes
	// the active one, in one transaction; store.ErrConflict where it is not pending.
	ReplaceAssertion(ctx context.Context, id string, at time.Time) error
	// DeleteAssertion deletes a retired assertion key; store.ErrConflict where it is not
	// retired, or gone. No key of another purpose can be deleted: something is sealed
	// under it, hashed with it, or signed by it.
	DeleteAssertion(ctx context.Context, id string) error
	// LiveBrokersWithout counts the brokers whose lease runs at the time now and who
	// have not reported the key as loaded.
	LiveBrokersWithout(ctx context.Context, keyID string, now time.Time) (int, error)
}
