package api

import (
	"context"

	"google.golang.org/grpc"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/broker"
)

type brokerServer struct {
	onedoorv1.UnimplementedBrokerServer
	s Services
}

// intent is the part that Invoke, InvokeStream and Explain share.
type intent interface {
	GetConnector() string
	GetTool() string
	GetArgumentsJson() []byte
}

func callFrom(ctx context.Context, in intent, idempotencyKey string) broker.Call {
	c := callOf(ctx)
	return broker.Call{
		InvocationID: c.id, Caller: c.caller, Grants: c.grants,
		Connector: in.GetConnector(), Tool: in.GetTool(), Arguments: in.GetArgumentsJson(), IdempotencyKey: idempotencyKey,
	}
}

func (b *brokerServer) Invoke(ctx context.Context, in *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
	call := callFrom(ctx, in, in.GetIdempotencyKey())
	answer, err := b.s.Broker.Invoke(ctx, call)
	if err != nil {
		return nil, err
	}
	return &onedoorv1.InvokeResponse{
		InvocationId: call.InvocationID, Status: int32(answer.Status), //nolint:gosec // three digits
		Headers: answer.Headers, ContentType: answer.ContentType, Body: answer.Body,
	}, nil
}

func (b *brokerServer) InvokeStream(in *onedoorv1.InvokeStreamRequest, out grpc.ServerStreamingServer[onedoorv1.InvokeStreamResponse]) error {
	call := callFrom(out.Context(), in, in.GetIdempotencyKey())
	n, err := b.s.Broker.InvokeStream(out.Context(), call, &sink{out: out, id: call.InvocationID})
	if err != nil {
		return err
	}
	return out.Send(&onedoorv1.InvokeStreamResponse{
		Event: &onedoorv1.InvokeStreamResponse_End{End: &onedoorv1.InvokeStreamEnd{BodyBytes: n}},
	})
}

// sink relays a streamed answer as events.
type sink struct {
	out grpc.ServerStreamingServer[onedoorv1.InvokeStreamResponse]
	id  string
}

func (s *sink) Head(status int, headers map[string]string, contentType string) error {
	return s.out.Send(&onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Head{Head: &onedoorv1.InvokeStreamHead{
		InvocationId: s.id, Status: int32(status), Headers: headers, ContentType: contentType, //nolint:gosec // three digits
	}}})
}

func (s *sink) Data(piece []byte) error {
	return s.out.Send(&onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Data{Data: piece}})
}

func (b *brokerServer) ListTools(ctx context.Context, _ *onedoorv1.ListToolsRequest) (*onedoorv1.ListToolsResponse, error) {
	c := callOf(ctx)
	tools, err := b.s.Broker.Tools(ctx, c.caller, c.grants)
	if err != nil {
		return nil, err
	}
	out := &onedoorv1.ListToolsResponse{}
	for _, t := range tools {
		out.Tools = append(out.Tools, toolMessage(t))
	}
	return out, nil
}

func (b *brokerServer) Explain(ctx context.Context, in *onedoorv1.ExplainRequest) (*onedoorv1.ExplainResponse, error) {
	x, err := b.s.Broker.Explain(ctx, callFrom(ctx, in, ""))
	if err != nil {
		return nil, err
	}
	return explanationMessage(x), nil
}

func (b *brokerServer) GetTask(ctx context.Context, _ *onedoorv1.GetTaskRequest) (*onedoorv1.GetTaskResponse, error) {
	c := callOf(ctx)
	return &onedoorv1.GetTaskResponse{Task: taskMessage(c.caller.Task, c.grants.Grants(), b.s.Now())}, nil
}
