package api

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/mint"
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

func (b *brokerServer) Relay(in *onedoorv1.RelayRequest, out grpc.ServerStreamingServer[onedoorv1.RelayResponse]) error {
	c := callOf(out.Context())
	n, err := b.s.Broker.InvokeStream(out.Context(), broker.Call{
		InvocationID: c.id, Caller: c.caller, Grants: c.grants, Connector: in.GetConnector(), IdempotencyKey: in.GetIdempotencyKey(),
		Request: &connector.Request{
			Method: in.GetMethod(), Path: in.GetPath(), Query: in.GetQuery(), ContentType: in.GetContentType(), Body: in.GetBody(),
		},
	}, &relaySink{out: out, id: c.id})
	if err != nil {
		return err
	}
	return out.Send(&onedoorv1.RelayResponse{Event: &onedoorv1.RelayResponse_End{End: &onedoorv1.InvokeStreamEnd{BodyBytes: n}}})
}

// relaySink relays the answer to a request in the provider's own form.
type relaySink struct {
	out grpc.ServerStreamingServer[onedoorv1.RelayResponse]
	id  string
}

func (s *relaySink) Head(status int, headers map[string]string, contentType string) error {
	return s.out.Send(&onedoorv1.RelayResponse{Event: &onedoorv1.RelayResponse_Head{Head: headOf(s.id, status, headers, contentType)}})
}

func (s *relaySink) Data(piece []byte) error {
	return s.out.Send(&onedoorv1.RelayResponse{Event: &onedoorv1.RelayResponse_Data{Data: piece}})
}

func headOf(id string, status int, headers map[string]string, contentType string) *onedoorv1.InvokeStreamHead {
	return &onedoorv1.InvokeStreamHead{
		InvocationId: id, Status: int32(status), Headers: headers, ContentType: contentType, //nolint:gosec // three digits
	}
}

// sink relays a streamed answer as events.
type sink struct {
	out grpc.ServerStreamingServer[onedoorv1.InvokeStreamResponse]
	id  string
}

func (s *sink) Head(status int, headers map[string]string, contentType string) error {
	return s.out.Send(&onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Head{Head: headOf(s.id, status, headers, contentType)}})
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

// DelegateTask is recorded by the chain, before and after.
func (b *brokerServer) DelegateTask(ctx context.Context, in *onedoorv1.DelegateTaskRequest) (*onedoorv1.DelegateTaskResponse, error) {
	c := callOf(ctx)
	made, err := b.s.Mint.Delegate(ctx, &c.caller.Task, c.grants.Grants(), mint.DelegateRequest{
		Agent: in.GetAgent(), Sandbox: in.GetSandbox(), Grants: in.GetGrants(), TTL: in.GetTtl().AsDuration(), Delegates: in.GetDelegates(),
	})
	if err != nil {
		return nil, err
	}
	t := &made.Task
	c.result = delegatedDetail(t)
	return &onedoorv1.DelegateTaskResponse{
		TaskKey: made.Key.Reveal(), TaskId: t.ID, KeyId: t.KeyID, ExpiresAt: timestamppb.New(t.ExpiresAt),
		Task: taskMessage(*t, made.Grants, b.s.Now()),
	}, nil
}

// EndDelegatedTask is recorded by the chain, before and after.
func (b *brokerServer) EndDelegatedTask(ctx context.Context, in *onedoorv1.EndDelegatedTaskRequest) (*onedoorv1.EndDelegatedTaskResponse, error) {
	c := callOf(ctx)
	ended, grants, err := b.s.Mint.EndDelegated(ctx, &c.caller.Task, in.GetTaskId())
	if err != nil {
		return nil, err
	}
	c.result = delegatedDetail(&ended)
	return &onedoorv1.EndDelegatedTaskResponse{Task: taskMessage(ended, grants, b.s.Now())}, nil
}

func (b *brokerServer) GetTask(ctx context.Context, _ *onedoorv1.GetTaskRequest) (*onedoorv1.GetTaskResponse, error) {
	c := callOf(ctx)
	return &onedoorv1.GetTaskResponse{Task: taskMessage(c.caller.Task, c.grants.Grants(), b.s.Now())}, nil
}
