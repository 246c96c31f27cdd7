package connect

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// View is what a user is shown before they go on.
type View struct {
	Workspace, Connector, Description, Slot string
	// User is whose account it will be.
	User task.User
	// Scopes are what is asked for, as the manifest has them.
	Scopes []string
	// Provider is the host at which the user will be asked.
	Provider string
	// SignIn is the issuer at which they sign in first; empty where there is none, and
	// the link alone is believed.
	SignIn  string
	Expires time.Time
}

// Next is where the browser goes next.
type Next struct {
	// URL is an address of the provider's, with what it needs to know.
	URL string
	// Host is its host, for people to read.
	Host string
}

// Look says what a link is for. It changes nothing: whoever scans mails opens links.
// What is refused is recorded. Errors are *Problem.
func (f *Flow) Look(ctx context.Context, link, peer string) (View, error) {
	r, err := f.offered(ctx, link)
	if err != nil {
		return View{}, f.refused(ctx, r, peer, err)
	}
	c, slot, err := f.chosen(ctx, r)
	if err != nil {
		return View{}, f.refused(ctx, r, peer, err)
	}
	s, err := f.signIn(r)
	if err != nil {
		return View{}, f.refused(ctx, r, peer, err)
	}
	return View{
		Workspace: r.Workspace, Connector: c.Name, Description: c.Description, Slot: r.Slot, User: r.User, Scopes: slot.OAuth.Scopes,
		Provider: slot.OAuth.AuthorizationEndpoint.Origin.Host(), SignIn: s.Issuer, Expires: r.ExpiresAt,
	}, nil
}

// Begin consumes a link and binds the run to the browser. page is what PageToken gave
// our own page. Errors are *Problem; until the link is consumed it can be tried again.
func (f *Flow) Begin(ctx context.Context, link, browser, page, peer string) (Next, error) {
	r, err := f.offered(ctx, link)
	if err != nil {
		return Next{}, f.refused(ctx, r, peer, err)
	}
	if !IsToken(browser) || !f.isPageToken(page, browser, link) {
		return Next{}, f.refused(ctx, r, peer, problem(Forged, nil))
	}
	_, slot, err := f.chosen(ctx, r)
	if err != nil {
		return Next{}, f.refused(ctx, r, peer, err)
	}
	s, err := f.signIn(r)
	if err != nil {
		return Next{}, f.refused(ctx, r, peer, err)
	}
	to := toProvider(slot.OAuth)
	if s.Issuer != "" {
		if to, err = f.toIssuer(ctx, r, s, browser); err != nil {
			return Next{}, f.refused(ctx, r, peer, problem(kindOf(err), err))
		}
	}
	next, err := f.depart(ctx, r, browser, to)
	if err != nil {
		return Next{}, f.refused(ctx, r, peer, err)
	}
	return next, nil
}

// offered finds the run of a link that nobody has used yet. With an error the run is
// returned where it is known.
func (f *Flow) offered(ctx context.Context, link string) (Run, error) {
	if !IsToken(link) {
		return Run{}, problem(Unknown, nil)
	}
	r, err := f.o.Store.RunByLink(ctx, f.digests(ofLink, link))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Run{}, problem(Unknown, nil)
	case err != nil:
		return Run{}, problem(Later, err)
	case r.Step != Offered:
		return r, problem(Used, nil)
	case !f.o.Now().Before(r.ExpiresAt):
		return r, problem(Expired, nil)
	}
	return r, nil
}

// chosen gives what the operator chose, unless it is another by now.
func (f *Flow) chosen(ctx context.Context, r Run) (*connector.Connector, connector.Slot, error) {
	rev, err := f.o.Connectors.Current(ctx, r.Workspace, r.Connector)
	if err != nil {
		return nil, connector.Slot{}, problem(kindOf(err), err)
	}
	if rev.Number != r.Revision {
		return nil, connector.Slot{}, problem(Changed, nil)
	}
	c, err := f.o.Connectors.Parsed(ctx, rev)
	if err != nil {
		return nil, connector.Slot{}, problem(kindOf(err), err)
	}
	slot, err := f.o.Credentials.Connectable(ctx, c, r.Slot, r.User)
	if err != nil {
		return nil, connector.Slot{}, problem(kindOf(err), err)
	}
	return c, slot, nil
}

// signIn gives the issuer at which the user proves who they are; the zero SignIn where
// the link alone is believed. That is asked at each step: the broker that made the link
// may have been set up in another way.
func (f *Flow) signIn(r Run) (SignIn, error) {
	s, proves := f.signIns[place{r.Workspace, r.User.Issuer}]
	if !proves && !f.o.Bearer {
		return SignIn{}, problem(NotSetUp, errNoSignIn)
	}
	return s, nil
}

var errNoSignIn = errors.New("the user's issuer has no issuers.sign_in in the configuration")

// leg is one way that a browser goes: to which step, where, and what is asked there.
type leg struct {
	step  Step
	at    egress.Location
	query func(state string) url.Values
}

// toProvider is where the user agrees (RFC 6749, section 4.1.1).
func toProvider(o *connector.OAuth) leg {
	return leg{AtProvider, o.AuthorizationEndpoint, func(string) url.Values {
		q := url.Values{"client_id": {o.ClientID}}
		for _, p := range o.Parameters {
			q.Set(p.Name, p.Value)
		}
		if scope := o.Scope(); scope != "" {
			q.Set("scope", scope)
		}
		return q
	}}
}

// depart moves the run on and says where the browser goes. What is of us is set last, so
// that nothing of a manifest or a discovery document stands in its place.
func (f *Flow) depart(ctx context.Context, r Run, browser string, to leg) (Next, error) {
	state, err := NewToken(f.o.Random)
	if err != nil {
		return Next{}, problem(Internal, err)
	}
	query, err := url.ParseQuery(to.at.Query)
	if err != nil {
		return Next{}, problem(NotSetUp, errEndpoint)
	}
	from, now := r.Step, f.o.Now()
	expires := now.Add(life)
	r.Step, r.StateDigest, r.BrowserDigest = to.step, f.digest(ofState, state), f.digest(ofBrowser, browser)
	r.Challenge = f.challenge(browser, state)
	r.ExpiresAt = expires
	if err := f.advance(ctx, r, from, now); err != nil {
		return Next{}, err
	}
	for name, values := range to.query(state) {
		query[name] = values
	}
	for name, value := range map[string]string{
		"response_type": "code", "redirect_uri": f.RedirectURI(), "state": state,
		"code_challenge": r.Challenge, "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	to.at.Query = query.Encode()
	return Next{URL: to.at.String(), Host: to.at.Origin.Host()}, nil
}

var errEndpoint = errors.New("the query of the authorization endpoint cannot be read")

// advance is the compare-and-swap by which each step is taken once.
func (f *Flow) advance(ctx context.Context, r Run, from Step, now time.Time) error {
	err := f.o.Store.Advance(ctx, r, from, now)
	switch {
	case errors.Is(err, store.ErrConflict):
		return problem(Used, nil)
	case err != nil:
		return problem(Later, err)
	}
	return nil
}
