package api

import (
	"context"
	"sync"
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

const (
	// recheckEvery is how often the tasks of running calls are looked at again.
	recheckEvery = 250 * time.Millisecond
	// recheckAfter is how long a call runs before that begins: most are over by then.
	recheckAfter = 500 * time.Millisecond
	// recheckTimeout bounds one round: a store that hangs is one that does not answer.
	recheckTimeout = 2 * time.Second
	// recheckers bounds how many look at once.
	recheckers = 16
)

// Recheck looks at the tasks of long calls again and again, until ctx ends, and cuts the
// calls whose task may call no more. A revocation is heard of through the change feed, and
// its calls are cut then. This is for a broker that hears nothing: what it remembers of a
// task runs out, it must ask the store, and a call whose task cannot be looked up is cut
// like one whose task has ended.
func (c *Chain) Recheck(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.recheck(ctx)
		}
	}
}

// recheck is one round. The task of a call is mostly remembered: then this is a look-up
// in memory.
func (c *Chain) recheck(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, recheckTimeout)
	defer stop()
	places := make(chan struct{}, recheckers)
	var looking sync.WaitGroup
	for in, one := range c.running.before(time.Now().Add(-recheckAfter)) {
		places <- struct{}{}
		looking.Go(func() {
			defer func() { <-places }()
			c.recheckOne(ctx, in, one)
		})
	}
	looking.Wait()
}

// recheckOne asks for the task alone: an SVID that has expired since the call began ends
// no call, and a workload that was denied has lost its calls already. The answer goes to
// a call of its own, since others read this one.
//
// STORE_UNAVAILABLE would say that nothing was sent, and clients make the call again.
func (c *Chain) recheckOne(ctx context.Context, in *call, one cuttable) {
	again := &call{rule: in.rule, peer: in.peer}
	err := c.authenticateTask(within{ctx, one.ctx}, again)
	if fault.Is(err, fault.StoreUnavailable) {
		err = fault.New(fault.OutcomeUnknown, "the call was cut, since its task could not be looked up any more: it may have been sent, look before you repeat it", err)
	}
	if err != nil {
		one.cancel(err)
	}
}

// within is ended by the round and holds what the call's context holds: its task key.
type within struct {
	context.Context
	values context.Context
}

func (w within) Value(key any) any { return w.values.Value(key) }
