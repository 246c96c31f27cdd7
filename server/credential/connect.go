package credential

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// connectLife bounds one exchange of a code and the storing of what came of it.
const connectLife = oauth.Timeout + 15*time.Second

// Authorization is what a user's browser brought from a provider (RFC 6749, section
// 4.1.2), and for whose account.
type Authorization struct {
	Connector *connector.Connector
	Slot      string
	User      task.User
	// Code is good once. Verifier proves who asked for it (RFC 7636).
	Code, Verifier vault.Secret
	// RedirectURI is the one with which the code was asked for.
	RedirectURI string
	// By is who let the user connect: it stands as the creator of the credential.
	By string
	// Peer and AuthMethod are of the browser, for the record.
	Peer, AuthMethod string
}

// Connected is an account that was connected just now.
type Connected struct {
	Record
	// Renews says that the access token can be renewed without the user.
	Renews bool
	// Ends is when it ends otherwise; zero where the provider named no end.
	Ends time.Time
	// Missing are the scopes that were asked for and not granted.
	Missing []string
}

// Connectable gives the slot, if users can connect their accounts for it: errors are
// ARGUMENT_INVALID with the field, and CREDENTIAL_MISSING where the client's own secret
// is not stored.
func (k *Keeper) Connectable(ctx context.Context, c *connector.Connector, slotName string, user task.User) (connector.Slot, error) {
	slot, err := slotOf(Put{Connector: c, Slot: slotName, UserID: user.Subject})
	if err != nil {
		return slot, err
	}
	if slot.Stores() != string(connector.AuthorizationCode) {
		return slot, fault.Invalid("slot", "nothing is connected there: the manifest has no oauth with grant authorization_code for it; use put")
	}
	_, err = k.clientSecret(ctx, c, slot)
	return slot, err
}

// Connect exchanges a code for tokens and stores them as the next version. The exchange
// is recorded before the code is sent, and goes on when the caller gives up: a code is
// good once.
func (k *Keeper) Connect(ctx context.Context, a Authorization) (Connected, error) {
	slot, err := k.Connectable(ctx, a.Connector, a.Slot, a.User)
	if err != nil {
		return Connected{}, err
	}
	secret, err := k.clientSecret(ctx, a.Connector, slot)
	if err != nil {
		return Connected{}, err
	}
	event, err := k.connectEvent(ctx, a)
	if err != nil {
		return Connected{}, err
	}
	intent, err := k.o.Trail.BeginAdmin(ctx, event)
	if err != nil {
		return Connected{}, err
	}
	outcome := panicked()
	defer func() { k.o.Trail.Finish(intent, outcome) }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectLife)
	defer cancel()
	done, err := k.exchange(ctx, a, slot, secret)
	outcome = outcomeOf(err)
	if err == nil {
		outcome.CredentialVersion = done.Version
		text, _ := json.Marshal(map[string]string{"credential_id": done.ID}) // a string always encodes
		outcome.Detail = string(text)
	}
	return done, err
}

// connectEvent describes the exchange: for whom, and which credential it replaces.
func (k *Keeper) connectEvent(ctx context.Context, a Authorization) (audit.Event, error) {
	place := Place{a.Connector.Workspace, a.Connector.Name, a.Slot, a.User.ID}
	old, err := k.o.Store.Active(ctx, place.Workspace, place.Connector, place.Slot, place.UserID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return audit.Event{}, fault.New(fault.StoreUnavailable, "the credential cannot be looked up now; try again", err)
	}
	old.Workspace, old.Connector, old.UserID = place.Workspace, place.Connector, place.UserID
	e := k.event("credential.connect", old)
	e.Resources = []string{"connector:" + place.Connector, "slot:" + place.Slot, "user:" + a.User.Subject + " (" + a.User.Issuer + ")"}
	e.Revision, e.Peer, e.AuthMethod = a.Connector.Revision, a.Peer, a.AuthMethod
	return e, nil
}

// exchange sends the code and keeps what comes of it.
func (k *Keeper) exchange(ctx context.Context, a Authorization, slot connector.Slot, secret vault.Secret) (Connected, error) {
	token, err := k.o.OAuth.Ask(ctx, oauth.Request{
		Workspace: a.Connector.Workspace, Connector: a.Connector.Name, OAuth: slot.OAuth, GrantType: "authorization_code",
		Form: map[string]vault.Secret{
			"code": a.Code, "code_verifier": a.Verifier, "redirect_uri": vault.NewSecret([]byte(a.RedirectURI)),
		},
		ClientSecret: secret,
	})
	var e *oauth.Error
	if errors.As(err, &e) {
		return Connected{}, tokenFault(a.Connector, slot, e)
	}
	if err != nil {
		return Connected{}, fault.New(fault.Internal, "internal error", err)
	}
	t := nextTokens(tokens{}, token, k.o.Now())
	r, err := k.putTokens(ctx, Put{Connector: a.Connector, Slot: a.Slot, UserID: a.User.ID, By: a.By, tokens: &t})
	if err != nil {
		return Connected{}, err
	}
	done := Connected{Record: r, Renews: t.refreshable(), Missing: notGranted(slot.OAuth.Scopes, token.Scope)}
	if !done.Renews {
		done.Ends = t.expires
	}
	return done, nil
}

// putTokens does not give up soon: the code is consumed.
func (k *Keeper) putTokens(ctx context.Context, p Put) (Record, error) {
	for pause := pollEvery; ; pause = min(2*pause, shortestPause) {
		r, err := k.Put(ctx, p)
		if err == nil || ctx.Err() != nil || !fault.Is(err, fault.StoreUnavailable) && !fault.Is(err, fault.Conflict) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return Record{}, err
		case <-time.After(pause):
		}
	}
}

// notGranted gives what was asked for and is not in a provider's answer, which says
// nothing where all was granted (RFC 6749, section 5.1).
func notGranted(asked []string, granted string) []string {
	if granted == "" {
		return nil
	}
	// Some providers separate with commas.
	has := strings.FieldsFunc(granted, func(r rune) bool { return r == ' ' || r == ',' })
	var missing []string
	for _, s := range asked {
		if !slices.Contains(has, s) {
			missing = append(missing, s)
		}
	}
	return missing
}
