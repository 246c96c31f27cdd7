package rest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// InProcess is a client connection that runs the registered services' handlers in
// this process, through the whole interceptor chain. What crosses it is what would
// cross a wire: metadata, peer, deadline and cancellation, copies of the messages,
// a status. No other value of the caller's context reaches a handler.
//
// It is a grpc.ServiceRegistrar and a grpc.ClientConnInterface. Register everything
// before the first call; after that it is safe for concurrent use.
type InProcess struct {
	unary   grpc.UnaryServerInterceptor
	stream  grpc.StreamServerInterceptor
	methods map[string]method
	running sync.WaitGroup
}

// method is one RPC: either unary or stream is set.
type method struct {
	server any
	unary  *grpc.MethodDesc
	stream *grpc.StreamDesc
}

// NewInProcess makes a connection behind the two chained interceptors. It panics if
// one is missing: without a chain nobody would be authenticated.
func NewInProcess(unary grpc.UnaryServerInterceptor, stream grpc.StreamServerInterceptor) *InProcess {
	if unary == nil || stream == nil {
		panic("rest: an in-process connection needs both interceptor chains")
	}
	return &InProcess{unary: unary, stream: stream, methods: map[string]method{}}
}

// RegisterService registers a service; the generated Register…Server functions call
// it. Like grpc.Server it does not return if server lacks the service's methods or
// if the service is registered already: it panics.
func (p *InProcess) RegisterService(desc *grpc.ServiceDesc, server any) {
	want := reflect.TypeOf(desc.HandlerType).Elem()
	if server == nil || !reflect.TypeOf(server).Implements(want) {
		panic(fmt.Sprintf("rest: %T does not serve %s", server, desc.ServiceName))
	}
	for i := range desc.Methods {
		p.add(desc.ServiceName, desc.Methods[i].MethodName, method{server: server, unary: &desc.Methods[i]})
	}
	for i := range desc.Streams {
		p.add(desc.ServiceName, desc.Streams[i].StreamName, method{server: server, stream: &desc.Streams[i]})
	}
}

func (p *InProcess) add(service, name string, m method) {
	full := "/" + service + "/" + name
	if _, twice := p.methods[full]; twice {
		panic("rest: " + full + " is registered twice")
	}
	p.methods[full] = m
}

// Invoke runs a unary RPC in the caller's goroutine. grpc.Header and grpc.Trailer
// are honoured; the other options concern a wire and mean nothing here. The error is
// a gRPC status, unchanged if the handler returned one.
func (p *InProcess) Invoke(ctx context.Context, name string, args, reply any, opts ...grpc.CallOption) error {
	m, ok := p.methods[name]
	if !ok || m.unary == nil {
		return status.Errorf(codes.Unimplemented, "no unary method %s", name)
	}
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	t := newTransport(name)
	defer t.deliver(opts)
	ctx, cancel := serverContext(ctx, t)
	defer cancel()

	var out any
	err := guard(func() (err error) {
		out, err = m.unary.Handler(m.server, ctx, func(in any) error { return transfer(in, args) }, p.unary)
		return err
	})
	if err != nil {
		return err
	}
	return transfer(reply, out)
}

// Wait returns when no stream's handler runs any more. An HTTP request may end
// before its handler has recorded the outcome, so call Wait after http.Server's
// Shutdown and before closing what the handlers use.
func (p *InProcess) Wait() { p.running.Wait() }

// guard runs a handler and makes of whatever comes out a status. The chain logs
// panics; this is the last fence, for one in the chain itself.
func guard(run func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = internal()
		}
	}()
	err = run()
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return internal()
}

// internal says nothing of the cause: an error without a status was not meant for
// the caller.
func internal() error { return status.Error(codes.Internal, "internal error") }

// transfer copies a message deeply, as a wire would: neither side can later change
// what the other holds.
func transfer(dst, src any) error {
	to, ok := dst.(proto.Message)
	if !ok {
		return internal()
	}
	from, ok := src.(proto.Message)
	if !ok || !from.ProtoReflect().IsValid() || from.ProtoReflect().Descriptor() != to.ProtoReflect().Descriptor() {
		return internal()
	}
	proto.Reset(to)
	proto.Merge(to, from)
	return nil
}
