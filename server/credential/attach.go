package credential

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// Attached is what goes along with one call.
type Attached struct {
	Attachment egress.Attachment
	// Pool names exactly what is attached, for whatever must not be shared between two
	// credentials, such as a pooled connection.
	Pool string
	// Version is that of the first record: a refresh makes a newer one than was found.
	Version int64
}

// attachable is what is attached for one slot: the secret, once it is asked for.
type attachable struct {
	record Record
	slot   connector.Slot
	// label names what open gives; the same label, the same secret.
	label string
	open  func(context.Context) (vault.Secret, error)
	// also must not come back either, though it is not sent: what an access token was
	// bought with is one account's as well.
	also vault.Secret
	// fleeting: it is one task's for one thing.
	fleeting bool
}

// Attach opens the records and renders them, buying or renewing what they are for. It
// demands the Intent of the call: no secret without a decision and a record. caller is
// the one whose call it is: what is bought may say who they are.
func (k *Keeper) Attach(ctx context.Context, intent audit.Intent, caller *task.Caller, b *connector.Bound, records []Record) (Attached, error) {
	if err := intent.Check(); err != nil {
		return Attached{}, err
	}
	c := b.Connector
	if intent.Workspace() != c.Workspace || len(records) != len(c.Slots) {
		return Attached{}, fault.New(fault.Internal, "internal error", errors.New("credential and intent do not belong together"))
	}
	if len(records) == 0 {
		return Attached{Attachment: egress.NewAttachment()}, nil
	}
	var parts []attachable
	var pool strings.Builder
	fleeting := false
	for i, r := range records {
		part, err := k.prepare(ctx, purchase{intent: intent, caller: caller, bound: b}, r)
		if err != nil {
			return Attached{}, err
		}
		records[i] = part.record
		pool.WriteString(part.label + ",")
		fleeting = fleeting || part.fleeting
		if part.open != nil {
			parts = append(parts, part)
		}
	}
	v := Version{Workspace: c.Workspace, Connector: c.Name, Revision: c.Revision, Credentials: pool.String()}
	memory := k.o.Opened
	if fleeting {
		memory = k.o.Fleeting
	}
	a, err := memory.Get(ctx, v, func(ctx context.Context) (egress.Attachment, error) { return k.render(ctx, parts) })
	if err != nil {
		return Attached{}, fault.New(fault.Internal, "internal error", err)
	}
	if err := usable(c, a, k.o.Now()); err != nil {
		return Attached{}, err
	}
	return Attached{Attachment: a, Pool: v.Credentials, Version: records[0].Version}, nil
}

// prepare finds out what is attached for a record, and has it bought or renewed.
func (k *Keeper) prepare(ctx context.Context, p purchase, r Record) (attachable, error) {
	c := p.bound.Connector
	slot := c.Slots[r.Slot]
	if r.Kind != slot.Stores() {
		return attachable{}, fault.New(fault.Internal, "internal error", fmt.Errorf("credential %s: kind %q does not fit slot %q", r.ID, r.Kind, slot.Name))
	}
	if seller, ok := k.sellers[slot.Stores()]; ok {
		p.slot = slot
		return k.bought(ctx, seller, p, r)
	}
	part := attachable{record: r, slot: slot, label: labelOf(r)}
	switch slot.Stores() {
	case connector.TokenEndpoint: // it is not for the upstream
	case string(connector.AuthorizationCode):
		renewed, t, err := k.fresh(ctx, c, r)
		if err != nil {
			return attachable{}, err
		}
		part.record, part.label = renewed, labelOf(renewed)
		part.open, part.also = func(context.Context) (vault.Secret, error) { return t.access, nil }, t.refresh
	default:
		part.open = func(ctx context.Context) (vault.Secret, error) { return k.open(ctx, r) }
	}
	return part, nil
}

