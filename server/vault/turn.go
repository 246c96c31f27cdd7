package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
)

// ring is the assertion keys by state, as one snapshot has them.
type ring struct {
	pending, active *WrappedKey
	retired         []WrappedKey
	activations     []time.Time
}

func (s *snapshot) assertions() (r ring) {
	for i, row := range s.rows {
		switch {
		case row.Purpose != Assertion:
			continue
		case row.State == KeyPending:
			r.pending = &s.rows[i]
		case row.State == KeyActive:
			r.active = &s.rows[i]
		default:
			r.retired = append(r.retired, row)
		}
		if !row.ActivatedAt.IsZero() {
			r.activations = append(r.activations, row.ActivatedAt)
		}
	}
	return r
}

// retiredAt is when a key was followed by another. Where that one was deleted in an
// emergency it is when the next one followed: the key is published longer, never less.
func (r ring) retiredAt(row WrappedKey) (at time.Time, known bool) {
	for _, other := range r.activations {
		if other.After(row.ActivatedAt) && (!known || other.Before(at)) {
			at, known = other, true
		}
	}
	return at, known
}

// turn moves the assertion keys on where their time has come: one step makes the key
// that stands by after the one before brought its predecessor into use.
func (k *Keyring) turn(ctx context.Context) error {
	if !k.opts.Assertions.on() {
		return nil
	}
	for range 2 {
		changed, err := k.step(ctx)
		if err != nil || !changed {
			return err
		}
		if err := k.refresh(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step does what is due and says whether that was anything. Any broker does it; of
// several at once the store lets one.
func (k *Keyring) step(ctx context.Context) (changed bool, err error) {
	now, r := k.opts.Now(), k.current.Load().assertions()
	if r.pending == nil {
		// One always stands by: in an emergency it has long been published.
		_, err := k.create(ctx, Assertion, KeyPending)
		return true, unlessConflict(err)
	}
	if r.active != nil && !now.Before(r.active.ActivatedAt.Add(k.opts.Assertions.Active)) && !now.Before(k.maySign(r.pending)) {
		if changed, err = k.promote(ctx, *r.pending); err != nil {
			return changed, err
		}
	}
	for _, row := range r.retired {
		at, known := r.retiredAt(row)
		if !known || now.Before(at.Add(k.opts.Assertions.Retire)) {
			continue
		}
		if err := unlessConflict(k.opts.Store.DeleteAssertion(ctx, row.ID)); err != nil {
			return changed, fmt.Errorf("vault: delete assertion key %s: %w", row.ID, err)
		}
		k.opts.Log.Info("key deleted", "purpose", string(Assertion), "key_id", row.ID)
		changed = true
	}
	return changed, nil
}

// maySign is the time from which a pending key may sign.
func (k *Keyring) maySign(pending *WrappedKey) time.Time {
	return pending.CreatedAt.Add(k.opts.Assertions.Lead)
}

// unlessConflict drops the error that says that another broker was first.
func unlessConflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// ReplaceAssertion is for an emergency: the key that stands by signs from now on, and
// the active one is deleted. It waits for nobody: another broker uses and publishes the
// old key until its next Poll. The row comes back without its wrapped material. Errors
// for the caller: ARGUMENT_INVALID where assertions are off, CONFLICT where none stands by.
func (k *Keyring) ReplaceAssertion(ctx context.Context) (WrappedKey, error) {
	return k.rotateAssertion(ctx, func(ctx context.Context, standby *WrappedKey) error {
		return k.opts.Store.ReplaceAssertion(ctx, standby.ID, k.opts.Now())
	})
}

// rotateAssertion brings the key that stands by into use and makes the next one.
func (k *Keyring) rotateAssertion(ctx context.Context, use func(context.Context, *WrappedKey) error) (WrappedKey, error) {
	if !k.opts.Assertions.on() {
		return WrappedKey{}, fault.Invalid("purpose", "this broker signs no assertions: assertions.issuer is not configured")
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	if err := k.refresh(ctx); err != nil {
		return WrappedKey{}, err
	}
	standby := k.current.Load().assertions().pending
	if standby == nil {
		return WrappedKey{}, fault.New(fault.Conflict, "no assertion key stands by yet; try again in some seconds", nil)
	}
	err := use(ctx, standby)
	if errors.Is(err, store.ErrConflict) {
		err = fault.New(fault.Conflict, "somebody else rotated the assertion key at the same time", err)
	}
	if err != nil {
		return WrappedKey{}, err
	}
	k.opts.Log.Info("key activated", "purpose", string(Assertion), "key_id", standby.ID)
	if err := k.refresh(ctx); err != nil {
		return WrappedKey{}, err
	}
	if err := k.turn(ctx); err != nil { // Poll tries again
		k.opts.Log.Error("no assertion key stands by", "error", err)
	}
	row := k.current.Load().keys[standby.ID].row
	row.Wrapped = nil
	return row, nil
}

// promoteStandby activates the key that stands by, unless somebody may not know it yet.
func (k *Keyring) promoteStandby(ctx context.Context, standby *WrappedKey) error {
	now := k.opts.Now()
	if from := k.maySign(standby); now.Before(from) {
		return fault.New(fault.Conflict, "the key that stands by is not published long enough: it may sign from "+
			from.UTC().Format(time.RFC3339)+"; an emergency rotation does not wait for that", nil)
	}
	without, err := k.opts.Store.LiveBrokersWithout(ctx, standby.ID, now)
	if err != nil {
		return fmt.Errorf("vault: who has assertion key %s: %w", standby.ID, err)
	}
	if without > 0 {
		return fault.New(fault.Conflict, "the key that stands by is not loaded by every broker yet; try again in some seconds", nil)
	}
	return k.opts.Store.Promote(ctx, Assertion, standby.ID, now)
}
