package connect

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// brought is what a browser brings back.
type brought struct {
	answer        Answer
	browser, peer string
}

// Arrived says what became of an answer: the browser goes on to the next provider, or
// the run has ended and Done is how this browser finds out how.
type Arrived struct {
	Next Next
	Done string
}

// Answer takes what a provider sent a browser back with. Errors are *Problem: they are
// for what does not belong to a run of this browser. Whatever ends a run, well or not,
// is found by [Arrived.Done].
func (f *Flow) Answer(ctx context.Context, query, browser, peer string) (Arrived, error) {
	answer, err := ReadAnswer(query)
	if err != nil {
		return Arrived{}, f.refused(ctx, Run{}, peer, problem(Malformed, err))
	}
	r, err := f.bound(ctx, answer.State, browser)
	if err != nil {
		return Arrived{}, f.refused(ctx, r, peer, err)
	}
	b := brought{answer, browser, peer}
	switch r.Step {
	case AtIssuer:
		return f.fromIssuer(ctx, r, b)
	case AtProvider:
		return f.fromProvider(ctx, r, b)
	}
	return Arrived{}, f.refused(ctx, r, peer, problem(Used, nil))
}

// bound finds the run of a state, for the browser to which it is bound. With an error
// the run is returned where it is known.
func (f *Flow) bound(ctx context.Context, state, browser string) (Run, error) {
	if !IsToken(state) {
		return Run{}, problem(Unknown, nil)
	}
	r, err := f.o.Store.RunByState(ctx, f.digests(ofState, state))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Run{}, problem(Unknown, nil)
	case err != nil:
		return Run{}, problem(Later, err)
	case !IsToken(browser) || !f.same(r.BrowserDigest, ofBrowser, browser):
		return r, problem(OtherBrowser, nil)
	case !f.o.Now().Before(r.ExpiresAt):
		return r, problem(Expired, nil)
	}
	return r, nil
}

// fromIssuer takes the answer of the user's issuer and sends the browser on to the
// provider.
func (f *Flow) fromIssuer(ctx context.Context, r Run, b brought) (Arrived, error) {
	s, err := f.signIn(r)
	if err != nil {
		return f.end(ctx, r, b, err)
	}
	if s.Issuer == "" { // it was configured when the browser left, and is not any more
		return f.end(ctx, r, b, problem(NotSetUp, errNoSignIn))
	}
	at, err := f.o.Issuers.Endpoints(ctx, r.Workspace, s.Issuer)
	if err != nil {
		return f.end(ctx, r, b, problem(kindOf(err), err))
	}
	if !namedRight(b.answer, s.Issuer, at.NamesIssuer) {
		return f.end(ctx, r, b, problem(WrongIssuer, nil))
	}
	if b.answer.Error != "" {
		return f.end(ctx, r, b, problem(b.answer.kind(), errors.New("the issuer answered "+b.answer.Error)))
	}
	_, slot, err := f.chosen(ctx, r)
	if err != nil {
		return f.end(ctx, r, b, err)
	}
	if r, err = f.claim(ctx, r, Proving); err != nil {
		return Arrived{}, f.refused(ctx, r, b.peer, err)
	}
	if err := f.prove(ctx, r, s, at, b); err != nil {
		return f.end(ctx, r, b, err)
	}
	r.SignedIn = true
	next, err := f.depart(ctx, r, b.browser, toProvider(slot.OAuth))
	if err != nil {
		return f.end(ctx, r, b, err)
	}
	return Arrived{Next: next}, nil
}

// namedRight holds iss to RFC 9207, section 2.4. names says that the provider always
// sends it; where it does not, one that comes anyway must not be another's.
func namedRight(a Answer, issuer string, names bool) bool {
	if !a.NamesIssuer {
		return !names
	}
	return issuer != "" && a.Issuer == issuer
}

// fromProvider takes the answer of the connector's provider and has the tokens stored.
func (f *Flow) fromProvider(ctx context.Context, r Run, b brought) (Arrived, error) {
	s, err := f.signIn(r)
	if err != nil {
		return f.end(ctx, r, b, err)
	}
	if s.Issuer != "" && !r.SignedIn {
		return f.end(ctx, r, b, problem(NotProven, errNoSignIn))
	}
	c, slot, err := f.chosen(ctx, r)
	if err != nil {
		return f.end(ctx, r, b, err)
	}
	if !namedRight(b.answer, slot.OAuth.Issuer, slot.OAuth.Issuer != "") {
		return f.end(ctx, r, b, problem(WrongIssuer, nil))
	}
	if b.answer.Error != "" {
		return f.end(ctx, r, b, problem(b.answer.kind(), errors.New("the provider answered "+b.answer.Error)))
	}
	if r, err = f.claim(ctx, r, Exchanging); err != nil {
		return Arrived{}, f.refused(ctx, r, b.peer, err)
	}
	done, err := f.o.Credentials.Connect(ctx, credential.Authorization{
		Connector: c, Slot: r.Slot, User: r.User, Code: b.answer.Code, Verifier: f.verifier(r.Challenge, b.browser, b.answer.State),
		RedirectURI: f.RedirectURI(), By: r.CreatedBy, Peer: b.peer, AuthMethod: r.method(),
	})
	if err != nil {
		return f.end(ctx, r, b, problem(kindOf(err), err))
	}
	r.Renews, r.Ends, r.Missing = done.Renews, done.Ends, done.Missing
	return f.end(ctx, r, b, nil)
}

