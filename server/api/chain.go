package api

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/authn"
)

// step is one link of the chain: it does its part around next, or refuses.
type step func(ctx context.Context, c *call, next func(context.Context) error) error

// Options are what a Chain is made of; all are needed.
type Options struct {
	Authn     *authn.Authenticator
	Directory *authn.Directory
	Trail     Trail
	Metrics   *Metrics
	Tracer    trace.Tracer
	Limits    Limits
	Validate  func(proto.Message) error
	NewID     func() string
	Now       func() time.Time // the store's clock
	Log       *slog.Logger
}

// Trail is what the chain itself records.
type Trail interface {
	Refuse(ctx context.Context, e audit.Event) error
	BeginAdmin(ctx context.Context, e audit.Event) (audit.Intent, error)
	Finish(i audit.Intent, o audit.Outcome)
}

// Chain runs every RPC, unary or streaming, through the same steps.
type Chain struct {
	o     Options
	table map[string]rule
	steps []step
	// running are the sandboxes' calls, to be cut with their tasks.
	running running
}

// NewChain makes the chain. The order of its steps is here, and only here.
func NewChain(o Options) *Chain {
	c := &Chain{o: o, table: table(), running: running{calls: map[*call]cuttable{}}}
	c.steps = []step{
		c.recovered,   // a panic is an internal error, not the end of the process
		c.traced,      // one span around all of it
		c.measured,    // everything below is logged and counted, refusals too
		c.recovered,   // once more, so that what panicked is logged and counted like all else
		c.bounded,     // everything below ends in time
		c.refusals,    // everything refused below is recorded
		c.admitted,    // the table: an RPC that is not in it is refused
		c.peerLimited, // before authentication: guessing keys is slow
		c.authenticated,
		c.rateLimited, // after it: what a task, a user, a workspace may do, and who is next
		c.accounted,   // what it holds in memory
		c.cut,         // a call ends with its task
		c.validated,   // last of the checks: strangers learn nothing of the schema
		c.recorded,    // administrative acts, before they take effect
	}
	return c
}

// Covers returns an error for a method that the table lacks, for a check at start.
func (c *Chain) Covers(methods []string) error {
	for _, m := range methods {
		if _, ok := c.table[m]; !ok {
			return fmt.Errorf("RPC %s is served but not in the table: nobody could call it", m)
		}
	}
	return nil
}

func (c *Chain) run(ctx context.Context, in *call, handler func(context.Context) error) error {
	in.id, in.began = c.o.NewID(), time.Now()
	next := func(ctx context.Context) error {
		in.entered = true
		return handler(ctx)
	}
	for i := len(c.steps) - 1; i >= 0; i-- {
		s, after := c.steps[i], next
		next = func(ctx context.Context) error { return s(ctx, in, after) }
	}
	return next(withCall(ctx, in))
}

// Unary is the chain as a gRPC interceptor.
func (c *Chain) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	in := &call{method: info.FullMethod, request: req}
	var res any
	err := c.run(ctx, in, func(ctx context.Context) (err error) {
		res, err = handler(ctx, req)
		return err
	})
	if err != nil {
		return nil, toStatus(err, in.id)
	}
	return res, nil
}

// Stream is the chain as a gRPC interceptor.
func (c *Chain) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	in := &call{method: info.FullMethod}
	err := c.run(ss.Context(), in, func(ctx context.Context) error {
		return handler(srv, &checkedStream{ServerStream: ss, ctx: ctx, chain: c, call: in})
	})
	if err != nil {
		return toStatus(err, in.id)
	}
	return nil
}

// checkedStream gives handlers the chain's context, and validates what arrives.
type checkedStream struct {
	grpc.ServerStream
	ctx   context.Context
	chain *Chain
	call  *call
}

func (s *checkedStream) Context() context.Context { return s.ctx }

// RecvMsg validates before the handler sees the message. A refusal here is recorded
// as any other: the handler has not seen anything yet.
func (s *checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.call.request = m
	err := s.call.holdRequest(m)
	if err == nil {
		err = s.chain.valid(m)
	}
	if err != nil {
		s.call.entered = false
	}
	return err
}
