package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

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

// sent is a call whose intent is recorded. Whatever happens to it, finish is called
// once.
type sent struct {
	b       *Broker
	intent  audit.Intent
	pass    *limit.Pass // through the connector's gate
	caller  *task.Caller
	bound   *connector.Bound
	records []credential.Record
	model   *model.Call // nil for what is no model API
	stream  bool
	end     time.Time // of the grant that allowed it; zero for none of its own

	version  int64  // of the credential that went along
	tried    bool   // the call was handed to its upstream
	asserted string // the jti of the assertion that went along
	answer   *upstream.Answer
	body     int64
}

// errPanicked is how a call ended whose steps did not return.
var errPanicked = errors.New("panic after the intent was recorded")

// run sends the call and reads its answer. It records how the call ended whatever
// happens, a panic included: no intent of a living broker stays open.
func (s *sent) run(ctx context.Context, read func() (grant.Limits, error)) (err error) {
	used, end := grant.Limits{}, errPanicked
	defer func() { s.pass.Leave(); s.finish(ctx, end, used) }()
	if err = s.send(ctx); err == nil {
		used, err = read()
	}
	end = err
	return err
}

// send is steps d and e. The clear secret exists in here alone.
func (s *sent) send(ctx context.Context) error {
	attached, err := s.b.o.Credentials.Attach(ctx, s.intent, s.caller, s.bound, s.records)
	if err != nil {
		return err
	}
	s.version = attached.Version
	attachment := attached.Attachment
	if s.bound.Connector.ShowsSVID {
		if attachment, err = s.showSVID(attachment); err != nil {
			return err
		}
	}
	var header http.Header
	if s.bound.Connector.Assertion != nil {
		if attachment, header, err = s.assert(ctx, attachment); err != nil {
			return err
		}
	}
	run, ok := s.b.o.Upstreams[s.bound.Connector.Kind]
	if !ok {
		return fault.New(fault.Internal, "internal error", fmt.Errorf("no upstream of kind %q", s.bound.Connector.Kind))
	}
	s.tried = true
	s.answer, err = run.Do(ctx, s.intent, upstream.Call{
		Bound: s.bound, Header: header, Attachment: attachment, Credential: attached.Pool, MostBytes: s.mostBytes(),
		Model: s.model,
	})
	if err == nil && s.answer.Status == http.StatusUnauthorized {
		s.b.o.Credentials.Doubt(s.records)
	}
	return err
}

// assert adds the assertion to what is attached, and gives the headers beside it. It comes
// last: it is bound to the certificate that the connection will show.
func (s *sent) assert(ctx context.Context, to egress.Attachment) (egress.Attachment, http.Header, error) {
	made, err := s.b.o.Assertions.Mint(ctx, s.intent, s.caller, s.bound, to.Certificate())
	if err != nil {
		return egress.Attachment{}, nil, err
	}
	both, err := made.AddTo(to)
	if err != nil {
		return egress.Attachment{}, nil, err
	}
	s.asserted = made.ID
	return both, made.Header, nil
}

// mostBytes is the smaller of what the tool and what the grant's limit allow.
func (s *sent) mostBytes() int64 {
	most := s.bound.Tool.MaxResponseBytes
	if left := s.intent.Allowance().Bytes; left >= 0 && left < most {
		return left
	}
	return most
}

// whole reads the answer to its end and settles it before anybody sees it.
func (s *sent) whole(ctx context.Context) (*Answer, grant.Limits, error) {
	defer s.answer.Body.Close()
	hold, end := s.account(ctx)
	defer end()
	body, err := limit.ReadAll(s.answer.Body, hold)
	s.body = int64(len(body))
	if errors.Is(err, limit.ErrNoRoom) {
		return nil, grant.Limits{}, s.happened(limit.DroppedFault())
	}
	if err != nil {
		return nil, grant.Limits{}, s.tooMuch(upstream.Fault(err, s.bound.Tool.Idempotent))
	}
	if s.intent.Limited() {
		if err := s.settle(ctx, body); err != nil {
			return nil, grant.Limits{}, err
		}
	}
	return &Answer{Status: s.answer.Status, Headers: s.answer.Headers, ContentType: s.answer.ContentType, Body: body}, grant.Limits{}, nil
}

// settle counts the answer against the grant's limits of bytes and rows.
func (s *sent) settle(ctx context.Context, body []byte) error {
	left := s.intent.Allowance()
	used := grant.Limits{}
	if left.Bytes >= 0 {
		used.Bytes = int64(len(body))
	}
	if left.Rows >= 0 {
		rows, err := s.bound.Tool.CountRows(body, s.answer.Status)
		if err != nil {
			return s.happened(fault.New(fault.LimitReached, "the call was made, but its rows cannot be counted, so its answer is withheld", err))
		}
		used.Rows = rows
	}
	err := s.b.o.Trail.Settle(ctx, s.intent, used)
	if err != nil && !fault.Is(err, fault.LimitReached) {
		// Not AUDIT_UNAVAILABLE: it says that nothing was sent, and clients call again.
		err = fault.New(fault.OutcomeUnknown, "the call was made, but could not be counted against its grant, so its answer is withheld", err)
	}
	return s.happened(err)
}

