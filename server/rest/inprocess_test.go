package rest_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

type secretKey struct{}

func TestInvokeCrossesOnlyWhatAWireCarries(t *testing.T) {
	want := &peer.Peer{AuthInfo: credentials.TLSInfo{}}
	ctx := context.WithValue(t.Context(), secretKey{}, "not for handlers")
	ctx = peer.NewContext(ctx, want)
	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs("authorization", "Bearer K"))
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	deadline, _ := ctx.Deadline()

	conn, chain := connect(t, &broker{invoke: func(ctx context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		require.Equal(t, metadata.MD{"authorization": {"Bearer K"}}, incoming(ctx))
		_, outgoing := metadata.FromOutgoingContext(ctx)
		require.False(t, outgoing, "a handler's own calls must not carry the caller's key")
		require.Nil(t, ctx.Value(secretKey{}))
		p, _ := peer.FromContext(ctx)
		require.Same(t, want, p)
		got, _ := ctx.Deadline()
		require.Equal(t, deadline, got)
		method, _ := grpc.Method(ctx)
		require.Equal(t, onedoorv1.Broker_Invoke_FullMethodName, method)
		require.NoError(t, grpc.SetHeader(ctx, metadata.Pairs("h", "1")))
		require.NoError(t, grpc.SendHeader(ctx, metadata.Pairs("h", "2")))
		require.Error(t, grpc.SetHeader(ctx, metadata.Pairs("h", "3")))
		require.NoError(t, grpc.SetTrailer(ctx, metadata.Pairs("t", "1")))
		return &onedoorv1.InvokeResponse{InvocationId: r.GetTool()}, nil
	}})
	var header, trailer metadata.MD
	got, err := onedoorv1.NewBrokerClient(conn).Invoke(ctx, &onedoorv1.InvokeRequest{Tool: "t"}, grpc.Header(&header), grpc.Trailer(&trailer))
	require.NoError(t, err)
	require.Equal(t, "t", got.GetInvocationId())
	require.Equal(t, metadata.MD{"h": {"1", "2"}}, header)
	require.Equal(t, metadata.MD{"t": {"1"}}, trailer)
	require.Equal(t, []string{onedoorv1.Broker_Invoke_FullMethodName}, chain.methods)
}

func TestMessagesAreCopied(t *testing.T) {
	request := &onedoorv1.InvokeRequest{ArgumentsJson: []byte("{}")}
	kept := &onedoorv1.InvokeResponse{Body: []byte("body"), Headers: map[string]string{"a": "b"}}
	conn, _ := connect(t, &broker{invoke: func(_ context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		r.ArgumentsJson[0] = 'X'
		return kept, nil
	}})
	got := &onedoorv1.InvokeResponse{Status: 500, Body: []byte("from before")}
	require.NoError(t, conn.Invoke(t.Context(), onedoorv1.Broker_Invoke_FullMethodName, request, got))
	require.True(t, proto.Equal(kept, got), "nothing of the reply's old content is left")
	got.Body[0], got.Headers["a"] = 'X', "X"
	require.Equal(t, "{}", string(request.GetArgumentsJson()))
	require.Equal(t, "body", string(kept.GetBody()))
	require.Equal(t, "b", kept.GetHeaders()["a"])
}

func TestAStreamsRequestIsCopiedWhenSent(t *testing.T) {
	changed := make(chan struct{})
	got := make(chan string, 1)
	conn := rest.NewInProcess(
		func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, nil },
		func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			<-changed
			return next(srv, s)
		})
	onedoorv1.RegisterBrokerServer(conn, &broker{stream: func(r *onedoorv1.InvokeStreamRequest, _ events) error {
		got <- string(r.GetArgumentsJson())
		return nil
	}})
	request := &onedoorv1.InvokeStreamRequest{ArgumentsJson: []byte("{}")}
	_, err := onedoorv1.NewBrokerClient(conn).InvokeStream(t.Context(), request)
	require.NoError(t, err)
	request.ArgumentsJson[0] = 'X'
	close(changed)
	require.Equal(t, "{}", <-got)
	conn.Wait()
}

