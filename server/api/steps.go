package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
)

// recovered turns a panic into an internal error. The panic's value may hold anything,
// so only its type is logged, with the stack.
func (c *Chain) recovered(ctx context.Context, in *call, next func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.o.Log.Error("panic", "invocation_id", in.id, "method", in.method, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "internal error", errors.New("panic"))
		}
	}()
	return next(ctx)
}

// measured logs and counts what came of the call. Messages are never logged: they may
// hold secrets. The cause of a failure goes here and nowhere else.
func (c *Chain) measured(ctx context.Context, in *call, next func(context.Context) error) error {
	done := c.o.Metrics.begin(in.method)
	err := next(ctx)
	code, reason := codeOf(toStatus(err, in.id)), reasonName(err)
	done(code, reason)
	c.o.Metrics.refused(err)
	if err != nil || c.o.Log.Enabled(ctx, slog.LevelDebug) {
		c.logged(in, err, code, reason)
	}
	return err
}

func (c *Chain) logged(in *call, err error, code, reason string) {
	attrs := []any{
		"invocation_id", in.id, "method", in.method, "spiffe_id", in.peer.ID.String(), "peer", in.peer.Address,
		"code", code, "reason", reason, "duration", time.Since(in.began),
	}
	if in.caller != nil {
		attrs = append(attrs, "task_id", in.caller.Task.ID, "key_id", in.caller.Task.KeyID)
	}
	var left *egress.Error
	if errors.As(err, &left) && left.Proxy != "" {
		attrs = append(attrs, "proxy", left.Proxy)
	}
	switch cause := errors.Unwrap(fault.From(err)); {
	case err == nil:
		c.o.Log.Debug("call", attrs...)
	case reason == string(fault.Internal) || cause != nil:
		c.o.Log.Warn("call failed", append(attrs, "error", err, "cause", cause)...)
	default:
		c.o.Log.Info("call refused", append(attrs, "error", err)...)
	}
}

// reasonName is the reason of an error as it is logged, counted and traced.
func reasonName(err error) string {
	if err == nil {
		return ""
	}
	return string(fault.From(err).Reason)
}

// bounded gives the RPC its deadline.
func (c *Chain) bounded(ctx context.Context, in *call, next func(context.Context) error) error {
	if d := c.table[in.method].deadline; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	return next(ctx)
}

// refusals records what is refused here, and what the handlers of roles refuse. What a
// handler of sandboxes refuses, the broker has recorded with all that it knew, and an
// administrative act has an outcome of its own.
func (c *Chain) refusals(ctx context.Context, in *call, next func(context.Context) error) error {
	err := next(ctx)
	if err == nil || in.entered && (in.rule.sandbox || in.rule.acts) {
		return err
	}
	if rerr := c.o.Trail.Refuse(ctx, c.refusal(in, err)); rerr != nil {
		c.o.Log.Error("refusal not recorded", "invocation_id", in.id, "error", rerr)
	}
	return err
}

// KeyTheft is the reason in the trail of a key under another SPIFFE ID; outside it is
// TASK_KEY_INVALID like any other wrong key.
const KeyTheft = "KEY_THEFT"

func (c *Chain) refusal(in *call, err error) audit.Event {
	e := audit.Event{Workspace: in.who.Workspace}
	if in.session != nil {
		e = audit.CallerEvent(&task.Caller{Task: in.session.Task})
	} else if e.Workspace == "" && !in.peer.ID.IsZero() {
		e.Workspace = c.o.Directory.WorkspaceOf(in.peer.ID)
	}
	if !in.peer.ID.IsZero() {
		e.SPIFFEID = in.peer.ID.String()
	} else {
		e.SPIFFEID = ""
	}
	e.InvocationID, e.AuthMethod, e.Peer = in.id, in.peer.Method, in.peer.Address
	e.Reason = string(fault.From(err).Reason)
	if errors.Is(err, authn.ErrKeyTheft) {
		e.Reason = KeyTheft
	}
	e.Tool = rpcName(in.method)
	if named, ok := in.request.(interface {
		GetConnector() string
		GetTool() string
	}); ok {
		e.Connector, e.Tool = clipped(named.GetConnector()), clipped(named.GetTool())
	}
	return e
}

// longestName is how much of a name is recorded: the longest that is valid.
const longestName = 128

// clipped keeps a stranger's names, which nobody has validated yet, from filling the
// trail.
func clipped(name string) string {
	if len(name) <= longestName {
		return name
	}
	return name[:longestName]
}

