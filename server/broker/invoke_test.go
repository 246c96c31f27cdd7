package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
)

func TestAllowedCall(t *testing.T) {
	b := newBench(t)
	// The number and the order of the keys survive, both ways, byte for byte.
	const sent = `{"q":{"z":1,"a":9007199254740993},"n":1.0}`
	const body = `{"z":9007199254740993,"a":[1.00,1e3],"items":[ ]}`
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != sent || r.URL.RequestURI() != "/list" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("X-Total", "12")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body)
	})
	c := b.call(t, "contacts.list", sent, "crm: contacts.list READ contact:*")
	answer, err := b.Invoke(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	require.Equal(t, body, string(answer.Body))
	require.Equal(t, "application/json; charset=utf-8", answer.ContentType)
	require.Empty(t, answer.Headers, "this tool names none")

	rows := b.rows(t, c)
	require.Len(t, rows, 2)
	for _, e := range rows {
		require.Equal(t, "crm", e.Connector)
		require.Equal(t, "contacts.list", e.Tool)
		require.Equal(t, []string{"contact:*"}, e.Resources)
		require.Equal(t, b.revision, e.Revision)
		require.Equal(t, c.Grants.Grants()[0].ID, e.GrantID)
		require.NotEmpty(t, e.CredentialID)
		require.EqualValues(t, 1, e.CredentialVersion)
		require.EqualValues(t, len(sent), e.RequestBytes)
	}
	require.Equal(t, audit.OK, rows[1].Outcome)
	require.Equal(t, 200, rows[1].UpstreamStatus)
	require.EqualValues(t, len(body), rows[1].ResponseBytes)
}

// What the upstream says is passed on as it is, save what must not be.
func TestUpstreamsOwnAnswers(t *testing.T) {
	cases := map[string]struct {
		handle  http.HandlerFunc
		status  int
		body    string
		headers map[string]string
		result  audit.Result
		detail  string
	}{
		"500 is a success that carries it": {text(500, `{"error":"boom"}`), 500, `{"error":"boom"}`, map[string]string{}, audit.UpstreamError, ""},
		"404":                              {text(404, ``), 404, ``, map[string]string{}, audit.UpstreamError, ""},
		"header that the tool allows": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Total", "12")
			w.Header().Set("X-Other", "13")
			w.Header().Set("Set-Cookie", "a=b")
		}, 200, ``, map[string]string{"x-total": "12"}, audit.OK, ""},
		"redirect is not followed": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 307, "<a href=\"/elsewhere\">Temporary Redirect</a>.\n\n", map[string]string{}, audit.OK, ""},
		"the secret is taken out": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Total", r.Header.Get("Authorization"))
			_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization"))
		}, 200, "you sent Bearer [redacted]", map[string]string{"x-total": "Bearer [redacted]"}, audit.OK, `{"redactions":2}`},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.answer(k.handle)
			c := b.call(t, "contacts.get", `{"id":1}`, all)
			answer, err := b.Invoke(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, k.status, answer.Status)
			require.Equal(t, k.body, string(answer.Body))
			require.Equal(t, k.headers, answer.Headers)
			require.EqualValues(t, 1, b.hits.Load())
			o := b.outcome(t, c)
			require.Equal(t, k.result, o.Outcome)
			require.Equal(t, k.status, o.UpstreamStatus)
			require.Equal(t, k.detail, o.Detail)
			require.Empty(t, o.Reason)
		})
	}
}

// hang keeps the upstream's answer back until the test is over.
func hang(t *testing.T) http.HandlerFunc {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(http.ResponseWriter, *http.Request) { <-over }
}

