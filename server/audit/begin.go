package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/task"
)

// Call is what is about to happen, decided and not yet recorded.
type Call struct {
	InvocationID string
	Caller       *task.Caller
	Connector    string
	Revision     int64
	Tool         string
	Resources    []grant.Resource
	Severity     grant.Severity
	// Grant is the one that decided; its limits are reserved.
	Grant *grant.Grant
	// The credential that will be attached; empty where the connector needs none.
	CredentialID      string
	CredentialVersion int64
	// IdempotencyKey may be empty.
	IdempotencyKey string
	RequestBytes   int64
	// MostBytes is the largest answer that the tool allows.
	MostBytes int64
	// Stream holds the whole allowance of bytes while the answer runs.
	Stream bool
	// Estimate is the most that a call of a model may use; nil for every other call, and
	// then a grant that limits tokens or money allows none.
	Estimate *Estimate
}

// Intent is the proof that a call was decided and durably recorded. Its zero value
// is refused wherever an Intent is demanded.
type Intent struct {
	event   *Event
	limited bool
	most    Allowance
	held    *grant.Limits
	limits  grant.Limits
	used    *bool
}

// Allowance is how much a limited grant still allows this call; -1: no limit.
type Allowance struct {
	Bytes int64
	Rows  int64
}

// errNoIntent is what every step after the decision returns for a zero Intent.
var errNoIntent = errors.New("no recorded intent: refused")

// Check returns an error for the zero Intent and for one that is finished.
func (i Intent) Check() error {
	if !i.Valid() {
		return fault.New(fault.Internal, "internal error", errNoIntent)
	}
	return nil
}

// Valid reports whether i was recorded and is not finished.
func (i Intent) Valid() bool { return i.event != nil && !*i.used }

func (i Intent) done() { *i.used = true }

// InvocationID is the id of the call.
func (i Intent) InvocationID() string {
	if i.event == nil {
		return ""
	}
	return i.event.InvocationID
}

// Workspace is the workspace of the call.
func (i Intent) Workspace() string {
	if i.event == nil {
		return ""
	}
	return i.event.Workspace
}

// TaskID is the task of the call; empty for an act that is no call.
func (i Intent) TaskID() string {
	if i.event == nil {
		return ""
	}
	return i.event.TaskID
}

// UserID is the user on whose behalf the call is made; empty for an act that is no call.
func (i Intent) UserID() string {
	if i.event == nil {
		return ""
	}
	return i.event.UserID
}

// Allowance says how much of the answer may be handed over.
func (i Intent) Allowance() Allowance { return i.most }

// Limited reports whether the answer must be settled before it is handed over.
func (i Intent) Limited() bool { return i.limited }

// Begin records a call before it leaves, in one transaction that also checks that
// its task is live, claims its idempotency key and reserves from its grant's limits.
// Its errors are TASK_ENDED, CONFLICT, LIMIT_REACHED and AUDIT_UNAVAILABLE; with any
// of them nothing may be sent.
func (l *Log) Begin(ctx context.Context, c Call) (Intent, error) {
	if c.Grant == nil || c.Caller == nil {
		return Intent{}, fault.New(fault.Internal, "internal error", errors.New("begin without a grant or a caller"))
	}
	if err := l.ready(); err != nil {
		return Intent{}, err
	}
	t := &c.Caller.Task
	ref := TaskRef{t.Workspace, t.ID}
	event := callEvent(&c)
	allowed := Allowance{Bytes: -1, Rows: -1}
	e := &entry{}
	e.rows = func(ctx context.Context, tx Tx, now time.Time) ([]Event, error) {
		var err error
		if c.Grant.Limits.Any() {
			if allowed, e.held, err = reserve(ctx, tx, ref, &c); err != nil {
				return nil, err
			}
		}
		event.Time = now
		return []Event{event}, nil
	}
	// A READ call may rely on the lease of the task's cache entry; what changes
	// anything is checked in the very transaction that records it.
	if c.Severity != grant.Read {
		e.live = &ref
	}
	if c.IdempotencyKey != "" {
		e.claim = &Claim{Task: ref, Key: c.IdempotencyKey, InvocationID: c.InvocationID}
	}
	if err := l.submit(ctx, e); err != nil {
		return Intent{}, l.withFirst(ctx, ref.Workspace, err)
	}
	limits := c.Grant.Limits
	intent := Intent{
		event: &e.events[0], most: allowed, limited: limits.Bytes > 0 || limits.Rows > 0, held: &e.held, limits: limits, used: new(bool),
	}
	if cause := context.Cause(ctx); cause != nil {
		recorded, told, public := "CANCELLED", fault.UpstreamUnavailable, "cancelled before anything was sent"
		if cut := (*fault.Error)(nil); errors.As(cause, &cut) {
			recorded, told, public = string(cut.Reason), cut.Reason, cut.Public
		}
		l.Finish(intent, Outcome{Result: NotSent, Reason: recorded, Unused: intent.Reserved()})
		return Intent{}, fault.New(told, public, errors.Join(ErrFinished, cause))
	}
	return intent, nil
}

