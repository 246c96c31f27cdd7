package credential

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
)

// Sealer seals and opens secrets; *vault.Vault is one.
type Sealer interface {
	Seal(ctx context.Context, b vault.Binding, s vault.Secret) (vault.Sealed, error)
	Open(ctx context.Context, b vault.Binding, s vault.Sealed) (vault.Secret, error)
	Rewrap(ctx context.Context, b vault.Binding, s vault.Sealed) (vault.Sealed, error)
}

// Options are what a Keeper is made of.
type Options struct {
	Store  Store
	Sealer Sealer
	// Records remembers sealed records for as long as their lease runs.
	Records *lease.Cache[Place, Record]
	// Opened remembers what was rendered from them, for as long as they stand.
	Opened *lease.Cache[Version, egress.Attachment]
	NewID  func() string
	Now    func() time.Time
}

// Place is where a credential stands: whose it is, for what. UserID is empty for the
// workspace's own.
type Place struct{ Workspace, Connector, Slot, UserID string }

// Version names exactly what was rendered: the versions of all credentials that a
// call needs, and the connector revision whose slots they fill.
type Version struct {
	Workspace, Connector string
	Revision             int64
	// Credentials is `id@version` for each, with a comma behind.
	Credentials string
}

// Keeper keeps credentials.
type Keeper struct {
	o     Options
	kinds map[string]kind
}

// NewKeeper makes a Keeper.
func NewKeeper(o Options) *Keeper { return &Keeper{o: o, kinds: kinds()} }

// Find returns the sealed records that a call of this connector for this user needs,
// one a slot. CREDENTIAL_MISSING where one is not there or was put for another
// destination than the connector has now. No secret is opened.
func (k *Keeper) Find(ctx context.Context, c *connector.Connector, userID string) ([]Record, error) {
	records := make([]Record, 0, len(c.Slots))
	for _, name := range slotNames(c) {
		slot := c.Slots[name]
		place := placeOf(c, slot, userID)
		r, err := k.o.Records.Get(ctx, place, func(ctx context.Context) (Record, error) {
			return k.o.Store.Active(ctx, place.Workspace, place.Connector, place.Slot, place.UserID)
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil, missing(c, slot, "none is stored")
		}
		if err != nil {
			return nil, fault.New(fault.StoreUnavailable, "the credential cannot be looked up now; try again", err)
		}
		want, err := destinationOf(c, slot, place)
		if err != nil {
			return nil, err
		}
		if r.Destination != want {
			return nil, missing(c, slot, "the one stored was put for another origin or attachment; put it again for the new one")
		}
		records = append(records, r)
	}
	return records, nil
}

// Attach opens the records and renders them. It demands the Intent of the call:
// no secret without a decision and a record.
func (k *Keeper) Attach(ctx context.Context, intent audit.Intent, c *connector.Connector, records []Record) (egress.Attachment, error) {
	if err := intent.Check(); err != nil {
		return egress.Attachment{}, err
	}
	if intent.Workspace() != c.Workspace || len(records) != len(c.Slots) {
		return egress.Attachment{}, fault.New(fault.Internal, "internal error", errors.New("credential and intent do not belong together"))
	}
	if len(records) == 0 {
		return egress.NewAttachment(), nil
	}
	v := Version{Workspace: c.Workspace, Connector: c.Name, Revision: c.Revision, Credentials: PoolName(records)}
	a, err := k.o.Opened.Get(ctx, v, func(ctx context.Context) (egress.Attachment, error) {
		return k.render(ctx, c, records)
	})
	if err != nil {
		return egress.Attachment{}, fault.New(fault.Internal, "internal error", err)
	}
	return a, nil
}

// PoolName names the versions of the records, for whatever must not be shared between
// two credentials, such as a pooled connection.
func PoolName(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.ID)
		b.WriteByte('@')
		b.WriteString(strconv.FormatInt(r.Version, 10))
		b.WriteByte(',')
	}
	return b.String()
}

func (k *Keeper) render(ctx context.Context, c *connector.Connector, records []Record) (egress.Attachment, error) {
	a := egress.NewAttachment()
	var scrub [][]byte
	for _, r := range records {
		slot := c.Slots[r.Slot]
		kind, ok := k.kinds[r.Kind]
		if !ok || r.Kind != slot.Kind {
			return egress.Attachment{}, fmt.Errorf("credential %s: kind %q does not fit slot %q", r.ID, r.Kind, slot.Name)
		}
		secret, err := k.o.Sealer.Open(ctx, bindingOf(r), r.Sealed)
		if err != nil {
			return egress.Attachment{}, fmt.Errorf("credential %s: %w", r.ID, err)
		}
		text := secret.Reveal()
		if err := kind.attach(slot, string(text), &a); err != nil {
			return egress.Attachment{}, fmt.Errorf("credential %s: %w", r.ID, err)
		}
		scrub = append(append(scrub, text), kind.derived(slot, string(text))...)
	}
	if err := a.Use(egress.NewScrubber(scrub...)); err != nil {
		return egress.Attachment{}, fmt.Errorf("scrubber: %w", err)
	}
	return a, nil
}

// Put is a secret to store.
type Put struct {
	Connector *connector.Connector
	Slot      string
	// UserID is the owner; empty for the workspace.
	UserID string
	Secret vault.Secret
	By     string
}

