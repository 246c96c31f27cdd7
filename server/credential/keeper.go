package credential

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/sts"
	"github.com/onedoor/onedoor/server/vault"
)

// Sealer seals and opens secrets; *vault.Vault is one.
type Sealer interface {
	Seal(ctx context.Context, b vault.Binding, s vault.Secret) (vault.Sealed, error)
	Open(ctx context.Context, b vault.Binding, s vault.Sealed) (vault.Secret, error)
	Rewrap(ctx context.Context, b vault.Binding, s vault.Sealed) (vault.Sealed, error)
}

// Digester gives keyed hashes; *vault.Keyring is one.
type Digester interface {
	Digest(text []byte) (digest []byte, pepperID string)
	Digests(text []byte) [][]byte
}

// Trail records what the broker does by itself to a credential.
type Trail interface {
	BeginAdmin(ctx context.Context, e audit.Event) (audit.Intent, error)
	Finish(i audit.Intent, o audit.Outcome)
}

// Options are what a Keeper is made of; all are needed.
type Options struct {
	Store  Store
	Sealer Sealer
	// Digester makes the mark of a refresh token that was sent.
	Digester Digester
	// OAuth asks token endpoints.
	OAuth *oauth.Client
	// Stater says who the user is, where that is exchanged for a token.
	Stater Stater
	// STS assumes roles of AWS.
	STS   *sts.Client
	Trail Trail
	// Proxies are those whose secrets are kept here.
	Proxies []Proxy
	// BrokerID is this broker's SPIFFE ID, Incarnation this run of it.
	BrokerID, Incarnation string
	// Records remembers sealed records for as long as their lease runs.
	Records *lease.Cache[Place, Record]
	// Opened remembers what was rendered from them, for as long as they stand.
	Opened *lease.Cache[Version, egress.Attachment]
	// Fleeting is the same for what is one task's for one thing. There may be very many
	// of those, and each takes half a megabyte, so it is small.
	Fleeting *lease.Cache[Version, egress.Attachment]
	NewID    func() string
	Now      func() time.Time // the store's clock
	Log      *slog.Logger
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
	o       Options
	kinds   map[string]kind
	sellers map[string]seller

	renewals singleflight.Group
	running  sync.WaitGroup // callers' renewals
	shelf    *shelf
	doubts   doubts
}

// NewKeeper makes a Keeper.
func NewKeeper(o Options) *Keeper {
	return &Keeper{o: o, kinds: o.kinds(), sellers: o.sellers(), shelf: newShelf(o.Now)}
}

