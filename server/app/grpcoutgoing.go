package app

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/limit"
	"github.com/onedoor/onedoor/server/rest"
)

// outgoing is what of one call waits to be taken. It ends when its handler has returned
// and the last message is taken, or with the connection.
type outgoing struct {
	tail  *limit.Tail
	conn  *limit.Conn // nil once it is gone
	times rest.Times
	open  atomic.Int32
}

func (g *grpcGuard) outgoing(conn *limit.Conn) *outgoing {
	o := &outgoing{tail: &limit.Tail{}, times: g.times, conn: conn}
	o.open.Store(1)
	if o.conn != nil {
		o.conn.Keep(o.tail)
	}
	return o
}

func (o *outgoing) done() {
	if o.open.Add(-1) > 0 {
		return
	}
	o.tail.End()
	if o.conn != nil {
		o.conn.Forget(o.tail)
	}
}

// message counts one from now until it is taken. Where it is not taken in time, the
// connection is closed: grpc-go keeps what it has queued for a stream until then. Many
// answers share a slow connection, so as long as all of it is taken at a fair pace, it stays.
func (o *outgoing) message(ctx context.Context, m proto.Message, size int, free func()) *counted {
	o.open.Add(1)
	c := &counted{ctx: ctx, message: m, free: func() { free(); o.done() }}
	if o.conn != nil {
		c.watch(o.conn, o.times, size)
	}
	return c
}

// watch closes the connection when the message has not been taken in time.
func (c *counted) watch(conn *limit.Conn, times rest.Times, size int) {
	began, before := time.Now(), conn.Written()
	c.timer = time.AfterFunc(time.Hour, func() { // in fact when Reset says
		switch taken := conn.Written() - before; {
		case c.once.Load():
		case float64(taken) >= time.Since(began).Seconds()*rest.Pace:
			c.timer.Reset(times.Send)
		default:
			_ = conn.Close()
		}
	})
	c.timer.Reset(times.ForPiece(size))
}

// counted is a message that says when it is taken.
type counted struct {
	ctx     context.Context //nolint:containedctx // the stream's; it ends when the peer takes the call back
	message proto.Message
	timer   *time.Timer
	free    func()
	once    atomic.Bool
}

func (c *counted) taken() {
	if c.once.Swap(true) {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.free()
}

// Get and Put make it the pool to which grpc-go gives the bytes back once the last of
// them is on its way, or the stream is gone.
func (c *counted) Get(size int) *[]byte { return mem.DefaultBufferPool().Get(size) }

// Put takes the bytes back.
func (c *counted) Put(bytes *[]byte) {
	c.taken()
	mem.DefaultBufferPool().Put(bytes)
}

// countedCodec encodes counted messages, and is protobuf's codec for all others.
type countedCodec struct{ encoding.CodecV2 }

// leastPooled is a size from which on grpc-go tells a pool of the end of its buffers.
const leastPooled = 2 << 10

// Marshal encodes.
func (c countedCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*counted)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	if m.ctx.Err() != nil {
		m.taken() // the call was taken back: grpc-go drops what is not queued yet
	}
	bytes := m.Get(max(proto.Size(m.message), leastPooled))
	data, err := proto.MarshalOptions{}.MarshalAppend((*bytes)[:0], m.message)
	if err != nil {
		m.Put(bytes)
		return nil, err
	}
	*bytes = data
	return mem.BufferSlice{mem.NewBuffer(bytes, m)}, nil
}
