package broker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// sink takes a stream, and can be told to give up.
type sink struct {
	status  int
	headers map[string]string
	kind    string
	body    strings.Builder
	onHead  func() error
	onData  func(piece string) error
}

func (s *sink) Head(status int, headers map[string]string, contentType string) error {
	s.status, s.headers, s.kind = status, headers, contentType
	if s.onHead != nil {
		return s.onHead()
	}
	return nil
}

func (s *sink) Data(piece []byte) error {
	s.body.Write(piece)
	if s.onData != nil {
		return s.onData(string(piece))
	}
	return nil
}

// left is what remains of the bytes of a call's grant.
func (b *bench) left(t *testing.T, c broker.Call) (left grant.Limits) {
	t.Helper()
	ref := audit.TaskRef{Workspace: workspace, TaskID: c.Caller.Task.ID}
	require.NoError(t, b.store.Audit().Write(context.Background(), func(ctx context.Context, tx audit.Tx) (err error) {
		left, err = tx.Remaining(ctx, ref, c.Grants.Grants()[0].ID)
		return err
	}))
	return left
}

// Each piece reaches the sink before the upstream sends the next.
func TestStreamIsRelayedAsItArrives(t *testing.T) {
	b := newBench(t)
	taken := make(chan struct{})
	b.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Total", "3")
		for _, piece := range []string{"one ", "two ", "three"} {
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
			<-taken
		}
	})
	c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* bytes=100")
	s := &sink{onData: func(string) error { taken <- struct{}{}; return nil }}
	n, err := b.InvokeStream(t.Context(), c, s)
	require.NoError(t, err)
	require.EqualValues(t, 13, n)
	require.Equal(t, "one two three", s.body.String())
	require.Equal(t, http.StatusOK, s.status)
	require.Equal(t, "text/event-stream", s.kind)
	require.Equal(t, map[string]string{"x-total": "3"}, s.headers)
	o := b.outcome(t, c)
	require.Equal(t, audit.OK, o.Outcome)
	require.EqualValues(t, 13, o.ResponseBytes)
	require.EqualValues(t, 87, b.left(t, c).Bytes, "what was held and did not come is given back")
}

func TestStreamIsCut(t *testing.T) {
	gone := errors.New("the client is gone")
	ended := fault.New(fault.TaskEnded, "the task ended while the call was running", nil)
	cases := map[string]struct {
		grant  string
		sink   func(end context.CancelCauseFunc) *sink
		reason string // in the trail
		left   int64
	}{
		"by the client": {"bytes=5000", func(context.CancelCauseFunc) *sink {
			return &sink{onData: func(string) error { return gone }}
		}, "CANCELLED", 5000 - 10},
		"by the client, at its head": {"bytes=5000", func(context.CancelCauseFunc) *sink {
			return &sink{onHead: func() error { return gone }}
		}, "CANCELLED", 5000},
		"by the task's end": {"bytes=5000", func(end context.CancelCauseFunc) *sink {
			return &sink{onData: func(string) error { end(ended); return nil }}
		}, "TASK_ENDED", 5000 - 10},
		"by the grant's end":  {"bytes=5000 until=SOON", func(context.CancelCauseFunc) *sink { return &sink{} }, "GRANT_EXPIRED", 5000 - 10},
		"by the tool's bound": {"bytes=5000", func(context.CancelCauseFunc) *sink { return &sink{} }, "RESPONSE_TOO_LARGE", 5000 - 1024},
		"by the grant's":      {"bytes=15", func(context.CancelCauseFunc) *sink { return &sink{} }, "LIMIT_REACHED", 0},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			// An endless answer: whoever does not cut it, hangs.
			b.answer(func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, "0123456789"); err != nil {
						return
					}
					w.(http.Flusher).Flush()
					if strings.HasPrefix(name, "by the client") || strings.HasSuffix(name, "'s end") {
						<-r.Context().Done()
					}
				}
			})
			ctx, end := context.WithCancelCause(t.Context())
			soon := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339Nano)
			c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* "+strings.Replace(k.grant, "SOON", soon, 1))
			s := k.sink(end)
			n, err := b.InvokeStream(ctx, c, s)
			require.Error(t, err)
			require.Equal(t, name == "by the grant's end", fault.Is(err, fault.GrantExpired))
			require.EqualValues(t, s.body.Len(), n)
			o := b.outcome(t, c)
			require.Equal(t, audit.Failed, o.Outcome)
			require.Equal(t, k.reason, o.Reason)
			require.Equal(t, 200, o.UpstreamStatus)
			require.Equal(t, n, o.ResponseBytes)
			require.Equal(t, k.left, b.left(t, c).Bytes)
		})
	}
}

func TestStreamThatCannotBeSent(t *testing.T) {
	b := newBench(t)
	b.upstream.Close()
	c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* bytes=5000")
	s := &sink{}
	_, err := b.InvokeStream(t.Context(), c, s)
	requireReason(t, fault.UpstreamUnavailable, err)
	require.Zero(t, s.status, "no head without an answer")
	require.Equal(t, audit.NotSent, b.outcome(t, c).Outcome)
	require.EqualValues(t, 5000, b.left(t, c).Bytes)
}

// A panic on the way leaves no intent open.
func TestPanicIsRecorded(t *testing.T) {
	b := newBench(t)
	b.answer(text(http.StatusOK, "{}"))
	c := b.call(t, "contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* bytes=5000")
	require.Panics(t, func() {
		_, _ = b.InvokeStream(t.Context(), c, &sink{onHead: func() error { panic("sink") }})
	})
	o := b.outcome(t, c)
	require.Equal(t, audit.Failed, o.Outcome)
	require.Equal(t, "INTERNAL", o.Reason)
}
