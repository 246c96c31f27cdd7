package api

import (
	"context"
	"errors"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/limit"
)

// Limits keep the API for everybody; all are needed.
type Limits struct {
	// Failures are the failed authentications by peer.
	Failures *limit.Failures
	// Gate lets the calls in: by task, user, workspace and broker, or by workload.
	Gate *limit.Gate
	// Budget bounds what requests and answers take of the memory.
	Budget *limit.Budget
}

// peerLimited refuses a peer that failed to authenticate too often of late. Many may be
// behind an address: whoever comes from a blocked one with a JWT-SVID that is good has
// nothing to do with those who have none, and is counted by that.
func (c *Chain) peerLimited(ctx context.Context, in *call, next func(context.Context) error) error {
	name, certified := limitName(ctx)
	in.limitedAs = name
	if !certified {
		if in.peer, in.workloadErr = c.o.Authn.Workload(ctx); in.workloadErr == nil {
			in.limitedAs = in.peer.ID.String()
		}
		in.workloadKnown = true
	}
	if wait := c.o.Limits.Failures.Blocked(in.limitedAs); wait > 0 {
		return limit.PeerFault(wait)
	}
	return next(ctx)
}

// rateLimited lets a call in, or has it wait for a shared place. What is refused further
// in, because the connector has no place, has cost nobody anything.
func (c *Chain) rateLimited(ctx context.Context, in *call, next func(context.Context) error) error {
	pass, err := c.enter(ctx, in)
	if err != nil {
		return err
	}
	defer pass.Leave()
	if err = next(ctx); fault.Is(err, fault.RateLimited) {
		pass.Undo()
	}
	return err
}

func (c *Chain) enter(ctx context.Context, in *call) (pass *limit.Pass, err error) {
	if in.caller == nil {
		pass, err = c.o.Limits.Gate.Enter(ctx, limit.Key{Scope: limit.Workload, Name: in.peer.ID.String()})
	} else {
		t := &in.caller.Task // its root's share is that of its tree: delegating must not multiply it
		pass, err = c.o.Limits.Gate.Enter(ctx,
			limit.Key{Scope: limit.Task, Workspace: t.Workspace, Name: t.RootID},
			limit.Key{Scope: limit.User, Workspace: t.Workspace, Name: t.User.ID},
			limit.Key{Scope: limit.Workspace, Workspace: t.Workspace},
			limit.Key{Scope: limit.Broker},
		)
	}
	var refused *limit.Refusal
	if errors.As(err, &refused) {
		return nil, refused.Fault()
	}
	return pass, err
}

// accounted counts what the call holds in memory: its request here, and its answer by
// whoever keeps it.
func (c *Chain) accounted(ctx context.Context, in *call, next func(context.Context) error) error {
	workspace, name := in.who.Workspace, in.peer.ID.String()
	if in.caller != nil {
		workspace, name = in.caller.Task.Workspace, in.caller.Task.RootID
	}
	ctx, hold, end := c.o.Limits.Budget.Account(ctx, workspace, name)
	defer end()
	in.hold = hold
	if err := in.holdRequest(in.request); err != nil {
		return err
	}
	limit.TailOf(ctx).Entered()
	return next(ctx)
}

// holdRequest counts a request as soon as it is there.
func (in *call) holdRequest(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	if err := in.hold.Add(int64(proto.Size(message))); err != nil {
		return limit.RoomFault()
	}
	return nil
}

// limitName is who is counted: the SPIFFE ID that the TLS peer proved, since sandboxes
// behind one address must not block each other; else the address without its port.
func limitName(ctx context.Context) (name string, certified bool) {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return "", false
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
		if uris := info.State.PeerCertificates[0].URIs; len(uris) == 1 {
			return uris[0].String(), true
		}
	}
	return limit.PeerOf(p.Addr.String()), false
}
