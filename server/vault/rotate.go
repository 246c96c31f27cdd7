package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
)

// Rotate makes a pending key for a purpose; Poll activates it later. For Assertion,
// where a pending key always stands by, it makes that one active now, and is a CONFLICT
// where it may not sign yet. The row comes back without its wrapped material. Errors for
// the caller: ARGUMENT_INVALID for an unknown purpose or where assertions are off,
// CONFLICT where a pending key waits already.
func (k *Keyring) Rotate(ctx context.Context, p Purpose) (WrappedKey, error) {
	if p == Assertion {
		return k.rotateAssertion(ctx, k.promoteStandby)
	}
	if !slices.Contains(purposes(), p) {
		return WrappedKey{}, fault.Invalid("purpose", "must be kek, pepper, audit or assertion")
	}
	row, err := k.create(ctx, p, KeyPending)
	if errors.Is(err, store.ErrConflict) {
		return WrappedKey{}, fault.New(fault.Conflict, "a new "+string(p)+" key waits already to be loaded by every broker", err)
	}
	if err != nil {
		return WrappedKey{}, err
	}
	row.Wrapped = nil
	return row, nil
}

// create makes a key and stores it.
func (k *Keyring) create(ctx context.Context, p Purpose, state KeyState) (WrappedKey, error) {
	now := k.opts.Now()
	handle, id, err := k.newKeyset(p)
	if err != nil {
		return WrappedKey{}, err
	}
	wrapped, err := k.wrap(ctx, p, id, handle)
	if err != nil {
		return WrappedKey{}, err
	}
	row := WrappedKey{Purpose: p, ID: id, State: state, Wrapped: wrapped, CreatedAt: now}
	if state == KeyActive {
		row.ActivatedAt = now
	}
	if err := k.probe(ctx, row); err != nil {
		return WrappedKey{}, err
	}
	if err := k.opts.Store.AddKey(ctx, row); err != nil {
		return WrappedKey{}, fmt.Errorf("vault: store %s key %s: %w", p, id, err)
	}
	k.opts.Log.Info("key made", "purpose", string(p), "key_id", id, "state", string(state))
	return row, nil
}

// probe refuses a master key that could not be lived with, before anything is stored
// under it: one that may wrap but not unwrap, and one that ignores associated data (an
// old Vault server does), under which rows could be exchanged unnoticed.
func (k *Keyring) probe(ctx context.Context, row WrappedKey) error {
	if _, err := k.unwrap(ctx, row); err != nil {
		return err
	}
	moved := row
	moved.ID += "-moved"
	if _, err := k.unwrap(ctx, moved); err == nil {
		return errors.New("vault: the master key ignores associated data and cannot be used")
	}
	return nil
}
