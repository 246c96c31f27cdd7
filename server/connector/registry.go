package connector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/store"
)

const (
	cacheSize = 1024
	// immutable is how long a parsed text is good for: it never changes.
	immutable = 100 * 365 * 24 * time.Hour
	// applyAttempts is how often Apply tries when others apply at the same time.
	applyAttempts = 5
)

// Registry gives parsed connectors out of a Store. What it says of a revision being
// withdrawn is no older than its lease. It is safe for concurrent use. Its errors are
// *fault.Error wherever the reason is known: CONNECTOR_UNKNOWN, CONNECTOR_CHANGED,
// STORE_UNAVAILABLE, CONFLICT.
type Registry struct {
	store Store
	// leases holds whether a revision stands; a miss costs one row.
	leases *lease.Cache[key, pinned]
	// parsed holds connectors by the hash of their text; a miss costs one parse.
	parsed *lease.Cache[[sha256.Size]byte, *Connector]
}

type key struct {
	workspace, name string
	revision        int64
}

type pinned struct {
	connector *Connector // nil where withdrawn
	withdrawn bool
}

// NewRegistry reads from s. window is how long a revision is believed to stand
// without hearing of the change feed, by the local clock now.
func NewRegistry(s Store, window time.Duration, now func() time.Time) *Registry {
	return &Registry{
		store:  s,
		leases: lease.New[key, pinned](window, now, cacheSize),
		parsed: lease.New[[sha256.Size]byte, *Connector](immutable, now, cacheSize),
	}
}

// Connector gives one revision, ready to be called. A revision that was withdrawn is
// CONNECTOR_CHANGED.
func (r *Registry) Connector(ctx context.Context, workspace, name string, revision int64) (*Connector, error) {
	p, err := r.leases.Get(ctx, key{workspace, name, revision}, func(ctx context.Context) (pinned, error) {
		rev, err := r.store.Revision(ctx, workspace, name, revision)
		if err != nil {
			return pinned{}, reason(err, name)
		}
		if rev.Withdrawn {
			return pinned{withdrawn: true}, nil
		}
		c, err := r.Parsed(ctx, rev)
		return pinned{connector: c}, err
	})
	switch {
	case err != nil:
		return nil, err
	case p.withdrawn || p.connector == nil:
		return nil, withdrawn(name)
	}
	return p.connector, nil
}

// Parsed gives the connector that a revision describes, withdrawn or not: for those
// who describe it, not for calls.
func (r *Registry) Parsed(ctx context.Context, rev Revision) (*Connector, error) {
	sum := sha256.Sum256([]byte(rev.Manifest))
	if hex.EncodeToString(sum[:]) != rev.SHA256 {
		return nil, fault.New(fault.Internal, "internal error",
			fmt.Errorf("connector %s/%s revision %d: the manifest is not the one that was applied", rev.Workspace, rev.Name, rev.Number))
	}
	parsed, err := r.parsed.Get(ctx, sum, func(context.Context) (*Connector, error) {
		return Parse([]byte(rev.Manifest))
	})
	if err != nil {
		return nil, fault.New(fault.ConnectorChanged, "the manifest of "+rev.Name+" is not accepted any more: apply it again", err)
	}
	if parsed.Name != rev.Name {
		return nil, fault.New(fault.Internal, "internal error",
			fmt.Errorf("connector %s/%s revision %d: the manifest is of %s", rev.Workspace, rev.Name, rev.Number, parsed.Name))
	}
	c := *parsed
	c.Workspace, c.Revision = rev.Workspace, rev.Number
	return &c, nil
}

// Current gives the newest revision as it stands in the store now: what new tasks get.
// Where that one was withdrawn it is CONNECTOR_CHANGED, although older ones may stand.
func (r *Registry) Current(ctx context.Context, workspace, name string) (Revision, error) {
	rev, err := r.store.Current(ctx, workspace, name)
	if err != nil {
		return Revision{}, reason(err, name)
	}
	if rev.Withdrawn {
		return Revision{}, withdrawn(name)
	}
	return rev, nil
}

// Revision gives one revision, or with 0 the newest, withdrawn or not: for operators.
func (r *Registry) Revision(ctx context.Context, workspace, name string, number int64) (Revision, error) {
	if number == 0 {
		rev, err := r.store.Current(ctx, workspace, name)
		return rev, reason(err, name)
	}
	rev, err := r.store.Revision(ctx, workspace, name, number)
	return rev, reason(err, name)
}

// List gives the newest revision of every connector that is not withdrawn, by name.
func (r *Registry) List(ctx context.Context, workspace string) ([]Revision, error) {
	list, err := r.store.List(ctx, workspace)
	return list, reason(err, "")
}

// Apply stores a manifest as a new revision, applied by the SPIFFE ID by. Where the
// very text is the newest revision and stands, nothing changes and changed is false.
func (r *Registry) Apply(ctx context.Context, workspace, manifestText, by string, now time.Time) (rev Revision, changed bool, err error) {
	c, err := Parse([]byte(manifestText))
	if err != nil {
		return Revision{}, false, err
	}
	sum := sha256.Sum256([]byte(manifestText))
	next := Revision{
		Workspace: workspace, Name: c.Name, Manifest: manifestText,
		SHA256: hex.EncodeToString(sum[:]), AppliedAt: now, AppliedBy: by,
	}
	for range applyAttempts {
		current, err := r.store.Current(ctx, workspace, c.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return Revision{}, false, reason(err, c.Name)
		}
		if err == nil && current.SHA256 == next.SHA256 && !current.Withdrawn {
			return current, false, nil
		}
		next.Number = current.Number + 1
		if err != nil {
			next.Number = 1
		}
		err = r.store.Add(ctx, next)
		if err == nil {
			return next, true, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return Revision{}, false, reason(err, c.Name)
		}
	}
	return Revision{}, false, reason(store.ErrConflict, c.Name)
}

// Withdraw withdraws one revision, or with 0 all of them. When it returns, this
// broker makes no more calls on them; the others follow within their leases.
func (r *Registry) Withdraw(ctx context.Context, workspace, name string, number int64, at time.Time) error {
	err := r.store.Withdraw(ctx, workspace, name, number, at)
	// Even a failed answer may follow a withdrawal that took place.
	r.Forget(workspace, name)
	return reason(err, name)
}

// Forget drops what is believed of a connector: the change feed names it.
func (r *Registry) Forget(workspace, name string) {
	r.leases.Forget(func(k key, _ pinned) bool { return k.workspace == workspace && k.name == name })
}

// Renew says that a poll of the change feed that began at readStarted found nothing
// more to forget; see [lease.Cache.Renew].
func (r *Registry) Renew(readStarted time.Time) { r.leases.Renew(readStarted) }

func withdrawn(name string) error {
	return fault.New(fault.ConnectorChanged, "the connector "+name+" was withdrawn", nil)
}

// reason gives a store's error its reason; nil stays nil.
func reason(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return fault.New(fault.ConnectorUnknown, "no connector "+quote(name), err)
	case errors.Is(err, store.ErrConflict):
		return fault.New(fault.Conflict, "the connector "+name+" is being applied by others", err)
	case errors.Is(err, store.ErrUnavailable):
		return fault.New(fault.StoreUnavailable, "the store cannot be reached", err)
	}
	return fmt.Errorf("connector %s: %w", quote(name), err)
}
