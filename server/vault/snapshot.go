package vault

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
)

// snapshot is the keyring as it stood at one reading. It never changes; readers take
// it without a lock and the next reading replaces it whole.
type snapshot struct {
	rows    []WrappedKey // by purpose, newest first
	keys    map[string]*key
	active  map[Purpose]*key
	peppers []*key // active first, then newest first
}

// read takes all rows from the store. Keys that were loaded before are kept, so that
// the master key is asked only about new ones. A row of a purpose that this version
// does not know is left alone: it is neither used nor reported as loaded, so nobody
// starts to rely on it, and an older broker survives beside a newer one.
func (k *Keyring) read(ctx context.Context) (*snapshot, error) {
	rows, err := k.opts.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("vault: read keys: %w", err)
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(r WrappedKey) bool {
		return !slices.Contains(purposes(), r.Purpose)
	})
	slices.SortFunc(rows, func(a, b WrappedKey) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	next := &snapshot{rows: rows, keys: map[string]*key{}, active: map[Purpose]*key{}}
	for _, row := range rows {
		loaded, err := k.reuseOrLoad(ctx, row)
		if err != nil {
			return nil, err
		}
		if err := next.add(loaded); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// reuseOrLoad takes the key from the reading before, with its new state, where the
// wrapped bytes are the same.
func (k *Keyring) reuseOrLoad(ctx context.Context, row WrappedKey) (*key, error) {
	old, ok := k.current.Load().keys[row.ID]
	if !ok || old.row.Purpose != row.Purpose || !bytes.Equal(old.row.Wrapped, row.Wrapped) {
		return k.loadKey(ctx, row)
	}
	same := *old
	same.row = row
	return &same, nil
}

// add takes a key in and refuses what makes the ring ambiguous.
func (s *snapshot) add(loaded *key) error {
	row := loaded.row
	if _, twice := s.keys[row.ID]; twice || row.ID == "" {
		return fmt.Errorf("vault: %s key %q has no id of its own", row.Purpose, row.ID)
	}
	s.keys[row.ID] = loaded
	switch row.State {
	case KeyActive:
		if other, twice := s.active[row.Purpose]; twice {
			return fmt.Errorf("vault: two active %s keys, %s and %s", row.Purpose, other.row.ID, row.ID)
		}
		s.active[row.Purpose] = loaded
	case KeyPending, KeyRetired:
	default:
		return fmt.Errorf("vault: %s key %s has the unknown state %q", row.Purpose, row.ID, row.State)
	}
	if row.Purpose == Pepper {
		s.addPepper(loaded)
	}
	return nil
}

func (s *snapshot) addPepper(loaded *key) {
	if loaded.row.State == KeyActive {
		s.peppers = slices.Insert(s.peppers, 0, loaded)
		return
	}
	s.peppers = append(s.peppers, loaded)
}

// missing lists those of the needed purposes that have no active key.
func (s *snapshot) missing(needed []Purpose) []Purpose {
	return slices.DeleteFunc(needed, func(p Purpose) bool { return s.active[p] != nil })
}
