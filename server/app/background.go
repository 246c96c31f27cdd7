package app

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/store"
)

const (
	// brokerLease is how long other brokers believe that this one lives; past it they
	// close its open intents as unknown, and it begins nothing itself.
	brokerLease    = 10 * time.Second
	heartbeatEvery = 2 * time.Second
	keysEvery      = 2 * time.Second
	sweepEvery     = 5 * time.Second
	pruneEvery     = time.Minute
	denyListEvery  = 250 * time.Millisecond
)

// background are the loops that run while the broker serves.
func (a *App) background() []func(context.Context) {
	poller := &lease.Poller{
		Feed: a.store.Feed(), Every: lease.Every, Now: time.Now, StoreNow: a.clock.Now, On: a.changed, Log: a.log,
	}
	return []func(context.Context){
		a.clock.Run,
		poller.Run,
		a.chain.Recheck,
		func(ctx context.Context) { a.denied.Watch(ctx, denyListEvery, a.log, a.chain.EndWorkload) },
		func(ctx context.Context) { a.trail.SweepEvery(ctx, sweepEvery) },
		a.every(heartbeatEvery, "heartbeat", a.heartbeat),
		a.every(keysEvery, "poll keys", a.keys.Poll),
		a.every(keysEvery, "rewrap credentials", a.rewrap),
		a.every(pruneEvery, "prune change feed", func(ctx context.Context) error { return a.store.Feed().Prune(ctx, a.clock.Now()) }),
		a.every(pruneEvery, "prune connecting users", a.connects.Prune),
	}
}

// every runs f now and then until ctx ends; a failure is logged once until it works
// again.
func (a *App) every(interval time.Duration, what string, f func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for failing := false; ; {
			err := f(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				a.log.Error(what+" failed", "error", err)
			}
			failing = err != nil
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

func (a *App) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatEvery)
	defer cancel()
	until := a.clock.Now().Add(brokerLease)
	if err := a.store.Brokers().Heartbeat(ctx, a.brokerID(), a.incarnation, until, a.keys.Loaded()); err != nil {
		return err
	}
	a.trail.Live(until)
	return nil
}

func (a *App) rewrap(ctx context.Context) error {
	active, err := a.keys.ActiveID("kek")
	if err != nil {
		return err
	}
	n, err := a.credentials.Rewrap(ctx, active)
	if n > 0 {
		a.log.Info("credentials rewrapped under the active KEK", "count", n)
	}
	return err
}

// changed hears what any broker changed in the store: what is remembered of it is
// dropped, running calls of ended tasks are cut, and all else may be believed longer.
func (a *App) changed(changes []store.Change, started time.Time) {
	tasks, credentials := map[[2]string]bool{}, map[[2]string]bool{}
	for _, c := range changes {
		switch c.Kind {
		case store.TaskChanged:
			tasks[[2]string{c.Workspace, c.ID}] = true
		case store.CredentialChanged:
			credentials[[2]string{c.Workspace, c.ID}] = true
		case store.ConnectorChanged:
			a.connectors.Forget(c.Workspace, c.ID)
		}
	}
	a.end(tasks)
	for c := range credentials {
		a.credentials.Forget(c[0], c[1])
		a.door.Forget(func(k egress.PoolKey) bool { return k.Workspace == c[0] && credential.InPool(k.Credential, c[1]) })
	}
	a.sessions.Renew(started)
	a.records.Renew(started)
	a.opened.Renew(started)
	a.fleeting.Renew(started)
	a.connectors.Renew(started)
}

// endTasks makes a revocation hold in this broker at once.
func (a *App) endTasks(workspace string, taskIDs []string) {
	tasks := make(map[[2]string]bool, len(taskIDs))
	for _, id := range taskIDs {
		tasks[[2]string{workspace, id}] = true
	}
	a.end(tasks)
}

// end forgets tasks, named by workspace and id, with all below them, and cuts their calls.
func (a *App) end(tasks map[[2]string]bool) {
	if len(tasks) == 0 {
		return
	}
	a.sessions.Forget(func(_ authn.Digest, s *authn.Session) bool {
		for id := range s.Task.Line() {
			if tasks[[2]string{s.Task.Workspace, id}] {
				return true
			}
		}
		return false
	})
	// After they are forgotten: a call that is not running yet asks the store once more.
	for t := range tasks {
		a.chain.EndTask(t[0], t[1])
	}
}

// ready reports why this broker should get no calls, or nil.
func (a *App) ready(ctx context.Context) error {
	svid, err := a.source.x509.GetX509SVID()
	if err != nil {
		return err
	}
	if !time.Now().Before(svid.Certificates[0].NotAfter) {
		return errors.New("own SVID has expired")
	}
	if err := a.clock.Healthy(); err != nil {
		return err
	}
	return a.store.Ping(ctx)
}
