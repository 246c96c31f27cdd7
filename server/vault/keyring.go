package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/onedoor/onedoor/server/store"
)

// Options is what a Keyring is made of. All fields but Assertions are required.
type Options struct {
	// Store keeps the wrapped keys.
	Store Store
	// Master wraps them. Where it is a tink.AEADWithContext too, that is what is called.
	Master tink.AEAD
	// Rand makes data keys. Tink draws its own keys and all nonces from the system.
	Rand io.Reader
	// Now is the store's time.
	Now func() time.Time
	// NewID makes a UUID.
	NewID func() string
	// Log hears of keys made and activated.
	Log *slog.Logger
	// Assertions says how assertion keys rotate. Zero: this broker makes none.
	Assertions Schedule
}

// Keyring holds the broker's own keys. One key a purpose is active; a pending one
// becomes active when every live broker has it loaded; a retired one still opens and
// verifies. It is safe for concurrent use.
type Keyring struct {
	opts    Options
	master  tink.AEADWithContext
	current atomic.Pointer[snapshot]
	reading sync.Mutex // one reading of the store at a time; users of keys take no lock
}

// NewKeyring makes an empty keyring; Load fills it.
func NewKeyring(opts Options) *Keyring {
	k := &Keyring{opts: opts, master: withContext(opts.Master)}
	k.current.Store(&snapshot{})
	return k
}

// Load reads all keys and makes an active key for each purpose that has none. Any key
// that does not unwrap is an error that names it: a broker that cannot open what
// others can must not start. A broker sends its first heartbeat before it calls Load;
// otherwise a key could become active between the two that it does not have.
func (k *Keyring) Load(ctx context.Context) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	for attempt := 1; ; attempt++ {
		next, err := k.read(ctx)
		if err != nil {
			return err
		}
		missing := next.missing(k.needed())
		if len(missing) == 0 || attempt == 2 {
			return k.take(next)
		}
		for _, p := range missing {
			// Where another broker was first, the second reading finds its key.
			if _, err := k.create(ctx, p, KeyActive); err != nil && !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	}
}

// Poll reads the keys again and activates each pending one that every live broker has
// loaded; assertion keys go on by their schedule. On an error the keys that were loaded
// stay in use.
func (k *Keyring) Poll(ctx context.Context) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	if err := k.refresh(ctx); err != nil {
		return err
	}
	promoted := false
	// Whatever stands in the snapshot is loaded here.
	for _, row := range k.current.Load().rows {
		if row.State != KeyPending || row.Purpose == Assertion {
			continue
		}
		done, err := k.promote(ctx, row)
		if err != nil {
			return err
		}
		promoted = promoted || done
	}
	if promoted {
		if err := k.refresh(ctx); err != nil {
			return err
		}
	}
	return k.turn(ctx)
}

// promote activates a pending key unless a live broker lacks it.
func (k *Keyring) promote(ctx context.Context, row WrappedKey) (bool, error) {
	now := k.opts.Now()
	without, err := k.opts.Store.LiveBrokersWithout(ctx, row.ID, now)
	if err != nil {
		return false, fmt.Errorf("vault: who has %s key %s: %w", row.Purpose, row.ID, err)
	}
	if without > 0 {
		return false, nil
	}
	err = k.opts.Store.Promote(ctx, row.Purpose, row.ID, now)
	if errors.Is(err, store.ErrConflict) {
		return true, nil // another broker was first
	}
	if err != nil {
		return false, fmt.Errorf("vault: activate %s key %s: %w", row.Purpose, row.ID, err)
	}
	k.opts.Log.Info("key activated", "purpose", string(row.Purpose), "key_id", row.ID)
	return true, nil
}

// refresh replaces the snapshot by what stands in the store.
func (k *Keyring) refresh(ctx context.Context) error {
	next, err := k.read(ctx)
	if err != nil {
		return err
	}
	return k.take(next)
}

// take puts a snapshot in use, unless a purpose has no active key in it: then the keys
// from before are the better ones.
func (k *Keyring) take(next *snapshot) error {
	if missing := next.missing(k.needed()); len(missing) > 0 {
		return fmt.Errorf("vault: no active %s key in the store", missing[0])
	}
	k.current.Store(next)
	return nil
}