// bought is prepare for what is bought.
func (k *Keeper) bought(ctx context.Context, seller seller, p purchase, r Record) (attachable, error) {
	c, slot := p.bound.Connector, p.slot
	var err error
	if p.part, err = seller.part(slot, p.bound); err != nil {
		return attachable{}, err
	}
	if n, ok := seller.(named); ok {
		if p.name, err = n.name(p.intent); err != nil {
			return attachable{}, err
		}
	}
	client, err := k.clientOf(ctx, c, slot)
	if err != nil {
		return attachable{}, err
	}
	parts := []string{c.Workspace, c.Name, strconv.FormatInt(c.Revision, 10), labelOf(r), labelOf(client), p.part, p.name}
	if slot.PerTask() {
		if p.caller == nil || p.caller.Task.Workspace != c.Workspace {
			return attachable{}, fault.New(fault.Internal, "internal error", errors.New("credential and caller do not belong together"))
		}
		parts = append(parts, p.caller.Task.User.ID, p.caller.Task.ID)
	}
	g, err := k.shelf.get(ctx, strings.Join(parts, "\x00"), r, func(ctx context.Context) (bought, error) { return k.purchase(ctx, seller, p, r) })
	if err != nil {
		return attachable{}, err
	}
	open := func(context.Context) (vault.Secret, error) { return g.secret, nil }
	return attachable{record: r, slot: slot, label: labelOf(r) + "#" + g.label, open: open, fleeting: p.name != "" || slot.PerTask()}, nil
}

// purchase opens what a seller needs, and buys.
func (k *Keeper) purchase(ctx context.Context, seller seller, p purchase, r Record) (bought, error) {
	var err error
	if p.secret, err = k.open(ctx, r); err != nil {
		return bought{}, fault.New(fault.Internal, "internal error", err)
	}
	if p.client, err = k.clientSecret(ctx, p.bound.Connector, p.slot); err != nil {
		return bought{}, err
	}
	return k.buy(ctx, seller, p, r)
}

// tokensOf opens the tokens of a connected account.
func (k *Keeper) tokensOf(ctx context.Context, r Record) (tokens, error) {
	s, err := k.open(ctx, r)
	if err != nil {
		return tokens{}, fault.New(fault.Internal, "internal error", err)
	}
	t, err := readTokens(s)
	if err != nil {
		return tokens{}, fault.New(fault.Internal, "internal error", err)
	}
	return t, nil
}

// clientOf gives the record of the secret of the client that a slot's OAuth names; zero
// where it names none.
func (k *Keeper) clientOf(ctx context.Context, c *connector.Connector, slot connector.Slot) (Record, error) {
	if slot.OAuth == nil || slot.OAuth.SecretSlot == "" {
		return Record{}, nil
	}
	return k.find(ctx, c, c.Slots[slot.OAuth.SecretSlot], "")
}

// clientSecret opens what clientOf gives.
func (k *Keeper) clientSecret(ctx context.Context, c *connector.Connector, slot connector.Slot) (vault.Secret, error) {
	r, err := k.clientOf(ctx, c, slot)
	if err != nil || r.ID == "" {
		return vault.Secret{}, err
	}
	s, err := k.open(ctx, r)
	if err != nil {
		return vault.Secret{}, fault.New(fault.Internal, "internal error", err)
	}
	return s, nil
}

func (k *Keeper) open(ctx context.Context, r Record) (vault.Secret, error) {
	s, err := k.o.Sealer.Open(ctx, bindingOf(r), r.Sealed)
	if err != nil {
		return vault.Secret{}, fmt.Errorf("credential %s: %w", r.ID, err)
	}
	return s, nil
}

func (k *Keeper) render(ctx context.Context, parts []attachable) (egress.Attachment, error) {
	a := egress.NewAttachment()
	var scrub [][]byte
	for _, p := range parts {
		kind, ok := k.kinds[p.slot.Kind]
		if !ok {
			return egress.Attachment{}, fmt.Errorf("credential %s: kind %q is not known", p.record.ID, p.slot.Kind)
		}
		secret, err := p.open(ctx)
		if err != nil {
			return egress.Attachment{}, err
		}
		text := secret.Reveal()
		if err := kind.attach(p.slot, string(text), &a); err != nil {
			return egress.Attachment{}, fmt.Errorf("credential %s: %w", p.record.ID, err)
		}
		if _, ok := kind.(divided); !ok {
			scrub = append(scrub, text)
		}
		scrub = append(append(scrub, kind.derived(p.slot, string(text))...), p.also.Reveal())
	}
	if err := a.Use(egress.NewScrubber(scrub...)); err != nil {
		return egress.Attachment{}, fmt.Errorf("scrubber: %w", err)
	}
	return a, nil
}

// labelOf names a version of a record.
func labelOf(r Record) string { return r.ID + "@" + strconv.FormatInt(r.Version, 10) }

// InPool reports whether a name that is made of labels, as [Attached.Pool] is, holds a
// version of the credential.
func InPool(name, id string) bool { return strings.Contains(name, id+"@") }
