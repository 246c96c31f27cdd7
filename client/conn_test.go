package client_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func head() *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Head{
		Head: &onedoorv1.InvokeStreamHead{InvocationId: "i1", Status: 200, ContentType: "text/plain"},
	}}
}

func data(s string) *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Data{Data: []byte(s)}}
}

func end(n int64) *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_End{End: &onedoorv1.InvokeStreamEnd{BodyBytes: n}}}
}

func sendAll(stream grpc.ServerStream, events ...*onedoorv1.InvokeStreamResponse) error {
	for _, event := range events {
		if err := stream.SendMsg(event); err != nil {
			return err
		}
	}
	return nil
}

func TestRotation(t *testing.T) {
	proceed, left := make(chan struct{}), make(chan error, 1)
	broker := &brokertest.Broker{
		Answer: always(&onedoorv1.GetTaskResponse{}, nil),
		Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
			if err := sendAll(stream, head(), data("before ")); err != nil {
				return err
			}
			<-proceed
			err := sendAll(stream, data("after"), end(12))
			left <- err
			return err
		},
	}
	r := newRig(t, broker)
	stream, err := r.client.InvokeStream(t.Context(), "crm", "contacts.export", nil)
	require.NoError(t, err)
	_, err = r.client.Task(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.source.Rotate())
	for range 3 {
		_, err = r.client.Task(t.Context())
		require.NoError(t, err)
	}
	gone := make(chan struct{})
	broker.OnDisconnect(func() { close(gone) })
	close(proceed)
	var body string
	for piece, err := range stream.Data() {
		require.NoError(t, err)
		body += string(piece)
	}
	require.Equal(t, "before after", body, "the stream on the old connection ends undisturbed")
	require.NoError(t, <-left)
	requireClosed(t, gone)

	calls := broker.Calls()
	require.Equal(t, calls[0].Peer, calls[1].Peer, "one connection before the rotation")
	require.NotEqual(t, calls[1].Peer, calls[2].Peer, "another one after")
	require.NotEqual(t, calls[1].Serial, calls[2].Serial, "with the new SVID")
	require.Equal(t, calls[2].Peer, calls[4].Peer, "and only one")
}

// requireClosed waits until a drained connection is gone.
func requireClosed(t *testing.T, gone <-chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Fatal("the old connection stayed open")
	}
}

func TestRotatedConnectionIsClosedWhenDrained(t *testing.T) {
	gone := make(chan struct{})
	broker := &brokertest.Broker{Answer: always(&onedoorv1.GetTaskResponse{}, nil)}
	r := newRig(t, broker)
	broker.OnDisconnect(func() { close(gone) })
	_, err := r.client.Task(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.source.Rotate())
	_, err = r.client.Task(t.Context())
	require.NoError(t, err)
	requireClosed(t, gone)
	_, err = r.client.Task(t.Context())
	require.NoError(t, err, "the new one stays")
}

func TestExpiredSVIDIsTriedOnceOnAFreshConnection(t *testing.T) {
	expired := brokertest.Refusal(codes.Unauthenticated, "SVID_EXPIRED", "open a new connection", 0)
	t.Run("unary", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{Answer: func(_ context.Context, n int, _ brokertest.Call) (any, error) {
			if n == 1 {
				return nil, expired
			}
			return &onedoorv1.InvokeResponse{InvocationId: "i1"}, nil
		}})
		_, err := r.client.Invoke(t.Context(), "crm", "contacts.get", nil)
		require.NoError(t, err)
		calls := r.broker.Calls()
		require.Len(t, calls, 2)
		require.NotEqual(t, calls[0].Peer, calls[1].Peer)
		require.Equal(t, key(calls[0]), key(calls[1]), "nothing happened, so the key is unused")
	})
	t.Run("stream", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{Stream: func(n int, _ brokertest.Call, stream grpc.ServerStream) error {
			if n == 1 {
				return expired
			}
			return sendAll(stream, head(), end(0))
		}})
		stream, err := r.client.InvokeStream(t.Context(), "crm", "contacts.get", nil)
		require.NoError(t, err)
		stream.Close()
		calls := r.broker.Calls()
		require.Len(t, calls, 2)
		require.NotEqual(t, calls[0].Peer, calls[1].Peer)
	})
	t.Run("stubs too, and once only", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{Answer: always(nil, expired)})
		_, err := r.client.Audit().List(t.Context(), &onedoorv1.AuditListRequest{})
		require.ErrorIs(t, err, client.SVIDExpired)
		require.Len(t, r.broker.Calls(), 2)
	})
}

func TestManyCallsAcrossRotations(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.GetTaskResponse{}, nil)})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 50 {
				if _, err := r.client.Task(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		require.NoError(t, r.source.Rotate())
		time.Sleep(5 * time.Millisecond)
	}
	callers.Wait()
}

// key gives the idempotency key of a call.
func key(call brokertest.Call) string {
	return call.Request.(interface{ GetIdempotencyKey() string }).GetIdempotencyKey()
}
