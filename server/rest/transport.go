package rest

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/onedoor/onedoor/server/limit"
)

// errHeaderSent is what a handler gets that sets headers too late.
var errHeaderSent = errors.New("rest: the header was sent already")

// transport is what grpc.SetHeader, grpc.SetTrailer and grpc.Method find in a
// handler's context.
type transport struct {
	method string
	ready  chan struct{} // closed when the header is sent

	mu      sync.Mutex
	sent    bool
	header  metadata.MD
	trailer metadata.MD
}

func newTransport(method string) *transport {
	return &transport{method: method, ready: make(chan struct{})}
}

// Method gives the RPC's full name, "/package.Service/Method".
func (t *transport) Method() string { return t.method }

// SetHeader adds to the header; it fails once the header is sent.
func (t *transport) SetHeader(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent {
		return errHeaderSent
	}
	t.header = metadata.Join(t.header, md)
	return nil
}

// SendHeader adds to the header and sends it; it fails the second time.
func (t *transport) SendHeader(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent {
		return errHeaderSent
	}
	t.header = metadata.Join(t.header, md)
	t.sent = true
	close(t.ready)
	return nil
}

// SetTrailer adds to the trailer.
func (t *transport) SetTrailer(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trailer = metadata.Join(t.trailer, md)
	return nil
}

// begin sends the header unless that happened, before a stream's first message.
func (t *transport) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent {
		return
	}
	t.sent = true
	close(t.ready)
}

func (t *transport) headers() metadata.MD {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.header.Copy()
}

func (t *transport) trailers() metadata.MD {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trailer.Copy()
}

// deliver hands header and trailer to a unary caller that asked for them.
func (t *transport) deliver(opts []grpc.CallOption) {
	for _, opt := range opts {
		switch o := opt.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = t.headers()
		case grpc.TrailerCallOption:
			*o.TrailerAddr = t.trailers()
		}
	}
}

// serverContext makes the handler's context from nothing, as a server would: the
// client's outgoing metadata become incoming ones (and are not outgoing any more: a
// handler that calls another gRPC service must not send it the caller's key), peer,
// deadline and cancellation are kept, and no other value passes.
func serverContext(client context.Context, t *transport) (context.Context, context.CancelFunc) {
	md, _ := metadata.FromOutgoingContext(client)
	ctx := metadata.NewIncomingContext(context.Background(), md)
	if p, ok := peer.FromContext(client); ok {
		ctx = peer.NewContext(ctx, p)
	}
	if tail := limit.TailOf(client); tail != nil {
		ctx = limit.WithTail(ctx, tail)
	}
	ctx = grpc.NewContextWithServerTransportStream(ctx, t)

	ctx, cancel := withDeadlineOf(client, ctx)
	stop := context.AfterFunc(client, func() {
		// A deadline ends ctx by its own timer, so that it reads as one.
		if !errors.Is(client.Err(), context.DeadlineExceeded) {
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}

func withDeadlineOf(client, ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := client.Deadline(); ok {
		return context.WithDeadline(ctx, deadline)
	}
	return context.WithCancel(ctx)
}
