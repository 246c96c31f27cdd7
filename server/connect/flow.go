package connect

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

const (
	// life is how long a link is good, and each step after it.
	life = 10 * time.Minute
	// kept is how long what has expired can still be called so.
	kept = time.Hour
	// linkPath precedes a link.
	linkPath = "/connect/"
)

// CallbackPath is where providers send browsers back to, below connect.url.
const CallbackPath = "/connect/callback"

// Connectors finds what an operator may have connected; *connector.Registry is one.
type Connectors interface {
	Current(ctx context.Context, workspace, name string) (connector.Revision, error)
	Parsed(ctx context.Context, rev connector.Revision) (*connector.Connector, error)
}

// Credentials exchanges codes and keeps the tokens; *credential.Keeper is one.
type Credentials interface {
	Connectable(ctx context.Context, c *connector.Connector, slot string, user task.User) (connector.Slot, error)
	Connect(ctx context.Context, a credential.Authorization) (credential.Connected, error)
}

// Users finds or makes a user.
type Users interface {
	EnsureUser(ctx context.Context, workspace, issuer, subject, newID string, now time.Time) (task.User, error)
}

// Issuers are the OpenID providers of users; *idtoken.Verifier is one.
type Issuers interface {
	Accepts(workspace, issuer string) bool
	Endpoints(ctx context.Context, workspace, issuer string) (idtoken.Endpoints, error)
	Verify(ctx context.Context, workspace string, token vault.Secret, nonce string) (task.User, error)
}

// Trail records what is done and what is refused; *audit.Log is one.
type Trail interface {
	Refuse(ctx context.Context, e audit.Event) error
	BeginAdmin(ctx context.Context, e audit.Event) (audit.Intent, error)
	Finish(i audit.Intent, o audit.Outcome)
}

// Options are what a Flow is made of; all are needed but URL, SignIns and Bearer.
type Options struct {
	// URL is where browsers reach the public listener: https://HOST[:PORT]. Empty:
	// nothing can be connected.
	URL string
	// SignIns are the issuers at which users can prove who they are.
	SignIns []SignIn
	// Bearer lets users connect whose issuer has no SignIn: whoever holds the link is
	// believed to be the user. For development.
	Bearer bool

	Store       Store
	Connectors  Connectors
	Credentials Credentials
	Users       Users
	Issuers     Issuers
	OAuth       *oauth.Client // asks the issuers' token endpoints
	Digester    credential.Digester
	Trail       Trail
	// BrokerID is this broker's SPIFFE ID: it is who acts.
	BrokerID string
	Random   io.Reader
	NewID    func() string
	Now      func() time.Time // the store's clock
	Log      *slog.Logger
}

// Flow connects accounts. It is for any number of goroutines.
type Flow struct {
	o       Options
	signIns map[place]SignIn
}

// place is an issuer in one workspace.
type place struct{ workspace, issuer string }

// New makes a Flow.
func New(o Options) *Flow {
	f := &Flow{o: o, signIns: map[place]SignIn{}}
	for _, s := range o.SignIns {
		for _, w := range s.Workspaces {
			f.signIns[place{w, s.Issuer}] = s
		}
	}
	return f
}

// RedirectURI is the one that every provider must know, letter for letter.
func (f *Flow) RedirectURI() string { return f.o.URL + CallbackPath }

// Offer is what an operator has a user connect.
type Offer struct {
	Workspace, Connector string
	Slot                 string // empty: the default slot
	// Issuer and Subject name the user.
	Issuer, Subject string
	// By is the operator's SPIFFE ID.
	By string
}

// Offer makes a link. It is a bearer: whoever has it, before it is used or expires, can
// go on by it. Errors are *fault.Error, with the field where one is wrong.
func (f *Flow) Offer(ctx context.Context, o Offer) (link string, expires time.Time, err error) {
	if err := f.allowed(o); err != nil {
		return "", time.Time{}, err
	}
	if o.Slot == "" {
		o.Slot = connector.DefaultSlot
	}
	rev, err := f.o.Connectors.Current(ctx, o.Workspace, o.Connector)
	if err != nil {
		return "", time.Time{}, err
	}
	c, err := f.o.Connectors.Parsed(ctx, rev)
	if err != nil {
		return "", time.Time{}, err
	}
	if _, err := f.o.Credentials.Connectable(ctx, c, o.Slot, task.User{Issuer: o.Issuer, Subject: o.Subject}); err != nil {
		return "", time.Time{}, err
	}
	now := f.o.Now()
	user, err := f.o.Users.EnsureUser(ctx, o.Workspace, o.Issuer, o.Subject, f.o.NewID(), now)
	if err != nil {
		return "", time.Time{}, storeFault(err)
	}
	token, err := NewToken(f.o.Random)
	if err != nil {
		return "", time.Time{}, fault.New(fault.Internal, "internal error", err)
	}
	run := Run{
		Workspace: o.Workspace, ID: f.o.NewID(), Connector: c.Name, Revision: c.Revision, Slot: o.Slot, User: user, Step: Offered,
		LinkDigest: f.digest(ofLink, token), CreatedAt: now, CreatedBy: o.By, ExpiresAt: now.Add(life),
	}
	if err := f.o.Store.AddRun(ctx, run); err != nil {
		return "", time.Time{}, storeFault(err)
	}
	return f.o.URL + linkPath + token, run.ExpiresAt, nil
}

// allowed says whether this broker is set up to connect that user's accounts.
func (f *Flow) allowed(o Offer) error {
	_, proves := f.signIns[place{o.Workspace, o.Issuer}]
	switch {
	case f.o.URL == "":
		return fault.New(fault.CredentialMissing, "connect.url is not set in the broker's configuration, so no user could open the link: set it", nil)
	case o.Issuer != task.LocalIssuer && !f.o.Issuers.Accepts(o.Workspace, o.Issuer):
		return fault.Invalid("issuer", "not one that the configuration names for this workspace")
	case proves || f.o.Bearer:
		return nil
	case o.Issuer == task.LocalIssuer:
		return fault.Invalid("issuer", "a user whom orchestrators name cannot prove in a browser who they are; name one of an issuer that has issuers.sign_in in the configuration")
	}
	return fault.Invalid("issuer", "this issuer has no issuers.sign_in in the configuration, so its users cannot prove in a browser who they are")
}

// Prune removes what nobody will ask for any more.
func (f *Flow) Prune(ctx context.Context) error {
	return f.o.Store.PruneRuns(ctx, f.o.Now().Add(-kept))
}

func storeFault(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fault.New(fault.StoreUnavailable, "the link could not be stored; try again", err)
	}
	return fault.New(fault.Internal, "internal error", err)
}