// Put seals a secret as the next version of the credential at its place.
func (k *Keeper) Put(ctx context.Context, p Put) (Record, error) {
	slot, err := k.admit(p)
	if err != nil {
		return Record{}, err
	}
	for range 5 {
		r, err := k.put(ctx, p, slot)
		if !errors.Is(err, store.ErrConflict) {
			return r, err
		}
	}
	return Record{}, fault.New(fault.Conflict, "somebody else put this credential at the same time; try again", nil)
}

// admit checks that the secret fits the manifest's slot.
func (k *Keeper) admit(p Put) (connector.Slot, error) {
	slot, ok := p.Connector.Slots[p.Slot]
	switch {
	case !ok && len(p.Connector.Slots) == 0:
		return slot, fault.Invalid("connector", "this connector needs no credential")
	case !ok:
		return slot, fault.Invalid("slot", fmt.Sprintf("the connector has no slot %q; it has %v", p.Slot, slotNames(p.Connector)))
	case slot.Owner == connector.UserOwned && p.UserID == "":
		return slot, fault.Invalid("owner", "this slot takes the user's own credential: name the user")
	case slot.Owner == connector.WorkspaceOwned && p.UserID != "":
		return slot, fault.Invalid("owner", "this slot takes the workspace's credential, not a user's")
	}
	kind, ok := k.kinds[slot.Kind]
	if !ok {
		return slot, fault.Invalid("connector", "its credential kind is not known to this broker")
	}
	if err := kind.check(string(p.Secret.Reveal())); err != nil {
		return slot, fault.Invalid("secret", err.Error())
	}
	return slot, nil
}

func (k *Keeper) put(ctx context.Context, p Put, slot connector.Slot) (Record, error) {
	place := placeOf(p.Connector, slot, p.UserID)
	dest, err := destinationOf(p.Connector, slot, place)
	if err != nil {
		return Record{}, err
	}
	r := Record{
		Workspace: place.Workspace, ID: k.o.NewID(), Connector: place.Connector, Slot: place.Slot, UserID: place.UserID,
		Kind: slot.Kind, Version: 1, Destination: dest, Origins: []string{p.Connector.Origin.String()},
		CreatedAt: k.o.Now(), CreatedBy: p.By,
	}
	old, err := k.o.Store.Active(ctx, place.Workspace, place.Connector, place.Slot, place.UserID)
	switch {
	case err == nil:
		r.ID, r.Version = old.ID, old.Version+1
	case !errors.Is(err, store.ErrNotFound):
		return Record{}, fault.New(fault.StoreUnavailable, "the credential could not be stored; try again", err)
	}
	if r.Sealed, err = k.o.Sealer.Seal(ctx, bindingOf(r), p.Secret); err != nil {
		return Record{}, fmt.Errorf("seal credential: %w", err)
	}
	if err := k.o.Store.Put(ctx, r); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return Record{}, err
		}
		return Record{}, fault.New(fault.StoreUnavailable, "the credential could not be stored; try again", err)
	}
	k.Forget(r.Workspace, r.ID)
	return r, nil
}

// List returns the records of a workspace without their sealed parts.
func (k *Keeper) List(ctx context.Context, workspace, connectorName string) ([]Record, error) {
	records, err := k.o.Store.List(ctx, workspace, connectorName)
	if err != nil {
		return nil, fault.New(fault.StoreUnavailable, "the credentials cannot be read now; try again", err)
	}
	return records, nil
}

// Delete removes a credential, its sealed secret and what is remembered of it.
func (k *Keeper) Delete(ctx context.Context, workspace, id string) error {
	err := k.o.Store.Delete(ctx, workspace, id, k.o.Now())
	k.Forget(workspace, id)
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.CredentialUnknown, "no such credential in this workspace", err)
	}
	if err != nil {
		return fault.New(fault.StoreUnavailable, "the credential could not be deleted; try again", err)
	}
	return nil
}

// Forget drops what is remembered of a credential, opened or sealed.
func (k *Keeper) Forget(workspace, id string) {
	k.o.Records.Forget(func(p Place, r Record) bool { return p.Workspace == workspace && r.ID == id })
	k.o.Opened.Forget(func(v Version, _ egress.Attachment) bool {
		return v.Workspace == workspace && InPool(v.Credentials, id)
	})
}

func bindingOf(r Record) vault.Binding {
	return vault.Binding{Workspace: r.Workspace, CredentialID: r.ID, Kind: r.Kind, Version: r.Version, Destination: r.Destination}
}

func placeOf(c *connector.Connector, slot connector.Slot, userID string) Place {
	p := Place{Workspace: c.Workspace, Connector: c.Name, Slot: slot.Name}
	if slot.Owner == connector.UserOwned {
		p.UserID = userID
	}
	return p
}

func slotNames(c *connector.Connector) []string {
	names := make([]string, 0, len(c.Slots))
	for name := range c.Slots {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func missing(c *connector.Connector, slot connector.Slot, why string) error {
	return fault.New(fault.CredentialMissing, fmt.Sprintf("connector %s, slot %s (%s's): %s", c.Name, slot.Name, slot.Owner, why), nil).
		With("connector", c.Name).With("slot", slot.Name).With("owner", string(slot.Owner))
}
