package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

const ownKey = "11111111-2222-4333-8444-555555555555"

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestInvoke(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.InvokeResponse{
		InvocationId: "i1", Status: 404, Headers: map[string]string{"etag": "x"}, ContentType: "application/json", Body: []byte(`{}`),
	}, nil)})
	for name, tc := range map[string]struct {
		arguments any
		sent      string
	}{
		"none":             {nil, ""},
		"a map":            {map[string]any{"id": 42}, `{"id":42}`},
		"a struct":         {struct{ ID string }{"x"}, `{"ID":"x"}`},
		"raw JSON as is":   {json.RawMessage(`{ "n": 9007199254740993 }`), `{ "n": 9007199254740993 }`},
		"bytes are JSON":   {[]byte(`{"a":1}`), `{"a":1}`},
		"judged elsewhere": {json.RawMessage(`{"a":1,"a":2}`), `{"a":1,"a":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := r.client.Invoke(t.Context(), "crm", "contacts.get", tc.arguments)
			require.NoError(t, err)
			require.Equal(t, &client.Response{InvocationID: "i1", Status: 404, Headers: map[string]string{"etag": "x"},
				ContentType: "application/json", Body: []byte(`{}`)}, answer)
			calls := r.broker.Calls()
			request := calls[len(calls)-1].Request.(*onedoorv1.InvokeRequest)
			require.Equal(t, tc.sent, string(request.GetArgumentsJson()))
			require.Regexp(t, uuid4, request.GetIdempotencyKey())
		})
	}
	_, err := r.client.Invoke(t.Context(), "crm", "contacts.get", func() {})
	require.ErrorContains(t, err, "arguments")
}

// What no broker takes is refused before it is sent: halfway it would look as if the call
// might have been made.
func TestTooManyArguments(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.InvokeResponse{}, nil)})
	text := json.RawMessage(`{"a":"` + strings.Repeat("x", client.MaxArguments-8) + `"}`)
	require.Len(t, text, client.MaxArguments)
	_, err := r.client.Invoke(t.Context(), "crm", "contacts.get", text)
	require.NoError(t, err)
	for name, ask := range map[string]func(any) error{
		"whole":    func(a any) error { _, err := r.client.Invoke(t.Context(), "crm", "contacts.get", a); return err },
		"streamed": func(a any) error { _, err := r.client.InvokeStream(t.Context(), "crm", "contacts.get", a); return err },
		"explain":  func(a any) error { _, err := r.client.Explain(t.Context(), "crm", "contacts.get", a); return err },
	} {
		err := ask(json.RawMessage(`{"a":"` + strings.Repeat("x", client.MaxArguments-7) + `"}`))
		require.ErrorIs(t, err, client.ArgumentInvalid, name)
		require.ErrorContains(t, err, "nothing was sent", name)
	}
	require.Len(t, r.broker.Calls(), 1)
}

func TestLargeAnswer(t *testing.T) {
	const size = 64 << 20
	r := newRig(t, &brokertest.Broker{Answer: always(&onedoorv1.InvokeResponse{Body: make([]byte, size)}, nil)})
	answer, err := r.client.Invoke(t.Context(), "crm", "files.get", nil)
	require.NoError(t, err)
	require.Len(t, answer.Body, size)
}

func TestRetries(t *testing.T) {
	type keys int
	const (
		once  keys = iota // not tried again
		same              // tried again with the same key
		fresh             // tried again with a new one
	)
	for name, tc := range map[string]struct {
		code     codes.Code
		reason   client.Reason
		own      bool
		expected keys
	}{
		"rate limited":                  {codes.ResourceExhausted, client.RateLimited, false, same},
		"rate limited, own key":         {codes.ResourceExhausted, client.RateLimited, true, same},
		"store unavailable":             {codes.Unavailable, client.StoreUnavailable, false, fresh},
		"store unavailable, own key":    {codes.Unavailable, client.StoreUnavailable, true, same},
		"audit unavailable":             {codes.Unavailable, client.AuditUnavailable, false, fresh},
		"audit unavailable, own key":    {codes.Unavailable, client.AuditUnavailable, true, same},
		"upstream unavailable":          {codes.Unavailable, client.UpstreamUnavailable, false, fresh},
		"upstream unavailable, own key": {codes.Unavailable, client.UpstreamUnavailable, true, once},
		"outcome unknown":               {codes.Unknown, client.OutcomeUnknown, false, once},
		"conflict":                      {codes.Aborted, client.Conflict, false, once},
		"upstream timeout":              {codes.DeadlineExceeded, client.UpstreamTimeout, false, once},
		"response too large":            {codes.OutOfRange, client.ResponseTooLarge, false, once},
		"answer dropped":                {codes.ResourceExhausted, client.AnswerDropped, false, once},
		"grant missing":                 {codes.PermissionDenied, client.GrantMissing, false, once},
		"internal":                      {codes.Internal, client.Internal, false, once},
		"a reason of tomorrow":          {codes.Unavailable, "SOMETHING_ELSE", false, once},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, &brokertest.Broker{Answer: func(_ context.Context, n int, _ brokertest.Call) (any, error) {
				if n == 1 {
					return nil, brokertest.Refusal(tc.code, string(tc.reason), "no", 0)
				}
				return &onedoorv1.InvokeResponse{}, nil
			}})
			var opts []client.CallOption
			if tc.own {
				opts = append(opts, client.WithIdempotencyKey(ownKey))
			}
			_, err := r.client.Invoke(t.Context(), "crm", "contacts.get", nil, opts...)
			calls := r.broker.Calls()
			if tc.expected == once {
				require.ErrorIs(t, err, tc.reason)
				require.Len(t, calls, 1)
				return
			}
			require.NoError(t, err)
			require.Len(t, calls, 2)
			require.Equal(t, tc.expected == same, key(calls[0]) == key(calls[1]))
			if tc.own {
				require.Equal(t, ownKey, key(calls[1]))
			}
		})
	}
}

func TestRetriesAreBounded(t *testing.T) {
	down := brokertest.Refusal(codes.Unavailable, "STORE_UNAVAILABLE", "down", 0)
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, &brokertest.Broker{Answer: always(nil, down)})
		_, err := r.client.Tools(t.Context())
		require.ErrorIs(t, err, client.StoreUnavailable)
		require.Len(t, r.broker.Calls(), 4)
	})
	t.Run("by the context", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, &brokertest.Broker{Answer: always(nil, brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow", 8*time.Second))})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		_, err := r.client.Task(ctx)
		require.ErrorIs(t, err, client.RateLimited, "the reason, not the deadline")
		require.NoError(t, ctx.Err(), "and at once")
		require.Len(t, r.broker.Calls(), 1)
	})
	t.Run("by what the broker asks for", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, &brokertest.Broker{Answer: always(nil, brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow", time.Hour))})
		_, err := r.client.Task(t.Context())
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, time.Hour, e.RetryAfter)
		require.Len(t, r.broker.Calls(), 1)
	})
	t.Run("the broker's pause is kept", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, &brokertest.Broker{Answer: func(_ context.Context, n int, _ brokertest.Call) (any, error) {
			if n == 1 {
				return nil, brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow", 300*time.Millisecond)
			}
			return &onedoorv1.ExplainResponse{Allowed: true}, nil
		}})
		start := time.Now()
		verdict, err := r.client.Explain(t.Context(), "crm", "contacts.get", map[string]string{"id": "42"})
		require.NoError(t, err)
		require.True(t, verdict.GetAllowed())
		require.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)
	})
}

func TestError(t *testing.T) {
	r := newRig(t, &brokertest.Broker{Answer: always(nil, brokertest.Refusal(codes.InvalidArgument, "ARGUMENT_INVALID", "id: too long", 0,
		"invocation_id", "i7", "field", "id"))})
	_, err := r.client.Invoke(t.Context(), "crm", "contacts.get", nil, client.WithIdempotencyKey(ownKey))
	require.EqualError(t, err, "ARGUMENT_INVALID: id: too long")
	require.ErrorIs(t, err, client.ArgumentInvalid)
	require.NotErrorIs(t, err, client.GrantMissing)
	require.NotErrorIs(t, err, client.Reason(""))
	require.Equal(t, client.ArgumentInvalid, client.ReasonOf(err))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "i7", e.InvocationID)
	require.Equal(t, "id", e.Metadata["field"])
	require.Equal(t, ownKey, e.IdempotencyKey)
	require.Empty(t, client.ReasonOf(errors.New("another")))
	require.Empty(t, client.ReasonOf(nil))
}

func TestReasonsAreThoseOfTheProto(t *testing.T) {
	ours := []client.Reason{
		client.SVIDMissing, client.SVIDInvalid, client.SVIDExpired, client.TaskKeyInvalid, client.TaskEnded,
		client.GrantMissing, client.GrantExpired, client.SeverityExceeded, client.ResourceNotGranted, client.DelegationWidens,
		client.ApprovalRequired, client.CallerNotAllowed, client.EgressDenied, client.ArgumentInvalid, client.ConnectorUnknown,
		client.ToolUnknown, client.TaskUnknown, client.CredentialUnknown, client.CredentialMissing,
		client.CredentialNeedsReconnect, client.ConnectorChanged, client.LimitReached, client.Conflict, client.RateLimited,
		client.ResponseTooLarge, client.AnswerDropped, client.UpstreamTimeout, client.UpstreamUnavailable, client.StoreUnavailable,
		client.AuditUnavailable, client.IssuerUnavailable, client.OutcomeUnknown, client.Internal,
	}
	var theirs []client.Reason
	for number, name := range onedoorv1.Reason_name {
		if number != 0 {
			theirs = append(theirs, client.Reason(name[len("REASON_"):]))
		}
	}
	require.ElementsMatch(t, theirs, ours)
}

func TestLostAnswers(t *testing.T) {
	hang := func(ctx context.Context, _ int, _ brokertest.Call) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	within := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("an Invoke that was handed over", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{Answer: hang})
		_, err := r.client.Invoke(within(t), "crm", "contacts.create", nil)
		require.ErrorIs(t, err, client.OutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, key(r.broker.Calls()[0]), e.IdempotencyKey)
		require.Len(t, r.broker.Calls(), 1)
	})
	t.Run("a connection that breaks", func(t *testing.T) {
		broker := &brokertest.Broker{}
		broker.Answer = func(ctx context.Context, n int, call brokertest.Call) (any, error) {
			go broker.Close()
			return hang(ctx, n, call)
		}
		r := newRig(t, broker)
		_, err := r.client.Invoke(t.Context(), "crm", "contacts.create", nil)
		require.ErrorIs(t, err, client.OutcomeUnknown)
	})
	t.Run("a status that is not the broker's", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{Answer: always(nil, status.Error(codes.Unavailable, "proxy"))})
		_, err := r.client.Invoke(t.Context(), "crm", "contacts.create", nil)
		require.ErrorIs(t, err, client.OutcomeUnknown)
		require.Len(t, r.broker.Calls(), 1)
	})
	t.Run("what has no effect is no riddle", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{Answer: hang})
		_, err := r.client.Task(within(t))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, client.ReasonOf(err))
	})
	t.Run("an Invoke that never left", func(t *testing.T) {
		r := newRig(t, &brokertest.Broker{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := r.client.Invoke(ctx, "crm", "contacts.create", nil)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, client.ReasonOf(err))
	})
}

func TestStreams(t *testing.T) {
	denied := brokertest.Refusal(codes.Unauthenticated, "TASK_ENDED", "revoked", 0)
	for name, tc := range map[string]struct {
		events []*onedoorv1.InvokeStreamResponse
		last   error // what the broker returns after the events
		body   string
		reason client.Reason // of the error, in opening or reading
	}{
		"whole":              {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab"), data("c"), end(3)}, body: "abc"},
		"empty":              {events: []*onedoorv1.InvokeStreamResponse{head(), end(0)}},
		"refused":            {last: denied, reason: client.TaskEnded},
		"no event at all":    {reason: client.OutcomeUnknown},
		"no head":            {events: []*onedoorv1.InvokeStreamResponse{data("ab")}, reason: client.OutcomeUnknown},
		"no end":             {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab")}, body: "ab", reason: client.OutcomeUnknown},
		"wrong length":       {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab"), end(3)}, body: "ab", reason: client.OutcomeUnknown},
		"a second head":      {events: []*onedoorv1.InvokeStreamResponse{head(), head()}, reason: client.OutcomeUnknown},
		"more after the end": {events: []*onedoorv1.InvokeStreamResponse{head(), end(0), data("x")}, reason: client.OutcomeUnknown},
		"revoked midway":     {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab")}, last: denied, body: "ab", reason: client.TaskEnded},
		"cut midway":         {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab")}, last: status.Error(codes.Unavailable, "x"), body: "ab", reason: client.OutcomeUnknown},
		"fails at the end":   {events: []*onedoorv1.InvokeStreamResponse{head(), end(0)}, last: brokertest.Refusal(codes.Internal, "INTERNAL", "x", 0), reason: client.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
				if err := sendAll(stream, tc.events...); err != nil {
					return err
				}
				return tc.last
			}})
			stream, err := r.client.InvokeStream(t.Context(), "crm", "contacts.export", nil)
			var body string
			if err == nil {
				require.Equal(t, 200, stream.Status)
				require.Equal(t, "text/plain", stream.ContentType)
				for piece, readErr := range stream.Data() {
					body += string(piece)
					err = readErr
				}
			}
			require.Equal(t, tc.body, body)
			require.Equal(t, tc.reason, client.ReasonOf(err), "%v", err)
			if tc.reason == "" {
				require.NoError(t, err)
			}
			if tc.body != "" && err != nil {
				var e *client.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, "i1", e.InvocationID)
			}
		})
	}
}

func TestStreamMayBeLeft(t *testing.T) {
	ended := make(chan error, 1)
	r := newRig(t, &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
		err := sendAll(stream, head(), data("a"), data("b")) // fails where the caller has left already
		<-stream.Context().Done()
		ended <- stream.Context().Err()
		return err
	}})
	stream, err := r.client.InvokeStream(t.Context(), "crm", "contacts.export", nil)
	require.NoError(t, err)
	for range stream.Data() {
		break
	}
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(30 * time.Second):
		t.Fatal("leaving the loop did not end the call")
	}
}
