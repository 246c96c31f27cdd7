package broker

import (
	"context"
	"errors"

	"github.com/onedoor/onedoor/server/limit"
)

// enter takes a place at the call's connector, where those of one tree of tasks are
// counted by themselves. It comes when the call is known to be granted: what is not costs
// nobody a place, and only names that exist are remembered.
func (b *Broker) enter(ctx context.Context, c Call) (*limit.Pass, error) {
	workspace := c.Caller.Task.Workspace
	pass, err := b.o.Gate.Enter(ctx,
		limit.Key{Scope: limit.Task, Workspace: workspace, Name: c.Caller.Task.RootID + " " + c.Connector},
		limit.Key{Scope: limit.Connector, Workspace: workspace, Name: c.Connector},
	)
	var refused *limit.Refusal
	if errors.As(err, &refused) {
		return nil, refused.Fault()
	}
	return pass, err
}

// account is where the answer is counted that is held: with what its caller's transport
// holds, or else as long as the broker holds it.
func (s *sent) account(ctx context.Context) (h *limit.Hold, end func()) {
	if h = limit.HoldOf(ctx); h != nil {
		return h, func() {}
	}
	h = s.b.o.Budget.Hold(s.caller.Task.Workspace, s.caller.Task.RootID)
	return h, h.Release
}