func TestInvokeErrors(t *testing.T) {
	detailed, err := status.New(codes.PermissionDenied, "no grant").WithDetails(&errdetails.ErrorInfo{Reason: "GRANT_MISSING"})
	require.NoError(t, err)
	cases := map[string]struct {
		handler func() (*onedoorv1.InvokeResponse, error)
		want    *status.Status
	}{
		"a status comes back unchanged": {
			func() (*onedoorv1.InvokeResponse, error) { return nil, detailed.Err() }, detailed},
		"an error without a status says nothing": {
			func() (*onedoorv1.InvokeResponse, error) { return nil, errors.New("password=hunter2") },
			status.New(codes.Internal, "internal error")},
		"a panic says nothing": {
			func() (*onedoorv1.InvokeResponse, error) { panic("password=hunter2") },
			status.New(codes.Internal, "internal error")},
		"no answer and no error": {
			func() (*onedoorv1.InvokeResponse, error) { return nil, nil },
			status.New(codes.Internal, "internal error")},
		"a context's end": {
			func() (*onedoorv1.InvokeResponse, error) { return nil, context.DeadlineExceeded },
			status.New(codes.DeadlineExceeded, "context deadline exceeded")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, &broker{invoke: func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
				return c.handler()
			}})
			_, err := onedoorv1.NewBrokerClient(conn).Invoke(t.Context(), &onedoorv1.InvokeRequest{})
			require.True(t, proto.Equal(c.want.Proto(), status.Convert(err).Proto()), "%v", err)
		})
	}
}

func TestInvokeHonoursTheContext(t *testing.T) {
	wait := &broker{invoke: func(ctx context.Context, _ *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	t.Run("deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, _ := connect(t, wait)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := onedoorv1.NewBrokerClient(conn).Invoke(ctx, &onedoorv1.InvokeRequest{})
			require.Equal(t, codes.DeadlineExceeded, status.Code(err))
		})
	})
	t.Run("cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, _ := connect(t, wait)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := onedoorv1.NewBrokerClient(conn).Invoke(ctx, &onedoorv1.InvokeRequest{})
			require.Equal(t, codes.Canceled, status.Code(err))
		})
	})
	t.Run("ended before", func(t *testing.T) {
		conn, chain := connect(t, wait)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := onedoorv1.NewBrokerClient(conn).Invoke(ctx, &onedoorv1.InvokeRequest{})
		require.Equal(t, codes.Canceled, status.Code(err))
		require.Empty(t, chain.methods)
	})
}

func TestNothingPassesTheChain(t *testing.T) {
	no := status.Error(codes.Unauthenticated, "no")
	conn := rest.NewInProcess(
		func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, no },
		func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error { return no })
	onedoorv1.RegisterBrokerServer(conn, &broker{})
	client := onedoorv1.NewBrokerClient(conn)

	_, err := client.Invoke(t.Context(), &onedoorv1.InvokeRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	stream, err := client.InvokeStream(t.Context(), &onedoorv1.InvokeStreamRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	conn.Wait()
}

func TestUnknownMethodsAreRefused(t *testing.T) {
	conn, _ := connect(t, &broker{})
	for _, method := range []string{"", "/", "/onedoor.v1.Broker/Nothing", onedoorv1.Tasks_Create_FullMethodName, onedoorv1.Broker_InvokeStream_FullMethodName} {
		err := conn.Invoke(t.Context(), method, &onedoorv1.InvokeRequest{}, &onedoorv1.InvokeResponse{})
		require.Equal(t, codes.Unimplemented, status.Code(err), method)
	}
	for _, method := range []string{"", onedoorv1.Broker_Invoke_FullMethodName} {
		_, err := conn.NewStream(t.Context(), &grpc.StreamDesc{}, method)
		require.Equal(t, codes.Unimplemented, status.Code(err), method)
	}
}

func TestMessagesOfAnotherTypeAreRefused(t *testing.T) {
	conn, _ := connect(t, &broker{})
	for name, c := range map[string]struct{ request, answer any }{
		"request":      {&onedoorv1.ExplainRequest{}, &onedoorv1.InvokeResponse{}},
		"answer":       {&onedoorv1.InvokeRequest{}, &onedoorv1.ExplainResponse{}},
		"no message":   {"text", &onedoorv1.InvokeResponse{}},
		"nil request":  {(*onedoorv1.InvokeRequest)(nil), &onedoorv1.InvokeResponse{}},
		"no reply":     {&onedoorv1.InvokeRequest{}, nil},
		"nil of a nil": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := conn.Invoke(t.Context(), onedoorv1.Broker_Invoke_FullMethodName, c.request, c.answer)
			require.Equal(t, codes.Internal, status.Code(err))
		})
	}
}

