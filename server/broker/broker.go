package broker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/limit"
	"github.com/onedoor/onedoor/server/model"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/upstream"
)

// Connectors gives the connector revision on which a task runs.
type Connectors interface {
	Connector(ctx context.Context, workspace, name string, revision int64) (*connector.Connector, error)
}

// Credentials finds what a call needs, and attaches it to a recorded call.
type Credentials interface {
	Find(ctx context.Context, c *connector.Connector, userID string) ([]credential.Record, error)
	Attach(ctx context.Context, i audit.Intent, caller *task.Caller, b *connector.Bound, records []credential.Record) (credential.Attached, error)
	Doubt(records []credential.Record)
}

// Assertions says of the user, in a recorded call, what its connector asks for.
type Assertions interface {
	Ready(c *connector.Connector) error
	Mint(ctx context.Context, i audit.Intent, caller *task.Caller, bound *connector.Bound, shown egress.Certificate) (assertion.Assertion, error)
}

// Trail records calls and refusals.
type Trail interface {
	Begin(ctx context.Context, c audit.Call) (audit.Intent, error)
	Settle(ctx context.Context, i audit.Intent, used grant.Limits) error
	Finish(i audit.Intent, o audit.Outcome)
	Refuse(ctx context.Context, e audit.Event) error
}

// Upstream runs a bound call.
type Upstream interface {
	Do(ctx context.Context, i audit.Intent, c upstream.Call) (*upstream.Answer, error)
}

// Options are what a Broker is made of. All are needed but Identity, without which calls
// of connectors that want it fail.
type Options struct {
	Connectors  Connectors
	Credentials Credentials
	Assertions  Assertions
	Identity    Identity
	Trail       Trail
	// Upstreams by the kind of connector.
	Upstreams map[string]Upstream
	// Gate lets calls in by connector.
	Gate *limit.Gate
	// Budget bounds what is held of answers whose caller has no account.
	Budget *limit.Budget
	Now    func() time.Time // the store's clock
	Log    *slog.Logger
}

// Broker makes calls for sandboxes.
type Broker struct{ o Options }

// New makes a Broker.
func New(o Options) *Broker { return &Broker{o} }

// Call is a sandbox's intent: who calls, and what for. It names no host and no
// credential.
type Call struct {
	// InvocationID is given by the transport, so that its log has it too.
	InvocationID   string
	Caller         *task.Caller
	Grants         *grant.Set
	Connector      string
	Tool           string // its name, or its function name
	Arguments      []byte // JSON text
	IdempotencyKey string
	// Request stands in place of Tool and Arguments, which are then taken from it.
	Request *connector.Request
}

// Answer is the upstream's whole answer.
type Answer struct {
	Status      int
	Headers     map[string]string
	ContentType string
	Body        []byte
}

// Invoke makes one call and returns its whole answer.
func (b *Broker) Invoke(ctx context.Context, c Call) (*Answer, error) {
	s, err := b.start(ctx, c, false)
	if err != nil {
		return nil, err
	}
	var answer *Answer
	ctx, stop := b.until(ctx, s.end)
	err = s.run(ctx, func() (used grant.Limits, err error) {
		answer, used, err = s.whole(ctx)
		return used, err
	})
	return answer, stop(err)
}

// Sink takes a streamed answer: one Head, then Data as it arrives. An error from it
// ends the call.
type Sink interface {
	Head(status int, headers map[string]string, contentType string) error
	Data(piece []byte) error
}

// InvokeStream makes one call and relays its answer as it arrives, or when it is whole
// where the call is a request in the upstream's own form and its rows are counted. It
// returns the number of bytes relayed.
func (b *Broker) InvokeStream(ctx context.Context, c Call, sink Sink) (int64, error) {
	s, err := b.start(ctx, c, true)
	if err != nil {
		return 0, err
	}
	var n int64
	ctx, stop := b.until(ctx, s.end)
	err = s.run(ctx, func() (grant.Limits, error) {
		if !s.stream {
			n, err = s.counted(ctx, sink)
			return grant.Limits{}, err
		}
		n, err = s.relay(ctx, sink)
		return grant.Limits{Bytes: n}, err
	})
	return n, stop(err)
}

// decided is a call that was judged and found allowed; nothing is recorded yet.
type decided struct {
	bound    *connector.Bound
	decision grant.Decision
	records  []credential.Record
	model    *model.Call // nil for what is no model API
}

// start takes a call to its recorded intent: steps a to c.
func (b *Broker) start(ctx context.Context, c Call, stream bool) (*sent, error) {
	d, err := decided{}, b.match(ctx, &c)
	if err == nil {
		d, err = b.decide(ctx, c)
	}
	if rows := err == nil && d.decision.Grant.Limits.Rows > 0; rows && stream && c.Request != nil {
		stream = false // the caller sees no difference, so the answer may be counted first
	} else if rows && stream {
		err = fault.New(fault.LimitReached, "the grant limits rows, which cannot be counted in a stream: use Invoke", nil).With("limit", "rows")
	}
	if err == nil {
		err = d.attribute(c.Caller)
	}
	var pass *limit.Pass
	if err == nil {
		pass, err = b.enter(ctx, c)
	}
	if err != nil {
		return nil, b.refuse(ctx, c, d, err)
	}
	intent, err := b.o.Trail.Begin(ctx, auditCall(c, d, stream))
	if err != nil {
		pass.Leave()
		if errors.Is(err, audit.ErrFinished) {
			return nil, err // its rows say it
		}
		return nil, b.refuse(ctx, c, d, err)
	}
	return &sent{
		b: b, intent: intent, pass: pass, caller: c.Caller, bound: d.bound, records: d.records, model: d.model, stream: stream,
		end: d.decision.Grant.ExpiresAt,
	}, nil
}

