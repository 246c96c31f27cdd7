package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/vault"
)

const (
	// leaseLife is how long a refresh may take, the provider's answer and more.
	leaseLife = oauth.Timeout + 15*time.Second
	// renewalLife bounds a renewal with all its waiting: for another broker's lease, for
	// the provider, and for a store that cannot be written for a while.
	renewalLife = 2 * time.Minute
	// mostWait is how long one call waits for a renewal, its own or that of a broker that
	// died meanwhile.
	mostWait = leaseLife + 5*time.Second
	// pollEvery is how often a broker that waits for another looks.
	pollEvery = 100 * time.Millisecond
	// shortest and longest are how long a provider is left alone after a failure.
	shortestPause = time.Second
	longestPause  = 5 * time.Minute
)

// renewTries bounds how often a call has its token renewed: what was adopted from
// somebody else may have to be renewed itself.
const renewTries = 3

// fresh gives the tokens of a connected account, renewed where they have run out. One
// renewal serves all who ask, in this broker and in all others.
func (k *Keeper) fresh(ctx context.Context, c *connector.Connector, r Record) (Record, tokens, error) {
	for range renewTries {
		t, err := k.tokensOf(ctx, r)
		now := k.o.Now()
		if err != nil || !k.due(r, t, now) || t.good(now) && now.Before(r.RetryAt) {
			return r, t, err
		}
		renewed, err := k.renew(ctx, c, r)
		switch {
		case err != nil && t.good(k.o.Now()):
			return r, t, nil // what is still good is used, whatever a refresh before its time came to
		case err != nil:
			return Record{}, tokens{}, err
		}
		r = renewed
	}
	return Record{}, tokens{}, fault.New(fault.UpstreamUnavailable, "the credential changes while it is renewed; nothing was sent; try again", nil)
}

// renew runs one renewal for all callers of this broker that are on one revision: what
// may be used on another is for that one to judge. It goes on when they give up: a token
// that was sent is consumed.
func (k *Keeper) renew(ctx context.Context, c *connector.Connector, r Record) (Record, error) {
	done := k.renewals.DoChan(r.Workspace+" "+r.ID+" "+strconv.FormatInt(c.Revision, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewalLife)
		defer cancel()
		run := &renewal{k: k, c: c, slot: c.Slots[r.Slot], old: r}
		return caught(func() (Record, error) { return run.run(ctx) })
	})
	ended := make(chan singleflight.Result, 1)
	k.running.Go(func() { ended <- <-done })
	// Another name: the renewal reads ctx, perhaps only now.
	wait, cancel := context.WithTimeout(ctx, mostWait)
	defer cancel()
	select {
	case result := <-ended:
		renewed, _ := result.Val.(Record)
		return renewed, result.Err
	case <-wait.Done():
		return Record{}, fault.New(fault.UpstreamUnavailable, "the access token was not renewed in time; nothing was sent", context.Cause(wait))
	}
}

// caught runs f, and turns a panic into an error. What several callers wait for runs in a
// goroutine of its own, where a panic would end the broker and not a call.
func caught[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil { // its value may hold anything
			err = fault.New(fault.Internal, "internal error", fmt.Errorf("panic of type %T", p))
		}
	}()
	return f()
}

