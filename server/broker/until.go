package broker

import (
	"context"
	"errors"
	"time"

	"github.com/onedoor/onedoor/server/fault"
)

// until ends a call with the grant that allowed it, as the transport ends one with its
// task: who begins a long answer just before the end gets no more of it than others. stop
// releases it, and gives the error that the caller is to see for how the call ended.
func (b *Broker) until(ctx context.Context, end time.Time) (bounded context.Context, stop func(error) error) {
	if end.IsZero() {
		return ctx, func(err error) error { return err }
	}
	bounded, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(end.Sub(b.o.Now()), func() { cancel(errGrantEnded()) })
	return bounded, func(err error) error {
		defer cancel(nil)
		timer.Stop()
		var why *fault.Error
		if err != nil && ctx.Err() == nil && errors.As(context.Cause(bounded), &why) {
			return why // whatever that looked like further down
		}
		return err
	}
}

func errGrantEnded() error {
	return fault.New(fault.GrantExpired, "the grant ended while the call was running: what became of the call is not known", nil)
}
