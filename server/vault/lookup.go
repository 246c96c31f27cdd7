package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrKeyUnknown says that no key of that purpose and id is loaded.
var ErrKeyUnknown = errors.New("vault: key is not known")

// active gives the active key of a purpose.
func (k *Keyring) active(p Purpose) (*key, error) {
	if found := k.current.Load().active[p]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w: no active %s key is loaded", ErrKeyUnknown, p)
}

// ActiveID is the id of the active key of a purpose, for finding what still stands
// under another. ErrKeyUnknown where the keyring has not been loaded.
func (k *Keyring) ActiveID(p Purpose) (string, error) {
	found, err := k.active(p)
	if err != nil {
		return "", err
	}
	return found.row.ID, nil
}

// kek gives a KEK by its id. One that is not loaded may be younger than the last
// reading, so the store is read once more.
func (k *Keyring) kek(ctx context.Context, id string) (*key, error) {
	if found, ok := k.loadedKEK(id); ok {
		return found, nil
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	if found, ok := k.loadedKEK(id); ok { // somebody read it while we waited
		return found, nil
	}
	if err := k.refresh(ctx); err != nil {
		return nil, err
	}
	if found, ok := k.loadedKEK(id); ok {
		return found, nil
	}
	return nil, fmt.Errorf("%w: kek %q", ErrKeyUnknown, id)
}

func (k *Keyring) loadedKEK(id string) (*key, bool) {
	found, ok := k.current.Load().keys[id]
	return found, ok && found.row.Purpose == KEK
}

// Loaded lists the ids of all loaded keys, sorted: what the broker's heartbeat reports.
func (k *Keyring) Loaded() []string {
	current := k.current.Load()
	ids := make([]string, 0, len(current.rows))
	for _, row := range current.rows {
		ids = append(ids, row.ID)
	}
	slices.Sort(ids)
	return ids
}

// List gives all loaded keys by purpose, newest first, without their wrapped material.
func (k *Keyring) List() []WrappedKey {
	rows := slices.Clone(k.current.Load().rows)
	for i := range rows {
		rows[i].Wrapped = nil
	}
	return rows
}
