package rest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// NewStream opens a server-streaming RPC; those that stream from the client are
// refused, for the API has none. The handler runs in a goroutine that ends when it
// returns; ctx ending tells it to. Every event waits until the client takes it, so a
// slow client slows the upstream and nothing piles up.
func (p *InProcess) NewStream(ctx context.Context, _ *grpc.StreamDesc, name string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	m, ok := p.methods[name]
	if !ok || m.stream == nil || m.stream.ClientStreams {
		return nil, status.Errorf(codes.Unimplemented, "no server-streaming method %s", name)
	}
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	t := newTransport(name)
	serverCtx, cancel := serverContext(ctx, t)
	pipe := &pipe{
		transport: t,
		request:   make(chan proto.Message, 1),
		events:    make(chan proto.Message),
		done:      make(chan struct{}),
	}
	info := &grpc.StreamServerInfo{FullMethod: name, IsServerStream: true}
	p.running.Go(func() {
		defer cancel()
		defer close(pipe.done)
		pipe.err = internal() // should the handler never return
		pipe.err = guard(func() error {
			return p.stream(m.server, serverStream{pipe, serverCtx}, info, m.stream.Handler)
		})
	})
	return &clientStream{pipe: pipe, ctx: ctx}, nil
}

// pipe joins the two ends of a stream.
type pipe struct {
	transport *transport
	request   chan proto.Message // at most one, then closed
	events    chan proto.Message // unbuffered
	done      chan struct{}      // closed when the handler has returned
	err       error              // the handler's; to be read after done
}

// clientStream is the end that the gateway holds. As with any grpc.ClientStream, one
// goroutine at a time may send and one receive.
type clientStream struct {
	*pipe
	ctx    context.Context
	sent   bool
	closed bool
}

// Header waits for the header, which is complete when it is sent or the handler has
// returned.
func (s *clientStream) Header() (metadata.MD, error) {
	select {
	case <-s.transport.ready:
		return s.transport.headers(), nil
	case <-s.done:
		return s.transport.headers(), nil
	case <-s.ctx.Done():
		return nil, status.FromContextError(s.ctx.Err()).Err()
	}
}

// Trailer gives the trailer, complete after RecvMsg has returned an error.
func (s *clientStream) Trailer() metadata.MD { return s.transport.trailers() }

// Context gives the client's context.
func (s *clientStream) Context() context.Context { return s.ctx }

// CloseSend says that no message will follow.
func (s *clientStream) CloseSend() error {
	if !s.closed {
		s.closed = true
		close(s.request)
	}
	return nil
}

// SendMsg sends the one request. It does not wait for the handler: the chain may
// refuse the call without reading it, and then RecvMsg says why.
func (s *clientStream) SendMsg(m any) error {
	msg, ok := m.(proto.Message)
	if !ok || s.sent || s.closed {
		return internal()
	}
	s.sent = true
	s.request <- proto.Clone(msg)
	return nil
}

// RecvMsg waits for the next event; io.EOF or the handler's status ends the stream.
func (s *clientStream) RecvMsg(m any) error {
	select {
	case event := <-s.events:
		return transfer(m, event)
	case <-s.done:
		if s.err != nil {
			return s.err
		}
		return io.EOF
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// serverStream is the end that interceptors and handler hold.
type serverStream struct {
	*pipe
	ctx context.Context
}

// Context gives the handler's context.
func (s serverStream) Context() context.Context { return s.ctx }

// SetHeader adds to the header.
func (s serverStream) SetHeader(md metadata.MD) error { return s.transport.SetHeader(md) }

// SendHeader sends the header.
func (s serverStream) SendHeader(md metadata.MD) error { return s.transport.SendHeader(md) }

// SetTrailer adds to the trailer.
func (s serverStream) SetTrailer(md metadata.MD) { _ = s.transport.SetTrailer(md) }

// SendMsg hands a copy of the event to the client and returns when it is taken.
func (s serverStream) SendMsg(m any) error {
	msg, ok := m.(proto.Message)
	if !ok || !msg.ProtoReflect().IsValid() {
		return internal()
	}
	s.transport.begin()
	select {
	case s.events <- proto.Clone(msg):
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// RecvMsg gives the request, then io.EOF.
func (s serverStream) RecvMsg(m any) error {
	select {
	case msg, ok := <-s.request:
		if !ok {
			return io.EOF
		}
		return transfer(m, msg)
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}
