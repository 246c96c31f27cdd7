package credential

import (
	"context"
	"errors"
	"fmt"

	"github.com/onedoor/onedoor/server/store"
)

// rewrapBatch is how many records are rewrapped in one go.
const rewrapBatch = 100

// Rewrap brings data keys that are wrapped by another KEK under the active one, one
// batch a call, and returns how many it did. Payloads and versions stay as they are,
// and a record that somebody else changed meanwhile is left to the next time. One that
// does not open is an error, but does not hold up the others.
func (k *Keeper) Rewrap(ctx context.Context, activeKEK string) (int, error) {
	records, err := k.o.Store.SealedWithout(ctx, activeKEK, rewrapBatch)
	if err != nil {
		return 0, fmt.Errorf("find credentials to rewrap: %w", err)
	}
	done := 0
	var failed []error
	for _, r := range records {
		old := r.Sealed.KEKID
		if r.Sealed, err = k.o.Sealer.Rewrap(ctx, bindingOf(r), r.Sealed); err != nil {
			failed = append(failed, fmt.Errorf("rewrap credential %s: %w", r.ID, err))
			continue
		}
		switch err := k.o.Store.Rewrap(ctx, r, old); {
		case errors.Is(err, store.ErrConflict):
		case err != nil:
			return done, fmt.Errorf("rewrap credential %s: %w", r.ID, err)
		default:
			done++
			k.Forget(r.Workspace, r.ID)
		}
	}
	return done, errors.Join(failed...)
}
