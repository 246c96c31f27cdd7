package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
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

const crmOrigin = "https://crm.example"

// transport gives a RoundTripper whose broker answers every request with the events.
func transport(t *testing.T, last error, events ...*onedoorv1.InvokeStreamResponse) (*client.Transport, *brokertest.Broker) {
	t.Helper()
	r := newRig(t, &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
		if err := sendAll(stream, events...); err != nil {
			return err
		}
		return last
	}})
	crm, err := r.client.Transport("crm", crmOrigin)
	require.NoError(t, err)
	return crm, r.broker
}

// answered is the head of an answer.
func answered(code int32, media string, headers map[string]string) *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Head{
		Head: &onedoorv1.InvokeStreamHead{InvocationId: "i1", Status: code, ContentType: media, Headers: headers},
	}}
}

// watched is a request's body that knows whether it was closed.
type watched struct {
	io.Reader
	closed bool
}

func (w *watched) Close() error { w.closed = true; return nil }

func request(t *testing.T, method, target, body string, header ...string) *http.Request {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, from)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTransportAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		method string
		events []*onedoorv1.InvokeStreamResponse
		status string
		header http.Header
		body   string
	}{
		"a whole one": {
			events: []*onedoorv1.InvokeStreamResponse{answered(200, "text/plain", map[string]string{"etag": `"7"`, "x-kind": "a"}), data("ab"), data(""), data("c"), end(3)},
			status: "200 OK", header: http.Header{"Etag": {`"7"`}, "X-Kind": {"a"}, "Content-Type": {"text/plain"}}, body: "abc",
		},
		"the upstream's error": {events: []*onedoorv1.InvokeStreamResponse{answered(503, "", nil), data("no"), end(2)}, status: "503 Service Unavailable", body: "no"},
		"a status of its own":  {events: []*onedoorv1.InvokeStreamResponse{answered(599, "", nil), end(0)}, status: "599"},
		"a redirect, followed by nobody": {
			events: []*onedoorv1.InvokeStreamResponse{answered(302, "", nil), end(0)}, status: "302 Found",
		},
		"none of how it travelled": {
			events: []*onedoorv1.InvokeStreamResponse{answered(200, "", map[string]string{"content-length": "7", "content-encoding": "gzip", "x-onedoor-invocation-id": "forged"}), data("a"), end(1)},
			status: "200 OK", body: "a",
		},
		"nothing":       {events: []*onedoorv1.InvokeStreamResponse{answered(204, "", nil), end(0)}, status: "204 No Content"},
		"only its head": {method: "HEAD", events: []*onedoorv1.InvokeStreamResponse{answered(200, "text/plain", nil), end(0)}, status: "200 OK", header: http.Header{"Content-Type": {"text/plain"}}},
	} {
		t.Run(name, func(t *testing.T) {
			crm, broker := transport(t, nil, tc.events...)
			answer, err := (&http.Client{Transport: crm}).Do(request(t, tc.method, crmOrigin+"/x", ""))
			require.NoError(t, err)
			defer func() { require.NoError(t, answer.Body.Close()) }()
			require.Equal(t, tc.status, answer.Status)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Equal(t, tc.body, string(body))
			if tc.header == nil {
				tc.header = http.Header{}
			}
			tc.header.Set("X-Onedoor-Invocation-Id", "i1")
			require.Equal(t, tc.header, answer.Header)
			require.Len(t, broker.Calls(), 1)
		})
	}
}