// tooMuch says which bound an answer has broken: the tool's, or the grant's.
func (s *sent) tooMuch(err error) error {
	if fault.Is(err, fault.ResponseTooLarge) && s.mostBytes() < s.bound.Tool.MaxResponseBytes {
		err = fault.New(fault.LimitReached, "the call was made, but its answer is larger than what is left of the grant's bytes", err)
	}
	return s.happened(err)
}

// happened adds to an error that the call was made, and how it ended upstream.
func (s *sent) happened(err error) error {
	var f *fault.Error
	if s.answer == nil || !errors.As(err, &f) {
		return err
	}
	return f.With("upstream_status", fmt.Sprint(s.answer.Status))
}

// relayBuffer is how much is relayed at once; what is there is sent at once, however
// little it is.
const relayBuffer = 32 << 10

// relay hands the answer over as it arrives, or at its end where it is no stream.
func (s *sent) relay(ctx context.Context, sink Sink) (int64, error) {
	defer s.answer.Body.Close()
	if s.streams() {
		return s.readAlong(ctx, sink)
	}
	hold, end := s.account(ctx)
	defer end()
	whole := &held{sink: sink, hold: hold}
	n, err := s.readAlong(ctx, whole)
	if fault.Is(err, fault.AnswerDropped) {
		return n, s.happened(err)
	}
	if err != nil {
		return n, err
	}
	if err := whole.release(); err != nil {
		return n, fmt.Errorf("relay: %w", err)
	}
	return n, nil
}

// readAlong reads the answer to its end, each piece handed over before the next is read.
func (s *sent) readAlong(ctx context.Context, sink Sink) (int64, error) {
	if err := sink.Head(s.answer.Status, s.answer.Headers, s.answer.ContentType); err != nil {
		return 0, fmt.Errorf("relay: %w", err)
	}
	buffer := make([]byte, relayBuffer)
	for {
		n, err := s.answer.Body.Read(buffer)
		if n > 0 {
			s.body += int64(n)
			if serr := sink.Data(buffer[:n]); serr != nil {
				return s.body, fmt.Errorf("relay: %w", serr)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return s.body, nil
		case err != nil:
			return s.body, s.tooMuch(upstream.Fault(err, s.bound.Tool.Idempotent))
		case ctx.Err() != nil:
			return s.body, fmt.Errorf("relay: %w", context.Cause(ctx))
		}
	}
}

// finish records how the call ended, whatever became of the caller.
func (s *sent) finish(ctx context.Context, err error, used grant.Limits) {
	o := audit.Outcome{Result: audit.OK, RequestBytes: int64(len(s.bound.Body)), ResponseBytes: s.body, CredentialVersion: s.version}
	if s.answer != nil {
		o.UpstreamStatus = s.answer.Status
		if s.answer.Status >= 400 {
			o.Result = audit.UpstreamError
		}
	}
	if err != nil {
		o.Result, o.Reason = s.resultOf(err), reasonOf(ctx, err)
	}
	if !s.stream {
		used = grant.Limits{} // settled already
	}
	if o.Usage = s.usage(err); o.Usage != nil {
		used.Tokens, used.MicroUSD = o.Usage.Tokens(), max(o.Usage.MicroUSD, 0)
	}
	o.Unused, o.Used = s.intent.Reserved(), s.intent.Counted(used)
	o.Detail = s.detail(o.Usage)
	s.b.o.Trail.Finish(s.intent, o)
}

// detail is what has no column of its own: how often a secret was found in the answer,
// which assertion went along, by its jti, and what a model was used for.
func (s *sent) detail(usage *audit.Usage) string {
	var d struct {
		Redactions int64        `json:"redactions,omitempty"`
		Assertion  string       `json:"assertion_jti,omitempty"`
		Usage      *audit.Usage `json:"usage,omitempty"`
	}
	d.Assertion, d.Usage = s.asserted, usage
	if s.answer != nil {
		d.Redactions = s.answer.Redactions()
	}
	text, err := json.Marshal(d)
	if err != nil || string(text) == "{}" {
		return ""
	}
	return string(text)
}

// resultOf says what an error means for the call itself. One from before the call was
// handed to its upstream may say "sent" of something else: of a token that was bought.
func (s *sent) resultOf(err error) audit.Result {
	var e *egress.Error
	switch {
	case s.answer != nil:
		return audit.Failed
	case errors.Is(err, errPanicked):
		return audit.Unknown // it may have been sent
	case s.tried && errors.As(err, &e) && e.Sent:
		return audit.Unknown
	}
	return audit.NotSent
}

// reasonOf is what the trail says. A call that ended because its caller's context did
// has that one's cause, and not the time-out it looked like; one that was cut has the
// reason that its caller is told, for instance TASK_ENDED, whatever was waited for: a
// connection, a token, an answer.
func reasonOf(ctx context.Context, err error) string {
	var e *egress.Error
	var f *fault.Error
	switch cause := context.Cause(ctx); {
	case errors.Is(err, errPanicked):
	case errors.As(cause, &f), cause != nil && errors.As(err, &e) && e.Kind == egress.TimedOut:
		err = cause
	}
	switch {
	case errors.Is(err, errPanicked):
		return string(fault.Internal)
	case errors.As(err, &f):
		return string(f.Reason)
	case errors.Is(err, context.DeadlineExceeded):
		return "DEADLINE_EXCEEDED"
	}
	return "CANCELLED"
}