func TestRegisteringFailsLoudly(t *testing.T) {
	conn, chain := connect(t, &broker{})
	require.Panics(t, func() { onedoorv1.RegisterBrokerServer(conn, &broker{}) }, "twice")
	require.Panics(t, func() { conn.RegisterService(&onedoorv1.Tasks_ServiceDesc, &broker{}) }, "wrong type")
	require.Panics(t, func() { conn.RegisterService(&onedoorv1.Tasks_ServiceDesc, nil) }, "nil")
	require.Panics(t, func() { rest.NewInProcess(nil, chain.stream) }, "no unary chain")
	require.Panics(t, func() { rest.NewInProcess(chain.unary, nil) }, "no stream chain")
}

func TestStream(t *testing.T) {
	conn, chain := connect(t, &broker{stream: func(r *onedoorv1.InvokeStreamRequest, s events) error {
		require.Equal(t, "t", r.GetTool())
		require.ErrorIs(t, s.RecvMsg(r), io.EOF)
		require.NoError(t, s.SetHeader(metadata.Pairs("h", "1")))
		chunk := []byte("a")
		for range 3 {
			require.NoError(t, s.Send(&onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Data{Data: chunk}}))
			chunk[0]++ // what was sent must not change
		}
		require.Error(t, s.SendHeader(nil), "sent with the first event")
		s.SetTrailer(metadata.Pairs("t", "1"))
		return status.Error(codes.Aborted, "enough")
	}})
	stream, err := onedoorv1.NewBrokerClient(conn).InvokeStream(t.Context(), &onedoorv1.InvokeStreamRequest{Tool: "t"})
	require.NoError(t, err)
	header, err := stream.Header()
	require.NoError(t, err)
	require.Equal(t, metadata.MD{"h": {"1"}}, header)
	var got []string
	var events []*onedoorv1.InvokeStreamResponse
	for {
		var event *onedoorv1.InvokeStreamResponse
		if event, err = stream.Recv(); err != nil {
			break
		}
		events = append(events, event)
	}
	for _, event := range events {
		got = append(got, string(event.GetData()))
	}
	require.Equal(t, []string{"a", "b", "c"}, got)
	require.Equal(t, codes.Aborted, status.Code(err))
	require.Equal(t, metadata.MD{"t": {"1"}}, stream.Trailer())
	require.Equal(t, []string{onedoorv1.Broker_InvokeStream_FullMethodName}, chain.methods)
	_, err = stream.Recv()
	require.Equal(t, codes.Aborted, status.Code(err), "the end is the end")
}

func TestStreamEnds(t *testing.T) {
	cases := map[string]struct {
		handler func(events) error
		check   func(*testing.T, error)
	}{
		"well":      {func(events) error { return nil }, func(t *testing.T, err error) { require.Equal(t, io.EOF, err) }},
		"by panic":  {func(events) error { panic("password") }, internalError},
		"by error":  {func(events) error { return errors.New("password") }, internalError},
		"after nil": {func(s events) error { return s.Send(nil) }, internalError},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, &broker{stream: func(_ *onedoorv1.InvokeStreamRequest, s events) error { return c.handler(s) }})
			stream, err := onedoorv1.NewBrokerClient(conn).InvokeStream(t.Context(), &onedoorv1.InvokeStreamRequest{})
			require.NoError(t, err)
			header, err := stream.Header()
			require.NoError(t, err)
			require.Empty(t, header)
			_, err = stream.Recv()
			c.check(t, err)
		})
	}
}

func internalError(t *testing.T, err error) {
	require.Equal(t, "rpc error: code = Internal desc = internal error", err.Error())
}

func TestStreamStopsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn, _ := connect(t, &broker{stream: func(_ *onedoorv1.InvokeStreamRequest, s events) error {
			for {
				if err := s.Send(&onedoorv1.InvokeStreamResponse{}); err != nil {
					ended <- err
					return err
				}
			}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := onedoorv1.NewBrokerClient(conn).InvokeStream(ctx, &onedoorv1.InvokeStreamRequest{})
		require.NoError(t, err)
		_, err = stream.Recv()
		require.NoError(t, err)
		synctest.Wait()
		require.Empty(t, ended, "the handler waits for its reader")
		cancel()
		conn.Wait()
		require.Equal(t, codes.Canceled, status.Code(<-ended))
		_, err = stream.Recv()
		require.Equal(t, codes.Canceled, status.Code(err))
	})
}
