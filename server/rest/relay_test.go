package rest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

type events = grpc.ServerStreamingServer[onedoorv1.InvokeStreamResponse]

func head() *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Head{Head: &onedoorv1.InvokeStreamHead{
		InvocationId: "i", Status: 200, Headers: map[string]string{"a": "b"}, ContentType: "text/event-stream"}}}
}

func data(s string) *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_Data{Data: []byte(s)}}
}

func end(n int64) *onedoorv1.InvokeStreamResponse {
	return &onedoorv1.InvokeStreamResponse{Event: &onedoorv1.InvokeStreamResponse_End{End: &onedoorv1.InvokeStreamEnd{BodyBytes: n}}}
}

const headLine = `{"head":{"invocationId":"i","status":200,"headers":{"a":"b"},"contentType":"text/event-stream"}}`

// Each event arrives while the handler waits to send the next.
func TestEventsArriveAsTheyAreSent(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			taken := make(chan struct{})
			conn, chain := connect(t, &broker{stream: func(_ *onedoorv1.InvokeStreamRequest, s events) error {
				require.Equal(t, metadata.MD{"authorization": {"Bearer k"}}, incoming(s.Context()))
				for _, e := range []*onedoorv1.InvokeStreamResponse{head(), data("tok\nen é"), data("\xc3"), data("\xa9"), data(""), end(14)} {
					if err := s.Send(e); err != nil {
						return err
					}
					select {
					case <-taken:
					case <-s.Context().Done():
						return s.Context().Err()
					}
				}
				return nil
			}})
			client, url := listen(t, rest.NewHandler(conn, rest.Options{}), http2)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/invoke:stream", strings.NewReader(`{"tool":"t"}`))
			require.NoError(t, err)
			r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer k"}, "Grpc-Timeout": {"1n"}}
			answer, err := client.Do(r)
			require.NoError(t, err)
			defer func() { require.NoError(t, answer.Body.Close()) }()
			require.Equal(t, 200, answer.StatusCode)
			require.Equal(t, "application/x-ndjson", answer.Header.Get("Content-Type"))
			require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))

			lines := bufio.NewReader(answer.Body)
			for _, want := range []string{headLine, `{"text":"tok\nen é"}`, `{"dataBase64":"ww=="}`, `{"dataBase64":"qQ=="}`, `{"text":""}`, `{"end":{"bodyBytes":14}}`} {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, want+"\n", line)
				taken <- struct{}{}
			}
			_, err = lines.ReadByte()
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, []string{onedoorv1.Broker_InvokeStream_FullMethodName}, chain.methods)
		})
	}
}

func TestADisconnectedClientEndsTheHandler(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		http2 bool
	}{
		"stream, HTTP/1.1": {"/v1/invoke:stream", false}, "stream, HTTP/2": {"/v1/invoke:stream", true},
		"unary, HTTP/1.1": {"/v1/invoke", false}, "unary, HTTP/2": {"/v1/invoke", true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			hang := func(ctx context.Context) error {
				cancel() // the client's
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			}
			conn, _ := connect(t, &broker{
				stream: func(_ *onedoorv1.InvokeStreamRequest, s events) error {
					return errors.Join(s.Send(head()), hang(s.Context()))
				},
				invoke: func(ctx context.Context, _ *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
					return nil, hang(ctx)
				},
			})
			client, url := listen(t, rest.NewHandler(conn, rest.Options{}), c.http2)
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+c.path, strings.NewReader(`{}`))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			// The answer may still come while the connection closes: either is right.
			if answer, err := client.Do(r); err == nil {
				require.NoError(t, answer.Body.Close())
			}
			select {
			case err := <-ended:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(20 * time.Second):
				t.Fatal("the handler still runs")
			}
		})
	}
}

func TestStreamsThatFail(t *testing.T) {
	refused := func() error {
		return withDetails(codes.ResourceExhausted, &errdetails.ErrorInfo{Reason: "RATE_LIMITED", Domain: "onedoor"})
	}
	const asLine = `{"error":{"code":8,"message":"said so","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMITED","domain":"onedoor"}]}}`
	const internalLine = `{"error":{"code":13,"message":"internal error","details":[]}}`
	cases := map[string]struct {
		send   []*onedoorv1.InvokeStreamResponse
		err    error
		status int
		lines  []string
	}{
		"before the head": {nil, refused(), 429, nil},
		"without a head":  {nil, nil, 500, nil},
		"after the head":  {[]*onedoorv1.InvokeStreamResponse{head()}, refused(), 200, []string{headLine, asLine}},
		"in the middle":   {[]*onedoorv1.InvokeStreamResponse{head(), data("a")}, errors.New("password"), 200, []string{headLine, `{"text":"a"}`, internalLine}},
		"no end":          {[]*onedoorv1.InvokeStreamResponse{head()}, nil, 200, []string{headLine}},
		"no event":        {[]*onedoorv1.InvokeStreamResponse{head(), {}, data("a")}, nil, 200, []string{headLine, internalLine}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, &broker{stream: func(_ *onedoorv1.InvokeStreamRequest, s events) error {
				for _, e := range c.send {
					if err := s.Send(e); err != nil {
						return err
					}
				}
				return c.err
			}})
			w := ask(rest.NewHandler(conn, rest.Options{}), post("/v1/invoke:stream", "{}"))
			require.Equal(t, c.status, w.Code)
			if c.lines == nil {
				require.Equal(t, "application/json", w.Header().Get("Content-Type"))
				parse(t, w.Body.Bytes())
				return
			}
			require.Equal(t, strings.Join(c.lines, "\n")+"\n", w.Body.String())
		})
	}
}

// The limit on reading a request does not end the answer to it.
func TestALongAnswerOutlivesItsRequestsTimeout(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 3 * time.Second // the handshake must fit
			conn, _ := connect(t, &broker{stream: func(_ *onedoorv1.InvokeStreamRequest, s events) error {
				if err := s.Send(head()); err != nil {
					return err
				}
				select {
				case <-time.After(limit + limit/2):
					return s.Send(end(0))
				case <-s.Context().Done():
					return s.Context().Err()
				}
			}})
			server := httptest.NewUnstartedServer(nil)
			server.Config = rest.HTTPServer(rest.NewHandler(conn, rest.Options{}), nil, rest.Times{}, slog.New(slog.DiscardHandler))
			server.Config.ReadTimeout = limit
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			answer, err := server.Client().Post(server.URL+"/v1/invoke:stream", "application/json", strings.NewReader("{}"))
			require.NoError(t, err)
			got, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, headLine+"\n"+`{"end":{"bodyBytes":0}}`+"\n", string(got))
		})
	}
}