// An answer that is not whole never reads as one.
func TestTransportAnswerIsWhole(t *testing.T) {
	ended := brokertest.Refusal(codes.Unauthenticated, "TASK_ENDED", "revoked", 0)
	for name, tc := range map[string]struct {
		method string
		events []*onedoorv1.InvokeStreamResponse
		last   error
		reason client.Reason
		at     string // where it shows: "open" or "read"
	}{
		"no event":            {reason: client.OutcomeUnknown, at: "open"},
		"refused":             {last: ended, reason: client.TaskEnded, at: "open"},
		"no status":           {events: []*onedoorv1.InvokeStreamResponse{answered(0, "", nil), end(0)}, reason: client.OutcomeUnknown, at: "open"},
		"cut":                 {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab")}, reason: client.OutcomeUnknown, at: "read"},
		"cut by a stranger":   {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab")}, last: status.Error(codes.Unavailable, "x"), reason: client.OutcomeUnknown, at: "read"},
		"revoked":             {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab")}, last: ended, reason: client.TaskEnded, at: "read"},
		"a piece is missing":  {events: []*onedoorv1.InvokeStreamResponse{head(), data("ab"), end(3)}, reason: client.OutcomeUnknown, at: "read"},
		"an event of no kind": {events: []*onedoorv1.InvokeStreamResponse{head(), {}, end(0)}, reason: client.OutcomeUnknown, at: "read"},
		"a body behind HEAD":  {method: "HEAD", events: []*onedoorv1.InvokeStreamResponse{head(), data("ab"), end(2)}, reason: client.OutcomeUnknown, at: "open"},
		"HEAD without an end": {method: "HEAD", events: []*onedoorv1.InvokeStreamResponse{head()}, reason: client.OutcomeUnknown, at: "open"},
		"nothing, but cut":    {events: []*onedoorv1.InvokeStreamResponse{answered(204, "", nil)}, reason: client.OutcomeUnknown, at: "open"},
	} {
		t.Run(name, func(t *testing.T) {
			crm, broker := transport(t, tc.last, tc.events...)
			answer, err := (&http.Client{Transport: crm}).Do(request(t, tc.method, crmOrigin+"/x", ""))
			at := "open"
			if err == nil {
				at = "read"
				_, err = io.ReadAll(answer.Body)
				require.NoError(t, answer.Body.Close())
			} else {
				var outer *url.Error
				require.ErrorAs(t, err, &outer)
			}
			require.Equal(t, tc.at, at)
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.reason, e.Reason, "%v", err)
			require.ErrorIs(t, err, tc.reason)
			require.Len(t, broker.Calls(), 1, "nothing is asked twice")
		})
	}
}

func TestTransportTriesAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		refusal error
		key     string
		tries   int
	}{
		"rate limited":                  {brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow", 0), "", 2},
		"upstream unavailable":          {brokertest.Refusal(codes.Unavailable, "UPSTREAM_UNAVAILABLE", "down", 0), "", 2},
		"upstream unavailable, own key": {brokertest.Refusal(codes.Unavailable, "UPSTREAM_UNAVAILABLE", "down", 0), ownKey, 1},
		"SVID expired":                  {brokertest.Refusal(codes.Unauthenticated, "SVID_EXPIRED", "again", 0), "", 2},
		"outcome unknown":               {brokertest.Refusal(codes.Unknown, "OUTCOME_UNKNOWN", "lost", 0), "", 1},
		"conflict":                      {brokertest.Refusal(codes.Aborted, "CONFLICT", "used", 0), ownKey, 1},
		"not granted":                   {brokertest.Refusal(codes.PermissionDenied, "GRANT_MISSING", "no", 0), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, &brokertest.Broker{Stream: func(n int, _ brokertest.Call, stream grpc.ServerStream) error {
				if n == 1 {
					return tc.refusal
				}
				return sendAll(stream, head(), end(0))
			}})
			crm, err := r.client.Transport("crm", crmOrigin)
			require.NoError(t, err)
			asked := request(t, "POST", crmOrigin+"/x", `{"a":1}`)
			if tc.key != "" {
				asked.Header.Set("Idempotency-Key", tc.key)
			}
			answer, err := crm.RoundTrip(asked)
			require.Equal(t, tc.tries == 2, err == nil, "%v", err)
			if err == nil {
				require.NoError(t, answer.Body.Close())
			}
			calls := r.broker.Calls()
			require.Len(t, calls, tc.tries)
			for _, one := range calls {
				require.JSONEq(t, `{"a":1}`, string(one.Request.(*onedoorv1.RelayRequest).GetBody()), "the body goes along each time")
			}
		})
	}
}