// ErrFinished is the cause of an error of Begin whose intent has been recorded, and its
// outcome too: that nothing was sent, since the caller's context had ended by then.
var ErrFinished = errors.New("the caller's end came before anything was sent")

// reserve takes one call, the tokens and the money that a call of a model may use, and
// for a stream all bytes that it may bring. What an answer holds is settled before it is
// handed over. held is what Finish gives back where it was not used.
func reserve(ctx context.Context, tx Tx, ref TaskRef, c *Call) (allowed Allowance, held grant.Limits, err error) {
	left, err := tx.Remaining(ctx, ref, c.Grant.ID)
	if err != nil {
		return allowed, held, fmt.Errorf("read limits: %w", err)
	}
	if used := exhausted(left); used != "" {
		return allowed, held, limitReached(used, c.Grant.ID)
	}
	if held, err = estimated(c, left); err != nil {
		return allowed, grant.Limits{}, err
	}
	allowed = Allowance{Bytes: left.Bytes, Rows: left.Rows}
	if c.Stream && left.Bytes >= 0 {
		held.Bytes = min(left.Bytes, c.MostBytes)
		allowed.Bytes = held.Bytes
	}
	amount := held
	if left.Calls >= 0 {
		amount.Calls = 1
	}
	if !amount.Any() {
		return allowed, held, nil
	}
	ok, err := tx.Reserve(ctx, ref, c.Grant.ID, amount)
	if err != nil {
		return allowed, held, fmt.Errorf("reserve limits: %w", err)
	}
	if !ok {
		return allowed, held, limitReached("calls", c.Grant.ID)
	}
	return allowed, held, nil
}

func exhausted(left grant.Limits) string {
	for _, part := range [...]struct {
		name string
		left int64
	}{{"calls", left.Calls}, {"bytes", left.Bytes}, {"rows", left.Rows}, {"tokens", left.Tokens}, {"usd", left.MicroUSD}} {
		if part.left == 0 {
			return part.name
		}
	}
	return ""
}

func limitReached(what, grantID string) *fault.Error {
	return fault.New(fault.LimitReached, "the grant's limit of "+what+" is used up, or that of a grant above it in the tree", nil).
		With("limit", what).With("grant_id", grantID)
}

// Reserved is what Begin reserved beyond the call itself.
func (i Intent) Reserved() grant.Limits {
	if i.held == nil {
		return grant.Limits{}
	}
	return *i.held
}

// Counted keeps of what was used what the grant limits; only that has a counter to be
// taken from.
func (i Intent) Counted(used grant.Limits) grant.Limits {
	keep := func(limit, used int64) int64 {
		if limit > 0 {
			return used
		}
		return 0
	}
	return grant.Limits{
		Bytes: keep(i.limits.Bytes, used.Bytes), Rows: keep(i.limits.Rows, used.Rows),
		Tokens: keep(i.limits.Tokens, used.Tokens), MicroUSD: keep(i.limits.MicroUSD, used.MicroUSD),
	}
}