// breakOff ends the connection without an answer.
func breakOff(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestUpstreamFailures(t *testing.T) {
	cases := map[string]struct {
		tool, arguments, grant string
		prepare                func(t *testing.T, b *bench)
		reason                 fault.Reason
		status                 string // upstream_status of the error
		result                 audit.Result
		hits                   int64
	}{
		"nobody listens": {"contacts.add", `{}`, all, func(_ *testing.T, b *bench) {
			b.upstream.Close()
		}, fault.UpstreamUnavailable, "", audit.NotSent, 0},
		"the name points inwards": {"contacts.add", `{}`, all, func(_ *testing.T, b *bench) {
			b.names.addr.Store(netip.MustParseAddr("10.0.0.1"))
		}, fault.EgressDenied, "", audit.NotSent, 0},
		"metadata service": {"contacts.add", `{}`, all, func(_ *testing.T, b *bench) {
			b.names.addr.Store(netip.MustParseAddr("169.254.169.254"))
		}, fault.EgressDenied, "", audit.NotSent, 0},
		"no answer to a write": {"contacts.slow", `{}`, "crm: contacts.slow WRITE contact:*", func(t *testing.T, b *bench) {
			b.answer(hang(t))
		}, fault.OutcomeUnknown, "", audit.Unknown, 1},
		"no answer to a read": {"contacts.slow_read", `{}`, "crm: contacts.slow_read READ contact:*", func(t *testing.T, b *bench) {
			b.answer(hang(t))
		}, fault.UpstreamTimeout, "", audit.Unknown, 1},
		"broken off before the answer": {"contacts.add", `{}`, all, func(_ *testing.T, b *bench) {
			b.answer(breakOff)
		}, fault.OutcomeUnknown, "", audit.Unknown, 1},
		"broken off in the answer": {"contacts.add", `{}`, all, func(_ *testing.T, b *bench) {
			b.answer(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "half")
				w.(http.Flusher).Flush()
				breakOff(w, r)
			})
		}, fault.OutcomeUnknown, "200", audit.Failed, 1},
		"larger than the tool allows": {"contacts.get", `{"id":1}`, all, func(_ *testing.T, b *bench) {
			b.answer(text(201, strings.Repeat("x", 1025)))
		}, fault.ResponseTooLarge, "201", audit.Failed, 1},
		"larger than the grant allows": {"contacts.get", `{"id":1}`, "crm: contacts.get READ contact:* bytes=10", func(_ *testing.T, b *bench) {
			b.answer(text(200, strings.Repeat("x", 11)))
		}, fault.LimitReached, "200", audit.Failed, 1},
		"a coding in which no secret is found": {"contacts.get", `{"id":1}`, all, func(_ *testing.T, b *bench) {
			b.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "compress")
				_, _ = w.Write([]byte("{}"))
			})
		}, fault.OutcomeUnknown, "", audit.Unknown, 1},
		"more rows than the grant allows": {"contacts.list", `{}`, "crm: contacts.list READ contact:* rows=2", func(_ *testing.T, b *bench) {
			b.answer(text(200, `{"items":[1,2,3]}`))
		}, fault.LimitReached, "200", audit.Failed, 1},
		"rows that cannot be counted": {"contacts.list", `{}`, "crm: contacts.list READ contact:* rows=2", func(_ *testing.T, b *bench) {
			b.answer(text(200, `{"rows":[1]}`))
		}, fault.LimitReached, "200", audit.Failed, 1},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			k.prepare(t, b)
			c := b.call(t, k.tool, k.arguments, k.grant)
			answer, err := b.Invoke(t.Context(), c)
			requireReason(t, k.reason, err)
			require.Nil(t, answer)
			require.Equal(t, k.status, fault.From(err).Metadata["upstream_status"])
			require.Equal(t, k.hits, b.hits.Load(), "sent once, or not at all")
			o := b.outcome(t, c)
			require.Equal(t, k.result, o.Outcome)
			require.Equal(t, string(k.reason), o.Reason)
			if k.status != "" {
				require.Equal(t, k.status, fmt.Sprint(o.UpstreamStatus))
			}
		})
	}
}

func TestRowsAndBytesAreCounted(t *testing.T) {
	b := newBench(t)
	b.answer(text(200, `{"items":[1,2]}`))
	c := b.call(t, "contacts.list", `{}`, "crm: contacts.list READ contact:* rows=5")
	for range 2 {
		_, err := b.Invoke(t.Context(), again(c))
		require.NoError(t, err)
	}
	_, err := b.Invoke(t.Context(), again(c))
	requireReason(t, fault.LimitReached, err)
	b.answer(text(500, `{"items":"none"}`))
	_, err = b.Invoke(t.Context(), again(c))
	require.NoError(t, err, "an error of the upstream brings no rows")
	b.answer(text(200, `{"items":[1]}`))
	_, err = b.Invoke(t.Context(), again(c))
	require.NoError(t, err, "what was withheld was not counted")
	hits := b.hits.Load()
	_, err = b.Invoke(t.Context(), again(c))
	requireReason(t, fault.LimitReached, err)
	require.Equal(t, hits, b.hits.Load(), "used up: nothing is sent any more")
}

func TestCallersEndIsRecorded(t *testing.T) {
	ended := fault.New(fault.TaskEnded, "the task ended while the call was running", nil)
	for name, k := range map[string]struct {
		cause  error
		reason string
	}{
		"gave up":       {context.Canceled, "CANCELLED"},
		"out of time":   {context.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		"task ended":    {ended, "TASK_ENDED"},
		"task is ended": {fmt.Errorf("wrapped: %w", ended), "TASK_ENDED"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			over := hang(t)
			b.answer(func(w http.ResponseWriter, r *http.Request) {
				cancel(k.cause)
				over(w, r)
			})
			c := b.call(t, "contacts.add", `{}`, all)
			_, err := b.Invoke(ctx, c)
			require.Error(t, err)
			o := b.outcome(t, c)
			require.Equal(t, audit.Unknown, o.Outcome, "it was sent")
			require.Equal(t, k.reason, o.Reason)
		})
	}
}

// TestACutIsRecordedOnce: a call that is cut before it has left has one outcome, which says
// why, and no refusal beside it.
func TestACutIsRecordedOnce(t *testing.T) {
	ended := fault.New(fault.TaskEnded, "the task ended while the call was running", nil)
	for name, when := range map[string]func(b *bench, cut func()){
		"while it is recorded": func(b *bench, cut func()) { b.trailStore.written = cut },
		"while it connects":    func(b *bench, cut func()) { b.names.asked = cut },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			c := b.call(t, "contacts.add", `{}`, all)
			when(b, func() { cancel(ended) })
			_, err := b.Invoke(ctx, c)
			require.Error(t, err)
			require.Zero(t, b.hits.Load())
			o := b.outcome(t, c)
			require.Equal(t, audit.NotSent, o.Outcome)
			require.Equal(t, "TASK_ENDED", o.Reason)
		})
	}
}

func TestCancelledBeforeAnything(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	c := b.call(t, "contacts.add", `{}`, all)
	_, err := b.Invoke(ctx, c)
	require.Error(t, err)
	require.Zero(t, b.hits.Load())
	for _, e := range b.rows(t, c) {
		if e.Kind == audit.OutcomeRow {
			require.Equal(t, audit.NotSent, e.Outcome)
		}
	}
}
