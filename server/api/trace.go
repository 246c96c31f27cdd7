package api

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// traced puts a span around the call. It begins a trace of its own: a sandbox's
// traceparent is not believed. Attributes are ids and names; never an argument, a
// resource, a header or the text of an error.
func (c *Chain) traced(ctx context.Context, in *call, next func(context.Context) error) error {
	ctx, span := c.o.Tracer.Start(ctx, rpcName(in.method), trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	err := next(ctx)
	if !span.IsRecording() {
		return err
	}
	span.SetAttributes(
		attribute.String("rpc.system", "grpc"), attribute.String("onedoor.invocation_id", in.id),
		attribute.String("onedoor.spiffe_id", in.peer.ID.String()),
	)
	if in.caller != nil {
		span.SetAttributes(attribute.String("onedoor.task_id", in.caller.Task.ID), attribute.String("onedoor.workspace", in.caller.Task.Workspace))
	}
	if err != nil {
		reason := reasonName(err)
		span.SetAttributes(attribute.String("onedoor.reason", reason))
		span.SetStatus(codes.Error, reason)
	}
	return err
}
