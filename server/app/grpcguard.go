package app

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/limit"
	"github.com/onedoor/onedoor/server/rest"
)

var (
	errNoTLS   = errors.New("the handshake was none of TLS")
	errSlow    = errors.New("the request took too long to arrive")
	errCodec   = errors.New("no codec for protobuf")
	errMessage = errors.New("not a protobuf message")
)

// grpcGuard bounds what grpc-go does not: how long a message may take to arrive, and how
// much waits to be taken by a peer that does not read. grpc-go reads a unary request
// before any interceptor runs, and queues an answer after the last one has returned.
type grpcGuard struct {
	times    rest.Times
	listener *limit.Listener
	budget   *limit.Budget
	unary    grpc.UnaryServerInterceptor
	stream   grpc.StreamServerInterceptor
	// refused gives the status of a call that does not come to the chain.
	refused func(ctx context.Context, method string, err error) error
}

func (g *grpcGuard) options(creds credentials.TransportCredentials) ([]grpc.ServerOption, error) {
	base := encoding.GetCodecV2("proto")
	if base == nil {
		return nil, errCodec
	}
	return []grpc.ServerOption{
		grpc.Creds(provenCreds{creds, g.listener}), grpc.InTapHandle(g.tap),
		grpc.UnaryInterceptor(g.runUnary), grpc.StreamInterceptor(g.runStream), grpc.ForceServerCodecV2(countedCodec{base}),
	}, nil
}

// peerOf gives the peer's connection, and who has proved to be there.
func (g *grpcGuard) peerOf(ctx context.Context) (*limit.Conn, string) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, ""
	}
	address := p.Addr.String()
	if conn := g.listener.Find(address); conn != nil {
		return conn, conn.Peer()
	}
	return nil, limit.PeerOf(address)
}

func (g *grpcGuard) runUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	in := arrived(ctx)
	out := g.outgoing(in.conn)
	defer out.done()
	if err := g.keep(in.name, req, out.tail); err != nil {
		return nil, g.refused(ctx, info.FullMethod, err)
	}
	res, err := g.unary(limit.WithTail(ctx, out.tail), req, info, handler)
	if err != nil {
		return nil, err
	}
	m, ok := res.(proto.Message)
	if !ok {
		return nil, errMessage
	}
	return out.message(ctx, m, proto.Size(m), func() {}), nil
}

func (g *grpcGuard) runStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	in, _ := ss.Context().Value(arrivalKey{}).(*arrival)
	if in == nil {
		in = &arrival{}
	}
	out := g.outgoing(in.conn)
	defer out.done()
	return g.stream(srv, &guardedStream{ServerStream: ss, out: out, ctx: limit.WithTail(ss.Context(), out.tail)}, info, handler)
}

// guardedStream counts what passes through a stream.
type guardedStream struct {
	grpc.ServerStream
	ctx context.Context
	out *outgoing
}

// Context is that of the stream, with its tail.
func (s *guardedStream) Context() context.Context { return s.ctx }

// RecvMsg says when the request has arrived.
func (s *guardedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	arrived(s.ctx)
	return err
}

// SendMsg counts the message until it is taken, on the call's own account.
func (s *guardedStream) SendMsg(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return errMessage
	}
	size := proto.Size(message)
	free := func() {}
	if hold := s.out.tail.Hold(); hold != nil {
		if hold.Add(int64(size)) != nil {
			return limit.DroppedFault()
		}
		free = func() { hold.Return(int64(size)) }
	}
	c := s.out.message(s.ctx, message, size, free)
	err := s.ServerStream.SendMsg(c)
	if err != nil || s.ctx.Err() != nil {
		c.taken() // grpc-go may have dropped it without a word
	}
	return err
}
