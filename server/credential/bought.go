package credential

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// seller is a kind whose stored secret only buys what is attached: a token that lives
// for minutes. What is bought stands in this broker's memory and nowhere else.
type seller interface {
	// check is whether the secret can be stored.
	check(slot connector.Slot, secret string) error
	// part names what of the call it is bought for, for instance the repositories on
	// which the token is good. Calls with the same part share it; empty: all calls.
	part(slot connector.Slot, b *connector.Bound) (string, error)
	// buy gets it. Errors that are *oauth.Error make callers wait before the next try.
	buy(ctx context.Context, p purchase) (bought, error)
}

// named is a seller whose goods bear the name of the task that they are bought for: no
// two tasks share one.
type named interface {
	// name is that name; never empty.
	name(i audit.Intent) (string, error)
}

// purchase is all that a seller is told.
type purchase struct {
	intent audit.Intent
	caller *task.Caller
	bound  *connector.Bound
	slot   connector.Slot
	// part is what seller.part said.
	part string
	// name is what named.name said; empty for a seller that is none.
	name string
	// secret is what is stored, client the secret of the slot's OAuth client, if any.
	secret, client vault.Secret
}

// bought is what a seller gave.
type bought struct {
	// secret is attached in place of what is stored.
	secret vault.Secret
	// life is how long it is good; 0: the seller did not say.
	life time.Duration
}

const (
	// unsaid is the life of what its seller said nothing of.
	unsaid = 5 * time.Minute
	// maxBought bounds how many are remembered.
	maxBought = 10_000
	// buyTime bounds one purchase, which may take two requests.
	buyTime = 2*oauth.Timeout + 5*time.Second
)

// shelf remembers what was bought, for one credential version and part each. A key holds
// the labels of all credentials with which it was bought.
type shelf struct {
	now     func() time.Time
	flights singleflight.Group

	mu    sync.Mutex
	count uint64
	goods map[string]*good
}

// good is one thing on the shelf, or why it could not be had.
type good struct {
	workspace string
	bought
	// label names this very one; two never share it.
	label    string
	renew    time.Time // from when on another is bought
	end      time.Time
	failures int64
	retry    time.Time
	err      error
}

func newShelf(now func() time.Time) *shelf { return &shelf{now: now, goods: map[string]*good{}} }

// get gives what stands under the key, or buys it. What is still good is given also
// where buying the next one fails.
func (s *shelf) get(ctx context.Context, key string, r Record, buy func(context.Context) (bought, error)) (*good, error) {
	now := s.now()
	g := s.find(key)
	if g != nil && (now.Before(g.renew) || now.Before(g.retry)) {
		return g.usable(now)
	}
	done := s.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buyTime)
		defer cancel()
		b, err := caught(func() (bought, error) { return buy(ctx) })
		return s.put(key, r, b, err), nil
	})
	select {
	case result := <-done:
		g, _ := result.Val.(*good)
		return g.usable(s.now())
	case <-ctx.Done():
		return nil, fault.New(fault.UpstreamUnavailable, "the access token was not had in time; nothing was sent to the upstream", context.Cause(ctx))
	}
}

func (g *good) usable(now time.Time) (*good, error) {
	if now.Before(g.end) {
		return g, nil
	}
	if g.err == nil {
		return nil, fault.New(fault.UpstreamUnavailable, "the access token had run out when it came; nothing was sent to the upstream; try again", nil)
	}
	return nil, g.err
}

func (s *shelf) find(key string) *good {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.goods[key]
}

// put writes down how a purchase ended.
func (s *shelf) put(key string, r Record, b bought, err error) *good {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	next := &good{workspace: r.Workspace, bought: b, err: err}
	if err != nil {
		next.bought = bought{} // what came beside an error is not kept
		if old := s.goods[key]; old != nil {
			*next = *old
			next.err = err
		}
		next.failures++
		var e *oauth.Error
		asked := time.Duration(0)
		if errors.As(err, &e) {
			asked = e.RetryAfter
		}
		next.retry = now.Add(pauseAfter(next.failures, asked))
	} else {
		if b.life <= 0 {
			next.life = unsaid
		}
		s.count++
		next.label = strconv.FormatUint(s.count, 10)
		next.end = now.Add(next.life)
		next.renew = next.end.Add(-marginOf(next.life))
	}
	s.evict(now)
	s.goods[key] = next
	return next
}

// evict makes room: what has ended goes first, then whatever comes.
func (s *shelf) evict(now time.Time) {
	if len(s.goods) < maxBought {
		return
	}
	for key, g := range s.goods {
		if !now.Before(g.end) && !now.Before(g.retry) {
			delete(s.goods, key)
		}
	}
	for key := range s.goods {
		if len(s.goods) < maxBought {
			return
		}
		delete(s.goods, key)
	}
}

// forget drops all that was bought with a credential, and what failed.
func (s *shelf) forget(workspace, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, g := range s.goods {
		if g.workspace == workspace && InPool(key, id) {
			delete(s.goods, key)
		}
	}
}

// buy records the purchase before it is made, and how it ended.
func (k *Keeper) buy(ctx context.Context, seller seller, p purchase, r Record) (bought, error) {
	e := k.event("credential.token", r)
	switch {
	case p.slot.PerTask():
		e.UserID, e.TaskID, e.Agent = p.caller.Task.User.ID, p.caller.Task.ID, p.caller.Task.Agent
	case p.name != "":
		e.UserID, e.TaskID = p.intent.UserID(), p.intent.TaskID()
	}
	intent, err := k.o.Trail.BeginAdmin(ctx, e)
	if err != nil {
		return bought{}, err
	}
	outcome := panicked()
	defer func() { k.o.Trail.Finish(intent, outcome) }()
	got, err := seller.buy(ctx, p)
	var refused *oauth.Error
	var f *fault.Error
	switch {
	case errors.As(err, &refused):
		err = tokenFault(p.bound.Connector, p.slot, refused)
	case err != nil && !errors.As(err, &f):
		err = fault.New(fault.Internal, "internal error", err)
	}
	outcome = outcomeOf(err)
	return got, err
}