// Find returns the sealed records that a call of this connector for this user needs,
// one a slot. CREDENTIAL_MISSING where one is not there or was put for another
// destination than the connector has now, CREDENTIAL_NEEDS_RECONNECT where it is dead.
// No secret is opened.
func (k *Keeper) Find(ctx context.Context, c *connector.Connector, userID string) ([]Record, error) {
	records := make([]Record, 0, len(c.Slots))
	for _, name := range slotNames(c) {
		r, err := k.find(ctx, c, c.Slots[name], userID)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func (k *Keeper) find(ctx context.Context, c *connector.Connector, slot connector.Slot, userID string) (Record, error) {
	place := placeOf(c, slot, userID)
	r, err := k.o.Records.Get(ctx, place, func(ctx context.Context) (Record, error) {
		return k.o.Store.Active(ctx, place.Workspace, place.Connector, place.Slot, place.UserID)
	})
	if errors.Is(err, store.ErrNotFound) {
		return Record{}, missing(c, slot, "none is stored", "it")
	}
	if err != nil {
		return Record{}, fault.New(fault.StoreUnavailable, "the credential cannot be looked up now; try again", err)
	}
	if err := admissible(c, slot, place, r); err != nil {
		return Record{}, err
	}
	if r.Dead {
		return Record{}, needsReconnect(c, slot, r.Reason)
	}
	return r, nil
}

// admissible holds a record against what the connector says now.
func admissible(c *connector.Connector, slot connector.Slot, place Place, r Record) error {
	want, err := destinationOf(c, slot, place)
	if err != nil {
		return err
	}
	if r.Destination != want || r.Kind != slot.Stores() {
		return missing(c, slot, "the one stored was put for another origin or attachment", "it again")
	}
	return nil
}

// Fits says whether a record is what c wants in its slot, as it stands now.
func Fits(c *connector.Connector, r Record) bool {
	slot, ok := c.Slots[r.Slot]
	if !ok || (slot.Owner == connector.UserOwned) != (r.UserID != "") {
		return false
	}
	return admissible(c, slot, placeOf(c, slot, r.UserID), r) == nil
}

// Put is a secret to store.
type Put struct {
	Connector *connector.Connector
	Slot      string
	// UserID is the owner; empty for the workspace.
	UserID string
	Secret vault.Secret
	By     string

	tokens *tokens // of an account that was connected, in place of Secret
}

// sealed is what is stored. In a slot of accounts a bare secret is a refresh token.
func (p Put) sealed(slot connector.Slot) vault.Secret {
	switch {
	case p.tokens != nil:
		return p.tokens.seal()
	case slot.Stores() == string(connector.AuthorizationCode):
		return tokens{refresh: p.Secret}.seal()
	}
	return p.Secret
}

// Put seals a secret as the next version of the credential at its place.
func (k *Keeper) Put(ctx context.Context, p Put) (Record, error) {
	slot, err := k.admit(p)
	if err != nil {
		return Record{}, err
	}
	place := placeOf(p.Connector, slot, p.UserID)
	dest, err := destinationOf(p.Connector, slot, place)
	if err != nil {
		return Record{}, err
	}
	return k.keep(ctx, Record{
		Workspace: place.Workspace, Connector: place.Connector, Slot: place.Slot, UserID: place.UserID,
		Kind: slot.Stores(), Destination: dest, Origins: originsOf(p.Connector, slot), CreatedBy: p.By,
	}, p.sealed(slot))
}

// keep seals a secret as the next version of the record that stands in r's place; r has
// neither id nor version yet.
func (k *Keeper) keep(ctx context.Context, r Record, secret vault.Secret) (Record, error) {
	for range 5 {
		kept, err := k.put(ctx, r, secret)
		if !errors.Is(err, store.ErrConflict) {
			return kept, err
		}
	}
	return Record{}, fault.New(fault.Conflict, "somebody else put this credential at the same time; try again", nil)
}

// admit checks that the secret fits the manifest's slot.
func (k *Keeper) admit(p Put) (connector.Slot, error) {
	slot, err := slotOf(p)
	if err != nil || p.tokens != nil { // whoever brought tokens has had them from the slot's provider
		return slot, err
	}
	if err := k.check(slot, string(p.Secret.Reveal())); err != nil {
		return slot, fault.Invalid("secret", err.Error())
	}
	return slot, nil
}

// slotOf gives the slot, if it is there and takes a credential of that owner.
func slotOf(p Put) (connector.Slot, error) {
	slot, ok := p.Connector.Slots[p.Slot]
	switch {
	case !ok && len(p.Connector.Slots) == 0:
		return slot, fault.Invalid("connector", "this connector needs no credential")
	case !ok:
		return slot, fault.Invalid("slot", fmt.Sprintf("the connector has no slot %q; it has %v", p.Slot, slotNames(p.Connector)))
	case slot.Owner == connector.UserOwned && p.UserID == "":
		return slot, fault.Invalid("owner", "this slot takes the user's own credential: name the user (--user)")
	case slot.Owner == connector.WorkspaceOwned && p.UserID != "":
		return slot, fault.Invalid("owner", "this slot takes the workspace's credential, not a user's: put it for the workspace (--workspace)")
	}
	return slot, nil
}

// check is whether a secret can be stored in a slot.
func (k *Keeper) check(slot connector.Slot, secret string) error {
	seller, sells := k.sellers[slot.Stores()]
	kind, attaches := k.kinds[slot.Kind]
	switch {
	case sells:
		return seller.check(slot, secret)
	case slot.Stores() == string(connector.AuthorizationCode):
		return visible(secret, false) // a refresh token
	case slot.Kind == connector.TokenEndpoint && len(slot.Signs) > 0:
		return checkKey(slot, secret)
	case slot.Kind == connector.TokenEndpoint:
		return visible(secret, true)
	case attaches && slot.OAuth == nil && slot.GitHubApp == nil:
		return kind.check(secret)
	}
	return errors.New("its kind of credential is not known to this broker")
}

func (k *Keeper) put(ctx context.Context, r Record, secret vault.Secret) (Record, error) {
	r.ID, r.Version = k.o.NewID(), 1
	old, err := k.o.Store.Active(ctx, r.Workspace, r.Connector, r.Slot, r.UserID)
	switch {
	case err == nil:
		r.ID, r.Version = old.ID, old.Version+1
	case !errors.Is(err, store.ErrNotFound):
		return Record{}, fault.New(fault.StoreUnavailable, "the credential could not be stored; try again", err)
	}
	if r.Sealed, err = k.o.Sealer.Seal(ctx, bindingOf(r), secret); err != nil {
		return Record{}, fmt.Errorf("seal credential: %w", err)
	}
	r.CreatedAt = k.o.Now() // behind the KMS: it is as of when others are told
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
	rendered := func(v Version, _ egress.Attachment) bool {
		return v.Workspace == workspace && InPool(v.Credentials, id)
	}
	k.o.Opened.Forget(rendered)
	k.o.Fleeting.Forget(rendered)
	k.shelf.forget(workspace, id)
	k.doubts.forget(workspace, id)
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

// slotNames are in the order in which records are found: the secrets of clients last,
// so that the first record is one that is attached.
func slotNames(c *connector.Connector) []string {
	names := make([]string, 0, len(c.Slots))
	for name := range c.Slots {
		names = append(names, name)
	}
	last := func(name string) bool { return c.Slots[name].Kind == connector.TokenEndpoint }
	sort.Slice(names, func(i, j int) bool {
		if last(names[i]) != last(names[j]) {
			return last(names[j])
		}
		return names[i] < names[j]
	})
	return names
}