// Wait waits for the renewals that run, also those whose callers have given up: what a
// provider gave must be stored before the store is closed. Call it when no call comes any
// more. Its error is that of ctx.
func (k *Keeper) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { k.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renewal is one refresh of one credential.
type renewal struct {
	k     *Keeper
	c     *connector.Connector
	slot  connector.Slot
	old   Record // whose tokens have run out
	lease Lease
}

// run takes the lease, or waits for whoever has it and takes over what they stored.
func (r *renewal) run(ctx context.Context) (Record, error) {
	for {
		now := r.k.o.Now()
		lease, err := r.k.o.Store.Take(ctx, r.old.Workspace, r.old.ID, r.k.o.Incarnation, now, now.Add(leaseLife))
		if err == nil {
			r.lease = lease
			return r.leased(ctx, now.Add(leaseLife))
		}
		if !errors.Is(err, store.ErrConflict) {
			return Record{}, storeDown(err)
		}
		current, err := r.current(ctx)
		if err != nil || current.ID != r.old.ID {
			return current, err
		}
		if t, err := r.k.tokensOf(ctx, current); err != nil || current.Version != r.old.Version && !r.k.due(current, t, r.k.o.Now()) {
			return current, err
		}
		if err := r.usable(current); err != nil {
			return Record{}, err
		}
		select {
		case <-ctx.Done():
			return Record{}, fault.New(fault.UpstreamUnavailable, "another broker renews the access token and is not done; nothing was sent", ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// leased decides, under the lease, what is to be done.
func (r *renewal) leased(ctx context.Context, until time.Time) (Record, error) {
	current, err := r.current(ctx)
	if err != nil || current.ID != r.old.ID {
		// Deleted, and perhaps put again: that is a credential with a lease of its own.
		r.giveBack(ctx, RefreshEnd{})
		return current, err
	}
	t, err := r.k.tokensOf(ctx, current)
	if err != nil || !r.k.due(current, t, r.k.o.Now()) {
		r.giveBack(ctx, RefreshEnd{})
		return current, err
	}
	if err := r.usable(current); err != nil {
		r.giveBack(ctx, keep(current, r.lease))
		return Record{}, err
	}
	switch {
	case !t.refreshable():
		return Record{}, r.bury(ctx, current, "the access token has run out and there is no refresh token")
	case r.lease.Unresolved != nil && !r.slot.OAuth.Reusable && r.k.wasSent(r.lease.Unresolved, t):
		return Record{}, r.bury(ctx, current, "an earlier refresh was cut off after the refresh token had been sent")
	}
	return r.ask(ctx, current, t, until)
}

// keep leaves everything as it stands.
func keep(current Record, l Lease) RefreshEnd {
	return RefreshEnd{Reason: current.Reason, Failures: l.Failures, RetryAt: current.RetryAt}
}

// ask sends the refresh token: recorded in the trail and durably marked beforehand.
func (r *renewal) ask(ctx context.Context, current Record, t tokens, until time.Time) (Record, error) {
	secret, err := r.k.clientSecret(ctx, r.c, r.slot)
	if err != nil {
		r.giveBack(ctx, keep(current, r.lease))
		return Record{}, err
	}
	intent, err := r.k.o.Trail.BeginAdmin(ctx, r.k.event("credential.refresh", current))
	if err != nil {
		r.giveBack(ctx, keep(current, r.lease))
		return Record{}, err
	}
	outcome := audit.Outcome{Result: audit.NotSent, Reason: string(fault.StoreUnavailable)}
	defer func() { r.k.o.Trail.Finish(intent, outcome) }()
	digest, _ := r.k.o.Digester.Digest(t.refresh.Reveal())
	if err := r.k.o.Store.Attempt(ctx, r.lease, digest); err != nil {
		r.giveBack(ctx, RefreshEnd{Resolved: true}) // written or not: nothing was sent
		return Record{}, storeDown(err)
	}
	if !r.k.o.Now().Add(oauth.Timeout).Before(until) {
		r.giveBack(ctx, RefreshEnd{Resolved: true})
		return Record{}, storeDown(errors.New("the lease was about to run out before anything was sent"))
	}
	outcome = panicked()
	token, err := r.k.o.OAuth.Ask(ctx, oauth.Request{
		Workspace: current.Workspace, Connector: current.Connector, OAuth: r.slot.OAuth, GrantType: "refresh_token",
		Form: map[string]vault.Secret{"refresh_token": t.refresh}, ClientSecret: secret,
	})
	if err != nil {
		renewed, err := r.failed(ctx, current, err)
		outcome = outcomeOf(err)
		return renewed, err
	}
	renewed, err := r.save(ctx, current, t, token)
	outcome = outcomeOf(err)
	return renewed, err
}

// save stores the new tokens before anybody uses them. The refresh token is consumed:
// were they lost, so would be the account, so it does not give up soon.
func (r *renewal) save(ctx context.Context, current Record, t tokens, token oauth.Token) (Record, error) {
	next := nextTokens(t, token, r.k.o.Now())
	record := current
	record.Version, record.CreatedBy = current.Version+1, r.k.o.BrokerID
	record.Dead, record.Reason, record.RetryAt = false, "", time.Time{}
	var err error
	if record.Sealed, err = r.k.o.Sealer.Seal(ctx, bindingOf(record), next.seal()); err != nil {
		return Record{}, fault.New(fault.Internal, "internal error", err)
	}
	for pause := pollEvery; ; pause = min(2*pause, shortestPause) {
		record.CreatedAt = r.k.o.Now() // as of when others are told: they do not read far back
		err = r.k.o.Store.Renew(ctx, r.lease, record)
		if err == nil || errors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	r.k.Forget(record.Workspace, record.ID)
	if errors.Is(err, store.ErrConflict) {
		// An answer of the store that was lost, or somebody put another credential: what
		// stands now counts, and may have to be refreshed itself.
		r.giveBack(ctx, RefreshEnd{})
		return r.adopt(ctx, current)
	}
	if err != nil {
		return Record{}, storeDown(err)
	}
	return record, nil
}

// nextTokens are those of an answer; a refresh token that did not change is not said.
func nextTokens(old tokens, token oauth.Token, now time.Time) tokens {
	next := tokens{access: token.Access, refresh: token.Refresh, obtained: now}
	if len(token.Refresh.Reveal()) == 0 {
		next.refresh = old.refresh
	}
	if token.Life > 0 {
		next.expires = now.Add(token.Life)
	}
	return next
}

// adopt gives what stands in the store, if it is newer and good.
func (r *renewal) adopt(ctx context.Context, than Record) (Record, error) {
	current, err := r.current(ctx)
	if err != nil {
		return Record{}, err
	}
	if same(current, than) {
		return Record{}, storeDown(errors.New("the refreshed tokens could not be stored"))
	}
	return current, nil
}

// same reports whether two records are one version of one credential. What is put after
// a deletion is another credential, and its versions begin anew.
func same(a, b Record) bool { return a.ID == b.ID && a.Version == b.Version }

// current reads the record past every cache, and holds it against the connector.
func (r *renewal) current(ctx context.Context) (Record, error) {
	place := Place{r.old.Workspace, r.old.Connector, r.old.Slot, r.old.UserID}
	current, err := r.k.o.Store.Active(ctx, place.Workspace, place.Connector, place.Slot, place.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return Record{}, missing(r.c, r.slot, "it was deleted", "it again")
	}
	if err != nil {
		return Record{}, storeDown(err)
	}
	if err := admissible(r.c, r.slot, place, current); err != nil {
		return Record{}, err
	}
	return current, nil
}

// usable says why a token endpoint is not asked for this record now.
func (r *renewal) usable(current Record) error {
	if current.Dead {
		return needsReconnect(r.c, r.slot, current.Reason)
	}
	if now := r.k.o.Now(); now.Before(current.RetryAt) {
		return fault.New(fault.UpstreamUnavailable, "the access token cannot be renewed now: "+current.Reason+
			"; the provider is asked again at "+current.RetryAt.UTC().Format(time.RFC3339), nil).With("connector", r.c.Name)
	}
	return nil
}

// wasSent reports whether the digest is that of the refresh token.
func (k *Keeper) wasSent(digest []byte, t tokens) bool {
	for _, d := range k.o.Digester.Digests(t.refresh.Reveal()) {
		if bytes.Equal(d, digest) {
			return true
		}
	}
	return false
}

func storeDown(err error) error {
	return fault.New(fault.StoreUnavailable, "the credential cannot be renewed now; nothing was sent; try again", err)
}