// claim takes a step before a code is sent, so that nobody else sends it too. It gives
// the run some time to end in.
func (f *Flow) claim(ctx context.Context, r Run, to Step) (Run, error) {
	from, now := r.Step, f.o.Now()
	next := r
	next.Step, next.ExpiresAt = to, now.Add(life)
	if err := f.advance(ctx, next, from, now); err != nil {
		return r, err
	}
	return next, nil
}

// end finishes a run, with the problem or without one. What ended it is shown under a
// token of its own, so that no code stands in an address that stays. It goes on when the
// browser gives up.
func (f *Flow) end(ctx context.Context, r Run, b brought, cause error) (Arrived, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	done, err := NewToken(f.o.Random)
	if err != nil {
		return Arrived{}, problem(Internal, err)
	}
	from, now := r.Step, f.o.Now()
	r.Step, r.StateDigest, r.Challenge, r.ExpiresAt = Connected, f.digest(ofState, done), "", now.Add(life)
	if cause != nil {
		r.Step, r.Problem = Failed, kindIn(cause)
		cause = f.refused(ctx, r, b.peer, cause)
	}
	err = f.advance(ctx, r, from, now)
	switch {
	case err == nil:
		return Arrived{Done: done}, nil
	case cause != nil:
		return Arrived{}, cause
	}
	f.o.Log.ErrorContext(ctx, "an account was connected, but its run could not be ended", "run", r.ID, "cause", errors.Unwrap(err))
	return Arrived{}, problem(Unshown, err)
}

const endTime = 10 * time.Second

// Outcome is how a run ended.
type Outcome struct {
	Connector, Slot string
	User            task.User
	// Problem says why nothing was connected; empty where the account is.
	Problem Kind
	Renews  bool
	Ends    time.Time
	Missing []string
}

// Outcome says how the run ended to which [Arrived.Done] belongs, to its browser alone.
// Errors are *Problem.
func (f *Flow) Outcome(ctx context.Context, done, browser string) (Outcome, error) {
	r, err := f.bound(ctx, done, browser)
	if err != nil {
		return Outcome{}, err
	}
	if r.Step != Connected && r.Step != Failed {
		return Outcome{}, problem(Unknown, nil)
	}
	return Outcome{
		Connector: r.Connector, Slot: r.Slot, User: r.User, Problem: r.Problem, Renews: r.Renews, Ends: r.Ends, Missing: r.Missing,
	}, nil
}

// refused records a refusal, logs its cause, and gives it back as a *Problem.
func (f *Flow) refused(ctx context.Context, r Run, peer string, err error) error {
	k := kindIn(err)
	e := f.event(r, "credential.connect", peer)
	e.SPIFFEID, e.Reason, e.Detail = "", string(k.reason()), k.detail()
	if rerr := f.o.Trail.Refuse(context.WithoutCancel(ctx), e); rerr != nil {
		f.o.Log.ErrorContext(ctx, "refusal not recorded", "run", r.ID, "error", rerr)
	}
	about := []any{"run", r.ID, "workspace", r.Workspace, "connector", r.Connector, "problem", string(k)}
	if cause := errors.Unwrap(err); cause != nil {
		about = append(about, "cause", cause)
	}
	f.o.Log.WarnContext(ctx, "connecting an account was refused", about...)
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return problem(Internal, err)
}

func kindIn(err error) Kind {
	var p *Problem
	if errors.As(err, &p) {
		return p.Kind
	}
	return Internal
}

// event describes what is done or refused in a run; the zero Run where none is known.
func (f *Flow) event(r Run, act, peer string) audit.Event {
	e := audit.Event{Workspace: r.Workspace, InvocationID: f.o.NewID(), SPIFFEID: f.o.BrokerID, AuthMethod: r.method(), Peer: peer, Tool: act}
	if r.ID != "" {
		e.Connector, e.Revision, e.UserID = r.Connector, r.Revision, r.User.ID
		e.Resources = []string{"connector:" + r.Connector, "slot:" + r.Slot, "user:" + r.User.Subject + " (" + r.User.Issuer + ")"}
	}
	return e
}

// method is how it is known who sits at the browser.
func (r Run) method() string {
	if r.SignedIn {
		return "browser-id-token"
	}
	return "browser-link"
}

// detail is a JSON object for the trail.
func (k Kind) detail() string {
	text, _ := json.Marshal(map[string]string{"problem": string(k)}) // a string always encodes
	return string(text)
}