// Settle takes what an answer holds out of a limited grant before the answer is
// handed over: LIMIT_REACHED where it does not fit; the call has happened then, and
// its answer must be withheld.
func (l *Log) Settle(ctx context.Context, i Intent, used grant.Limits) error {
	if err := i.Check(); err != nil {
		return err
	}
	if !used.Any() {
		return nil
	}
	ref := TaskRef{i.event.Workspace, i.event.TaskID}
	return l.submit(context.WithoutCancel(ctx), &entry{rows: func(ctx context.Context, tx Tx, _ time.Time) ([]Event, error) {
		ok, err := tx.Reserve(ctx, ref, i.event.GrantID, used)
		if err != nil {
			return nil, fmt.Errorf("settle limits: %w", err)
		}
		if !ok {
			return nil, limitReached("bytes or rows", i.event.GrantID)
		}
		return nil, nil
	}})
}

func callEvent(c *Call) Event {
	e := CallerEvent(c.Caller)
	e.Kind, e.Decision, e.InvocationID = IntentRow, Allowed, c.InvocationID
	e.Connector, e.Revision, e.Tool, e.Severity = c.Connector, c.Revision, c.Tool, c.Severity
	for _, r := range c.Resources {
		e.Resources = append(e.Resources, r.String())
	}
	e.GrantID, e.CredentialID, e.CredentialVersion = c.Grant.ID, c.CredentialID, c.CredentialVersion
	e.RequestBytes = c.RequestBytes
	if c.Estimate != nil && c.Estimate.Usage != nil {
		e.Detail = withEstimate(e.Detail, c.Estimate.Usage)
	}
	return e
}

// CallerEvent is an event with all that is known of a caller.
func CallerEvent(c *task.Caller) Event {
	return Event{
		Workspace: c.Task.Workspace, TaskID: c.Task.ID, KeyID: c.Task.KeyID, UserID: c.Task.User.ID,
		Agent: c.Task.Agent, SPIFFEID: c.Workload.String(), AuthMethod: c.AuthMethod, Peer: c.Peer,
		Detail: background(&c.Task),
	}
}

// background says who vouches for the user, an issuer of ID tokens or "local" for the
// orchestrator that asserted them, and of a delegated task which are above it: its parent
// first and the root last.
func background(t *task.Task) string {
	d := struct {
		UserIssuer string          `json:"user_issuer"`
		ParentID   string          `json:"parent_id,omitempty"`
		RootID     string          `json:"root_id,omitempty"`
		Above      []task.Ancestor `json:"above,omitempty"`
	}{UserIssuer: t.User.Issuer, ParentID: t.ParentID, Above: t.Above}
	if t.ParentID != "" {
		d.RootID = t.RootID
	}
	text, _ := json.Marshal(d) // strings always encode
	return string(text)
}

// ready refuses early what could not be recorded.
func (l *Log) ready() error {
	switch {
	case !l.leased(l.o.Now()):
		return unavailable(errors.New("this broker's lease has run out"))
	case l.behind.len() > maxBehind:
		return unavailable(errors.New("too many outcomes wait for the store"))
	}
	return nil
}

// withFirst adds to a CONFLICT how the first invocation ended.
func (l *Log) withFirst(ctx context.Context, workspace string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != fault.Conflict {
		return err
	}
	events, ferr := l.o.Store.Events(ctx, Filter{Workspace: workspace, InvocationID: f.Metadata["first_invocation_id"], Limit: 10})
	if ferr != nil {
		return f // that nothing was sent now is certain; how it ended then is not known
	}
	return f.With("first_outcome", endOf(events))
}

// endOf says how an invocation ended. One without an intent was refused: it claimed
// its key and was then over a limit.
func endOf(events []Event) string {
	end := string(NotSent)
	for i := range events {
		switch events[i].Kind {
		case OutcomeRow:
			return string(events[i].Outcome)
		case IntentRow:
			end = "IN_PROGRESS"
		}
	}
	return end
}
