package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

type relayStream = grpc.ServerStreamingServer[onedoorv1.RelayResponse]

func relayHead(code int32, contentType string, headers map[string]string) *onedoorv1.RelayResponse {
	return &onedoorv1.RelayResponse{Event: &onedoorv1.RelayResponse_Head{Head: &onedoorv1.InvokeStreamHead{
		InvocationId: "inv-1", Status: code, ContentType: contentType, Headers: headers,
	}}}
}

func relayData(text string) *onedoorv1.RelayResponse {
	return &onedoorv1.RelayResponse{Event: &onedoorv1.RelayResponse_Data{Data: []byte(text)}}
}

func relayEnd() *onedoorv1.RelayResponse {
	return &onedoorv1.RelayResponse{Event: &onedoorv1.RelayResponse_End{End: &onedoorv1.InvokeStreamEnd{}}}
}

// answering is a broker that notes what arrives, and answers with events.
func answering(events ...*onedoorv1.RelayResponse) (b *broker, asked *onedoorv1.RelayRequest, md metadata.MD) {
	asked, md = &onedoorv1.RelayRequest{}, metadata.MD{}
	return &broker{relay: func(in *onedoorv1.RelayRequest, s relayStream) error {
		got, _ := metadata.FromIncomingContext(s.Context())
		for name, values := range got {
			md[name] = values
		}
		asked.Connector, asked.Method, asked.Path, asked.Query = in.GetConnector(), in.GetMethod(), in.GetPath(), in.GetQuery()
		asked.ContentType, asked.Body, asked.IdempotencyKey = in.GetContentType(), in.GetBody(), in.GetIdempotencyKey()
		for _, e := range events {
			if err := s.Send(e); err != nil {
				return err
			}
		}
		return nil
	}}, asked, md
}

// passed is what the SDKs read of an error.
type passed struct {
	Type  string
	Error struct {
		Message, Type, Code, Status, Param string
		Metadata                           map[string]string
	}
	Code    int
	Message string
	Details []struct{ Reason, Domain string }
}

func readPassed(t *testing.T, w *httptest.ResponseRecorder) passed {
	t.Helper()
	var p passed
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), w.Body.String())
	require.Equal(t, "error", p.Type)
	require.Equal(t, "onedoor_error", p.Error.Type)
	require.Equal(t, p.Error.Code, p.Error.Status)
	require.Equal(t, p.Error.Code, w.Header().Get("X-Onedoor-Reason"))
	require.Equal(t, p.Error.Message, p.Message)
	require.NotZero(t, p.Code)
	require.Equal(t, p.Error.Code, p.Details[0].Reason, "as in every other error over REST")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	return p
}

// The request passes as it stood on the wire, and of its headers the key alone.
func TestPassRequest(t *testing.T) {
	b, asked, md := answering(relayHead(200, "text/plain", nil), relayData("hi"), relayEnd())
	conn, chain := connect(t, b)
	r := post("/c/openai/v1//x/%2e%2e/Y?a=%20b&a", `{"model":"m"}`)
	for name, value := range map[string]string{
		"Authorization": "Bearer key", "X-Api-Key": "key", "Idempotency-Key": "0199A7C6-9A3E-7000-8000-000000000001", "Anthropic-Version": "1", "Cookie": "a=b",
		"Grpc-Metadata-X": "y", "X-Onedoor-Jwt-Svid": "z", "X-Stainless-Lang": "python", "OpenAI-Organization": "o", "User-Agent": "sdk",
	} {
		r.Header.Set(name, value)
	}
	w := ask(rest.NewHandler(conn, rest.Options{}), r)
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Equal(t, "hi", w.Body.String())
	require.Equal(t, []string{"/onedoor.v1.Broker/Relay"}, chain.methods, "it passes the chain")
	require.Equal(t, "openai POST /v1//x/%2e%2e/Y a=%20b&a application/json", strings.Join(
		[]string{asked.GetConnector(), asked.GetMethod(), asked.GetPath(), asked.GetQuery(), asked.GetContentType()}, " "))
	require.Equal(t, `{"model":"m"}`, string(asked.GetBody()))
	require.Equal(t, "0199a7c6-9a3e-7000-8000-000000000001", asked.GetIdempotencyKey())
	require.Equal(t, metadata.MD{"authorization": {"Bearer key"}}, md)
}