// decide is steps a and b: what the call is, whether it is granted, and whether what
// it needs is there. It has no effect. What it returns beside an error is what was
// known by then.
func (b *Broker) decide(ctx context.Context, c Call) (decided, error) {
	pinned := c.Grants.Pinned(c.Connector, c.Tool)
	if !pinned.Held {
		// Said before it is looked up: whoever holds nothing there learns nothing.
		return decided{}, notGranted(c)
	}
	conn, err := b.o.Connectors.Connector(ctx, c.Caller.Task.Workspace, c.Connector, pinned.Revision)
	if err != nil {
		return decided{}, err
	}
	if _, exists := conn.Tool(c.Tool); exists && !pinned.Named {
		return decided{}, notGranted(c)
	}
	bound, err := conn.Bind(c.Tool, c.Arguments)
	if err != nil {
		return decided{}, err
	}
	d := decided{bound: bound}
	d.decision = c.Grants.Evaluate(grant.Request{
		Connector: c.Connector, Tool: c.Tool, Severity: bound.Severity, Resources: bound.Resources, Now: b.o.Now(),
	})
	if !d.decision.Allowed {
		return d, refusal(d.decision)
	}
	if d.records, err = b.o.Credentials.Find(ctx, conn, c.Caller.Task.User.ID); err != nil {
		return d, err
	}
	if err := b.mayShow(conn); err != nil {
		return d, err
	}
	return d, b.o.Assertions.Ready(conn)
}

func notGranted(c Call) error {
	return fault.New(fault.GrantMissing, strings.TrimSuffix("no grant of this task names "+c.Connector+" "+c.Tool, " "), nil)
}

func refusal(d grant.Decision) error {
	f := fault.New(d.Reason, d.Missing, nil)
	if d.Reason == "" {
		f = fault.New(fault.GrantMissing, "no grant covers this call", nil)
	}
	if d.Grant != nil {
		f = f.With("grant_id", d.Grant.ID)
	}
	return f
}

// refuse records why nothing is sent, and returns the error for the caller.
func (b *Broker) refuse(ctx context.Context, c Call, d decided, err error) error {
	f := fault.From(err)
	e := audit.CallerEvent(c.Caller)
	e.InvocationID, e.Connector, e.Tool, e.Reason = c.InvocationID, c.Connector, c.Tool, string(f.Reason)
	if d.bound != nil {
		e.Revision, e.Severity = d.bound.Connector.Revision, d.bound.Severity
		for _, r := range d.bound.Resources {
			e.Resources = append(e.Resources, r.String())
		}
	}
	if d.decision.Grant != nil {
		e.GrantID = d.decision.Grant.ID
	}
	if rerr := b.o.Trail.Refuse(ctx, e); rerr != nil {
		b.o.Log.Error("refusal not recorded", "invocation_id", c.InvocationID, "reason", f.Reason, "error", rerr)
	}
	return err
}

func auditCall(c Call, d decided, stream bool) audit.Call {
	a := audit.Call{
		InvocationID: c.InvocationID, Caller: c.Caller, Connector: c.Connector, Tool: c.Tool,
		Revision: d.bound.Connector.Revision, Resources: d.bound.Resources, Severity: d.bound.Severity,
		Grant: d.decision.Grant, IdempotencyKey: c.IdempotencyKey,
		RequestBytes: int64(len(d.bound.Body)), MostBytes: d.bound.Tool.MaxResponseBytes, Stream: stream,
		Estimate: d.estimate(),
	}
	if len(d.records) > 0 {
		a.CredentialID, a.CredentialVersion = d.records[0].ID, d.records[0].Version
	}
	return a
}

// Explanation is what Explain answers.
type Explanation struct {
	Decision  grant.Decision
	Severity  grant.Severity
	Resources []grant.Resource
	// Err is why not, where something else than the grants stands in the way.
	Err error
}

// Explain judges a call without making it: nothing is recorded, reserved or sent. Its
// error means that the question could not be answered.
func (b *Broker) Explain(ctx context.Context, c Call) (Explanation, error) {
	d, err := decided{}, b.match(ctx, &c)
	if err == nil {
		d, err = b.decide(ctx, c)
	}
	x := Explanation{Decision: d.decision, Err: err}
	if d.bound != nil {
		x.Severity, x.Resources = d.bound.Severity, d.bound.Resources
	}
	var f *fault.Error
	if err != nil && (!errors.As(err, &f) || f.Reason == fault.StoreUnavailable || f.Reason == fault.Internal || f.Reason == fault.ArgumentInvalid) {
		return Explanation{}, err
	}
	return x, nil
}