// rpcName is how the trail names an RPC: Tasks.Create.
func rpcName(method string) string {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return service[strings.LastIndexByte(service, '.')+1:] + "." + name
}

// admitted looks the RPC up in the table.
func (c *Chain) admitted(ctx context.Context, in *call, next func(context.Context) error) error {
	in.peer.Address = authn.Address(ctx)
	r, ok := c.table[in.method]
	if !ok {
		return fault.New(fault.CallerNotAllowed, "no such RPC", nil).With("mend", "version")
	}
	in.rule = r
	return next(ctx)
}

// authenticated establishes who calls and whether the table lets them.
func (c *Chain) authenticated(ctx context.Context, in *call, next func(context.Context) error) error {
	err := c.authenticate(ctx, in)
	if isGuess(err) {
		c.o.Limits.Failures.Failed(in.limitedAs)
	}
	if err != nil {
		return err
	}
	return next(ctx)
}

// isGuess: only what proved nothing counts against a peer. A sandbox that goes on with
// the key of a task that has ended must not lock itself out of its next task.
func isGuess(err error) bool {
	if err == nil {
		return false
	}
	switch fault.From(err).Reason {
	case fault.TaskKeyInvalid, fault.SVIDMissing, fault.SVIDInvalid, fault.CallerNotAllowed:
		return true
	}
	return false
}

func (c *Chain) authenticate(ctx context.Context, in *call) error {
	if !in.workloadKnown {
		in.peer, in.workloadErr = c.o.Authn.Workload(ctx)
	}
	if in.workloadErr != nil {
		return in.workloadErr
	}
	switch {
	case in.rule.anyWorkload:
		return nil
	case in.rule.sandbox:
		return c.authenticateTask(ctx, in)
	}
	workspace := ""
	if r, ok := in.request.(interface{ GetWorkspace() string }); ok {
		workspace = r.GetWorkspace()
	}
	var err error
	in.who, err = c.o.Directory.Resolve(in.peer.ID, workspace, in.rule.roles...)
	return err
}

func (c *Chain) authenticateTask(ctx context.Context, in *call) error {
	key, err := bearerKey(ctx)
	if err != nil {
		return err
	}
	in.session, err = c.o.Authn.Task(ctx, in.peer, key)
	if err != nil {
		return err
	}
	in.caller = &task.Caller{Workload: in.peer.ID, AuthMethod: in.peer.Method, Peer: in.peer.Address, Task: in.session.Task}
	in.grants = in.session.Grants
	return nil
}

// bearerKey reads the task key from the one place where it may stand.
func bearerKey(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) == 1 {
		if scheme, key, ok := strings.Cut(values[0], " "); ok && strings.EqualFold(scheme, "bearer") {
			return key, nil
		}
	}
	return "", fault.New(fault.TaskKeyInvalid, "no task key: send `authorization: Bearer KEY` exactly once", nil)
}

// validated checks a unary request; a stream's is checked as it arrives.
func (c *Chain) validated(ctx context.Context, in *call, next func(context.Context) error) error {
	if in.request != nil {
		if err := c.valid(in.request); err != nil {
			return err
		}
	}
	return next(ctx)
}

func (c *Chain) valid(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return nil // reflection's own messages come through its own service
	}
	return c.o.Validate(message)
}

// recorded writes down an administrative act before it takes effect, and how it ended.
func (c *Chain) recorded(ctx context.Context, in *call, next func(context.Context) error) error {
	if !in.rule.acts {
		return next(ctx)
	}
	e := audit.Event{Workspace: in.who.Workspace}
	if in.caller != nil { // an act of a task: it delegates, or ends what it delegated
		e = audit.CallerEvent(in.caller)
	}
	e.InvocationID, e.SPIFFEID, e.AuthMethod, e.Peer = in.id, in.peer.ID.String(), in.peer.Method, in.peer.Address
	e.Tool, e.Resources = rpcName(in.method), targets(in.request)
	intent, err := c.o.Trail.BeginAdmin(ctx, e)
	if err != nil {
		return err
	}
	outcome := audit.Outcome{Result: audit.Failed, Reason: string(fault.Internal)}
	defer func() { c.o.Trail.Finish(intent, outcome) }()
	err = next(ctx)
	if err != nil {
		outcome.Reason = string(fault.From(err).Reason)
		return err
	}
	outcome = audit.Outcome{Result: audit.OK, Detail: in.result.text()}
	return nil
}