// The answer is the upstream's, but what we say of it an upstream cannot say.
func TestPassAnswer(t *testing.T) {
	b, _, _ := answering(relayHead(429, "application/json", map[string]string{
		"retry-after": "3", "x-should-retry": "true", "x-onedoor-reason": "spoofed", "x-onedoor-invocation-id": "spoofed", "cache-control": "public", "content-type": "text/html",
	}), relayData("{\"a\":\n"), relayData("1 }\x00\xff"), relayEnd())
	conn, _ := connect(t, b)
	h := rest.NewHandler(conn, rest.Options{})
	w := ask(h, post("/c/openai/v1/responses", "{}"))
	require.Equal(t, 429, w.Code)
	require.Equal(t, "{\"a\":\n1 }\x00\xff", w.Body.String())
	require.True(t, w.Flushed)
	require.Equal(t, http.Header{
		"Content-Type": {"application/json"}, "Retry-After": {"3"}, "X-Should-Retry": {"true"}, "X-Onedoor-Invocation-Id": {"inv-1"},
		"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
	}, w.Header())

	keyed := post("/c/openai/v1/responses", "{}")
	keyed.Header.Set("Idempotency-Key", "once")
	require.Equal(t, "false", ask(h, keyed).Header().Get("X-Should-Retry"), "a repeat would be a CONFLICT")

	b, _, _ = answering(relayHead(200, "", nil), relayData("<html>"), relayEnd())
	conn, _ = connect(t, b)
	require.Empty(t, ask(rest.NewHandler(conn, rest.Options{}), post("/c/openai/v1/responses", "{}")).Header().Values("Content-Type"), "no type is guessed")
}

func TestPassIdempotencyKey(t *testing.T) {
	b, asked, _ := answering(relayHead(200, "", nil), relayEnd())
	conn, _ := connect(t, b)
	h := rest.NewHandler(conn, rest.Options{})
	key := func(text string) string {
		r := post("/c/openai/v1/responses", "{}")
		r.Header.Set("Idempotency-Key", text)
		require.Equal(t, 200, ask(h, r).Code)
		return asked.GetIdempotencyKey()
	}
	require.Empty(t, key(""))
	id := uuid.NewString()
	require.Equal(t, id, key(id))
	require.Equal(t, "f583b009-1ed1-5219-88bf-c49be75f9691", key("stainless-node-retry-1"), "the same for ever")
	require.NotEqual(t, key("a"), key("b"))
	for _, odd := range []string{"urn:uuid:" + id, "{" + id + "}", strings.ReplaceAll(id, "-", "")} {
		require.NoError(t, uuid.Validate(key(odd)))
		require.Len(t, key(odd), 36)
		require.NotEqual(t, id, key(odd))
	}
}

// fail is an error of the chain.
func chainError(code codes.Code, reason, public string, metadata map[string]string) error {
	st, err := status.New(code, public).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "onedoor", Metadata: metadata})
	if err != nil {
		return err
	}
	return st.Err()
}

// An error has the form that the SDKs show, and tells them whether to try again.
func TestPassErrors(t *testing.T) {
	for _, tt := range []struct {
		reason string
		code   codes.Code
		status int
		// What the SDKs are told about a repeat, without and with an idempotency key.
		repeat, keyed bool
	}{
		{"TASK_KEY_INVALID", codes.Unauthenticated, 401, false, false},
		{"RESOURCE_NOT_GRANTED", codes.PermissionDenied, 403, false, false},
		{"TOOL_UNKNOWN", codes.NotFound, 404, false, false},
		{"ARGUMENT_INVALID", codes.InvalidArgument, 400, false, false},
		{"LIMIT_REACHED", codes.FailedPrecondition, 400, false, false},
		{"CONFLICT", codes.Aborted, 409, false, false},
		{"RATE_LIMITED", codes.ResourceExhausted, 429, true, true},
		{"STORE_UNAVAILABLE", codes.Unavailable, 503, true, true},
		{"AUDIT_UNAVAILABLE", codes.Unavailable, 503, true, true},
		{"UPSTREAM_UNAVAILABLE", codes.Unavailable, 503, true, false},
		{"UPSTREAM_TIMEOUT", codes.DeadlineExceeded, 504, true, false},
		{"OUTCOME_UNKNOWN", codes.Unknown, 500, false, false},
		{"INTERNAL", codes.Internal, 500, false, false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			conn, _ := connect(t, &broker{relay: func(*onedoorv1.RelayRequest, relayStream) error {
				return chainError(tt.code, tt.reason, "field: why not", map[string]string{"field": "model", "invocation_id": "inv-1"})
			}})
			h := rest.NewHandler(conn, rest.Options{})
			for key, repeat := range map[string]bool{"": tt.repeat, "once": tt.keyed} {
				r := post("/c/openai/v1/responses", "{}")
				r.Header.Set("Idempotency-Key", key)
				w := ask(h, r)
				require.Equal(t, tt.status, w.Code)
				p := readPassed(t, w)
				require.Equal(t, tt.reason, p.Error.Code)
				require.Equal(t, tt.reason+": field: why not", p.Error.Message)
				require.Equal(t, "model", p.Error.Param)
				require.Equal(t, "inv-1", p.Error.Metadata["invocation_id"])
				require.Equal(t, "inv-1", w.Header().Get("X-Onedoor-Invocation-Id"))
				require.Equal(t, repeat, w.Header().Get("X-Should-Retry") != "false", "key %q", key)
			}
		})
	}
	t.Run("without a reason", func(t *testing.T) {
		conn, _ := connect(t, &broker{relay: func(*onedoorv1.RelayRequest, relayStream) error {
			return status.Error(codes.DeadlineExceeded, "the call's deadline has passed")
		}})
		w := ask(rest.NewHandler(conn, rest.Options{}), post("/c/openai/v1/responses", "{}"))
		require.Equal(t, 504, w.Code)
		require.Contains(t, w.Body.String(), `"code":"DeadlineExceeded"`)
		require.Equal(t, "false", w.Header().Get("X-Should-Retry"), "nobody knows whether it was sent")
	})
}