func TestTransportContext(t *testing.T) {
	opened := make(chan struct{}, 1)
	broker := &brokertest.Broker{Stream: func(_ int, call brokertest.Call, stream grpc.ServerStream) error {
		if call.Request.(*onedoorv1.RelayRequest).GetPath() == "/streams" {
			if err := sendAll(stream, head(), data("first")); err != nil {
				return err
			}
		}
		opened <- struct{}{}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	r := newRig(t, broker)
	crm, err := r.client.Transport("crm", crmOrigin)
	require.NoError(t, err)
	t.Run("ends a request that waits", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-opened; cancel() }()
		_, err := crm.RoundTrip(request(t, "POST", crmOrigin+"/hangs", "{}").WithContext(ctx)) //nolint:bodyclose // an error has no body
		require.ErrorIs(t, err, client.OutcomeUnknown, "it was handed over")
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("ends a body that flows", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		answer, err := crm.RoundTrip(request(t, "GET", crmOrigin+"/streams", "").WithContext(ctx))
		require.NoError(t, err)
		defer func() { require.NoError(t, answer.Body.Close()) }()
		first := make([]byte, 5)
		_, err = io.ReadFull(answer.Body, first)
		require.NoError(t, err)
		require.Equal(t, "first", string(first), "it comes before the rest")
		<-opened
		cancel()
		_, err = io.ReadAll(answer.Body)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("ends the wait for the request's own body", func(t *testing.T) {
		before := len(broker.Calls())
		ctx, cancel := context.WithCancel(t.Context())
		own, filled := io.Pipe()
		asked, err := http.NewRequestWithContext(ctx, http.MethodPost, crmOrigin+"/x", own)
		require.NoError(t, err)
		go func() { _, _ = filled.Write([]byte("{")); cancel() }()
		_, err = crm.RoundTrip(asked) //nolint:bodyclose // an error has no body
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, client.ReasonOf(err), "nothing was sent")
		require.Len(t, broker.Calls(), before)
	})
	t.Run("a body that cannot be read", func(t *testing.T) {
		before := len(broker.Calls())
		broken := errors.New("disk on fire")
		asked, err := http.NewRequestWithContext(t.Context(), http.MethodPost, crmOrigin+"/x", io.MultiReader(strings.NewReader("{"), failing{broken}))
		require.NoError(t, err)
		_, err = crm.RoundTrip(asked) //nolint:bodyclose // an error has no body
		require.ErrorIs(t, err, broken)
		require.Len(t, broker.Calls(), before)
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestTransportBodyClosed(t *testing.T) {
	const object = `{"id":42}`
	t.Run("a moment before its end, which is awaited", func(t *testing.T) {
		ended, closed := make(chan error, 1), make(chan struct{})
		r := newRig(t, &brokertest.Broker{
			Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
				if err := sendAll(stream, head(), data(object)); err != nil {
					return err
				}
				<-closed
				ended <- errors.Join(stream.Context().Err(), sendAll(stream, end(int64(len(object)))))
				return nil
			},
			Answer: always(&onedoorv1.GetTaskResponse{}, nil),
		})
		crm, err := r.client.Transport("crm", crmOrigin)
		require.NoError(t, err)
		crm.SetLinger(time.Minute)
		answer, err := crm.RoundTrip(request(t, "GET", crmOrigin+"/x", ""))
		require.NoError(t, err)
		var found struct{ ID int }
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&found))
		require.NoError(t, answer.Body.Close())
		_, err = r.client.Task(t.Context()) // comes behind whatever Close has sent
		require.NoError(t, err)
		close(closed)
		require.NoError(t, <-ended)
		_, err = answer.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		require.NoError(t, answer.Body.Close(), "twice is once")
	})
	for name, piece := range map[string][]byte{
		"and no end in sight": []byte("data: x\n\n"),
		"and much to come":    bytes.Repeat([]byte("x"), 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			left := make(chan error, 1)
			r := newRig(t, &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
				if err := sendAll(stream, head(), data(string(piece))); err != nil {
					return err
				}
				<-stream.Context().Done()
				left <- stream.Context().Err()
				return nil
			}})
			crm, err := r.client.Transport("crm", crmOrigin)
			require.NoError(t, err)
			answer, err := crm.RoundTrip(request(t, "GET", crmOrigin+"/x", ""))
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			select {
			case err := <-left:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(30 * time.Second):
				t.Fatal("closing the body did not end the call")
			}
		})
	}
	t.Run("while somebody reads", func(t *testing.T) {
		crmClosed := make(chan error, 1)
		r := newRig(t, &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
			if err := sendAll(stream, head(), data("a")); err != nil {
				return err
			}
			<-stream.Context().Done()
			return nil
		}})
		crm, err := r.client.Transport("crm", crmOrigin)
		require.NoError(t, err)
		answer, err := crm.RoundTrip(request(t, "GET", crmOrigin+"/x", "")) //nolint:bodyclose // closed beside a goroutine that reads
		require.NoError(t, err)
		_, err = io.ReadFull(answer.Body, make([]byte, 1))
		require.NoError(t, err)
		go func() { _, err := answer.Body.Read(make([]byte, 1)); crmClosed <- err }()
		require.NoError(t, answer.Body.Close())
		require.Error(t, <-crmClosed)
	})
}
