package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/onedoor/onedoor/server/fault"
)

// running are the calls of sandboxes that run now, so that a task which ends takes
// its calls with it.
type running struct {
	mu    sync.Mutex
	calls map[*call]cuttable
}

// cuttable is a running call's context, and the way to end it.
type cuttable struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// cut runs a sandbox's call under a context that ends with its task.
func (c *Chain) cut(ctx context.Context, in *call, next func(context.Context) error) error {
	if in.caller == nil {
		return next(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.AfterFunc(in.caller.Task.ExpiresAt.Sub(c.o.Now()), func() { cancel(errEnded()) })
	defer end.Stop()
	c.running.add(in, cuttable{ctx, cancel})
	defer c.running.remove(in)
	// Once more, now that it can be cut: an end that came between the first check and
	// here has found nothing to cut. The answer goes to a call of its own, since others
	// read this one from now on.
	if err := c.authenticate(ctx, &call{rule: in.rule, request: in.request}); err != nil {
		return err
	}
	err := next(ctx)
	var why *fault.Error
	if err != nil && errors.As(context.Cause(ctx), &why) {
		return why // it was cut, whatever that looked like further down
	}
	return err
}

func errEnded() error {
	return fault.New(fault.TaskEnded, "the task ended while the call was running", nil)
}

// EndTask cuts the running calls of one task and of all below it.
func (c *Chain) EndTask(workspace, taskID string) {
	c.running.end(func(in *call) bool {
		for id := range in.caller.Task.Line() {
			if id == taskID {
				return in.caller.Task.Workspace == workspace
			}
		}
		return false
	})
}

// EndWorkload cuts the running calls of one workload.
func (c *Chain) EndWorkload(id spiffeid.ID) {
	c.running.end(func(in *call) bool { return in.caller.Workload == id })
}

func (r *running) add(in *call, one cuttable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[in] = one
}

func (r *running) remove(in *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, in)
}

func (r *running) end(match func(*call) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for in, one := range r.calls {
		if match(in) {
			one.cancel(errEnded())
		}
	}
}

// before gives the calls that began before a moment of the local clock.
func (r *running) before(moment time.Time) map[*call]cuttable {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := map[*call]cuttable{}
	for in, one := range r.calls {
		if in.began.Before(moment) {
			old[in] = one
		}
	}
	return old
}
