package app

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/limit"
)

// receiveSoon is in which time a message arrives that nobody delays. One that takes
// longer counts as if it were as large as it may become.
const receiveSoon = 2 * time.Second

// arrival is a request on its way in.
type arrival struct {
	conn   *limit.Conn // nil once it is gone
	name   string      // whose it is
	cancel context.CancelCauseFunc
	timer  *time.Timer
	hold   *limit.Hold
	most   time.Duration
	late   bool        // had its reprieve; the timer's alone
	unbind func() bool // it no longer ends with its stream
	there  atomic.Bool
}

type arrivalKey struct{}

// tap runs before anything of a request's body is read.
func (g *grpcGuard) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithCancelCause(ctx) // ends with the stream's own context
	in := &arrival{cancel: cancel, most: g.times.Receive}
	in.conn, in.name = g.peerOf(ctx)
	in.hold = g.budget.Hold(limit.Arriving, in.name)
	if in.hold.Add(limit.ArrivalCost(info.Header)) != nil {
		cancel(nil)
		return nil, g.refused(ctx, info.FullMethodName, limit.RoomFault())
	}
	in.timer = time.AfterFunc(min(receiveSoon, in.most/2), in.slow)
	in.unbind = context.AfterFunc(ctx, in.received)
	return context.WithValue(ctx, arrivalKey{}, in), nil
}

// slow has a request go on only if there is room for the largest that it may become:
// memory that a peer fills at its leisure is bounded.
func (in *arrival) slow() {
	if in.late || in.hold.Add(maxReceive) != nil {
		if !in.there.Load() { // it may have arrived just now
			in.cancel(errSlow)
		}
		return
	}
	in.late = true
	in.timer.Reset(in.most - min(receiveSoon, in.most/2))
}

func (in *arrival) received() {
	in.there.Store(true)
	in.timer.Stop()
	in.hold.Release()
}

// arrived gives the call's arrival, which is over.
func arrived(ctx context.Context) *arrival {
	in, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return &arrival{} // no call of this server
	}
	if in.unbind() {
		in.received()
	}
	return in
}

// keep counts a request from its arrival until the call counts it itself: it may wait
// for the store before that, and for its turn. A small one costs no more than its handler.
func (g *grpcGuard) keep(name string, req any, tail *limit.Tail) error {
	m, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	size := proto.Size(m)
	if size <= limit.Arrival {
		return nil
	}
	hold := g.budget.Hold(limit.Arriving, name)
	if hold.Add(int64(size)) != nil {
		return limit.RoomFault()
	}
	tail.Arrived(hold)
	return nil
}