func TestPassRefusesBodies(t *testing.T) {
	conn, chain := connect(t, &broker{})
	h := rest.NewHandler(conn, rest.Options{})
	zipped := post("/c/openai/v1/responses", "{}")
	zipped.Header.Set("Content-Encoding", "gzip")
	w := ask(h, zipped)
	require.Equal(t, 415, w.Code)
	require.Equal(t, "content-encoding", readPassed(t, w).Error.Param)
	w = ask(h, post("/c/openai/v1/responses", `{"input":"`+strings.Repeat("x", rest.MaxBody)+`"}`))
	require.Equal(t, 413, w.Code)
	require.Equal(t, "ARGUMENT_INVALID", readPassed(t, w).Error.Code)
	require.Empty(t, chain.methods)
	plain := post("/c/openai/v1/responses", "{}")
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, plain) // not over TLS
	require.Equal(t, 401, recorder.Code)
	require.Equal(t, "SVID_MISSING", readPassed(t, recorder).Error.Code)
}

// The prefix must stand on the wire as it is: in an escape it is another path.
func TestPassPrefix(t *testing.T) {
	conn, chain := connect(t, &broker{})
	h := rest.NewHandler(conn, rest.Options{})
	for _, target := range []string{"/%63/openai/v1/models", "/c%2fopenai/v1/models", "/C/openai/v1/models", "/c", "/x/../c/openai/v1/models", "https://example.com/c/openai/v1/models"} {
		require.Equal(t, 404, ask(h, httptest.NewRequest(http.MethodGet, target, nil)).Code, target)
	}
	require.Empty(t, chain.methods)
}

// A broken answer breaks the connection: nobody can take it for a whole one.
func TestPassBrokenAnswer(t *testing.T) {
	for name, run := range map[string]func(relayStream) error{
		"an error":      func(relayStream) error { return chainError(codes.Unknown, "OUTCOME_UNKNOWN", "lost", nil) },
		"no end":        func(relayStream) error { return nil },
		"a second head": func(s relayStream) error { return s.Send(relayHead(200, "", nil)) },
		"more after the end": func(s relayStream) error {
			if err := s.Send(relayEnd()); err != nil {
				return err
			}
			return s.Send(relayData("more"))
		},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(name+" "+map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
				conn, _ := connect(t, &broker{relay: func(_ *onedoorv1.RelayRequest, s relayStream) error {
					if err := s.Send(relayHead(200, "text/event-stream", nil)); err != nil {
						return err
					}
					if err := s.Send(relayData("data: 1\n\n")); err != nil {
						return err
					}
					return run(s)
				}})
				client, url := listen(t, rest.NewHandler(conn, rest.Options{}), http2)
				response, err := client.Post(url+"/c/openai/v1/responses", "application/json", strings.NewReader("{}"))
				require.NoError(t, err)
				defer func() { _ = response.Body.Close() }()
				require.Equal(t, 200, response.StatusCode)
				text, err := io.ReadAll(response.Body)
				require.Error(t, err)
				require.Equal(t, "data: 1\n\n", string(text))
			})
		}
	}
}

// The first piece is there while the second does not exist; when the client goes, so
// does the call.
func TestPassAsItComes(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			read, gone := make(chan struct{}), make(chan error, 1)
			conn, _ := connect(t, &broker{relay: func(_ *onedoorv1.RelayRequest, s relayStream) error {
				for _, e := range []*onedoorv1.RelayResponse{relayHead(200, "text/event-stream", nil), relayData("data: 1\n\n")} {
					if err := s.Send(e); err != nil {
						return err
					}
				}
				select {
				case <-read:
				case <-s.Context().Done():
					return s.Context().Err()
				}
				if err := s.Send(relayData("data: 2\n\n")); err != nil {
					return err
				}
				<-s.Context().Done()
				gone <- s.Context().Err()
				return s.Context().Err()
			}})
			client, url := listen(t, rest.NewHandler(conn, rest.Options{}), http2)
			ctx, leave := context.WithTimeout(t.Context(), time.Minute)
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/c/openai/v1/responses", strings.NewReader("{}"))
			require.NoError(t, err)
			response, err := client.Do(r)
			require.NoError(t, err)
			defer func() { _ = response.Body.Close() }()
			lines := bufio.NewScanner(response.Body)
			require.True(t, lines.Scan())
			require.Equal(t, "data: 1", lines.Text())
			close(read)
			require.True(t, lines.Scan())
			require.True(t, lines.Scan())
			require.Equal(t, "data: 2", lines.Text())
			leave()
			require.ErrorIs(t, <-gone, context.Canceled)
		})
	}
}
