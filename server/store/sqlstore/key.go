package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/onedoor/onedoor/server/vault"
)

// Keys keeps wrapped keys: vault.Store. At most one key a purpose is active and one
// pending; unique indexes see to that.
type Keys struct{ db *db }

const listKeys = `
SELECT purpose, id, state, wrapped, created_us, activated_us FROM keys ORDER BY purpose, created_us, id`

const insertKey = `
INSERT INTO keys (purpose, id, state, wrapped, created_us, activated_us) VALUES ($1, $2, $3, $4, $5, $6)`

const retireKey = `
UPDATE keys SET state = 'retired' WHERE purpose = $1 AND state = 'active'`

const activateKey = `
UPDATE keys SET state = 'active', activated_us = $3 WHERE purpose = $1 AND id = $2 AND state = 'pending'`

const deleteActiveAssertion = `DELETE FROM keys WHERE purpose = 'assertion' AND state = 'active'`

const activateAssertion = `
UPDATE keys SET state = 'active', activated_us = $2 WHERE purpose = 'assertion' AND id = $1 AND state = 'pending'`

const deleteRetiredAssertion = `DELETE FROM keys WHERE purpose = 'assertion' AND id = $1 AND state = 'retired'`

const liveBrokerKeys = `SELECT keys_loaded FROM brokers WHERE lease_us > $1`

// Keys returns all keys of all purposes.
func (k Keys) Keys(ctx context.Context) ([]vault.WrappedKey, error) {
	var keys []vault.WrappedKey
	err := k.db.query(ctx, "read keys", func() { keys = nil }, func(scan scanner) error {
		var w vault.WrappedKey
		var purpose, state string
		var created, activated int64
		if err := scan(&purpose, &w.ID, &state, &w.Wrapped, &created, &activated); err != nil {
			return err
		}
		w.Purpose, w.State = vault.Purpose(purpose), vault.KeyState(state)
		w.CreatedAt, w.ActivatedAt = fromMicros(created), fromMicros(activated)
		keys = append(keys, w)
		return nil
	}, listKeys)
	return keys, err
}

// AddKey stores a key; store.ErrConflict where its purpose has one in that state.
func (k Keys) AddKey(ctx context.Context, w vault.WrappedKey) error {
	if len(w.Wrapped) == 0 {
		return errors.New("add a key: it is not wrapped")
	}
	_, err := k.db.exec(ctx, "add a key", insertKey,
		string(w.Purpose), w.ID, string(w.State), w.Wrapped, micros(w.CreatedAt), micros(w.ActivatedAt))
	return err
}

// Promote makes a pending key active and the active one retired, in one transaction;
// store.ErrConflict where the key is not pending.
func (k Keys) Promote(ctx context.Context, p vault.Purpose, id string, at time.Time) error {
	const what = "promote a key"
	return k.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, what, retireKey, string(p)); err != nil {
			return err
		}
		n, err := t.exec(ctx, what, activateKey, string(p), id, micros(at))
		if err == nil && n == 0 {
			return t.fail(conflict(what, "it is not pending"))
		}
		return err
	})
}

// ReplaceAssertion makes a pending assertion key active and deletes the active one, in
// one transaction; store.ErrConflict where the key is not pending.
func (k Keys) ReplaceAssertion(ctx context.Context, id string, at time.Time) error {
	const what = "replace the assertion key"
	return k.db.transact(ctx, what, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, what, deleteActiveAssertion); err != nil {
			return err
		}
		n, err := t.exec(ctx, what, activateAssertion, id, micros(at))
		if err == nil && n == 0 {
			return t.fail(conflict(what, "it is not pending"))
		}
		return err
	})
}

// DeleteAssertion deletes a retired assertion key; store.ErrConflict where it is not
// retired, or gone.
func (k Keys) DeleteAssertion(ctx context.Context, id string) error {
	const what = "delete an assertion key"
	n, err := k.db.exec(ctx, what, deleteRetiredAssertion, id)
	if err == nil && n == 0 {
		return conflict(what, "it is not retired")
	}
	return err
}

// LiveBrokersWithout counts the brokers whose lease runs at the time now and who
// have not reported the key as loaded.
func (k Keys) LiveBrokersWithout(ctx context.Context, keyID string, now time.Time) (int, error) {
	count := 0
	err := k.db.query(ctx, "count brokers without a key", func() { count = 0 }, func(scan scanner) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		loaded, err := fromList(text)
		if !slices.Contains(loaded, keyID) {
			count++
		}
		return err
	}, liveBrokerKeys, micros(now))
	return count, err
}
