package rest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker answers as the test says; what is nil is unimplemented.
type broker struct {
	onedoorv1.UnimplementedBrokerServer
	invoke  func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error)
	stream  func(*onedoorv1.InvokeStreamRequest, grpc.ServerStreamingServer[onedoorv1.InvokeStreamResponse]) error
	relay   func(*onedoorv1.RelayRequest, relayStream) error
	explain func(context.Context, *onedoorv1.ExplainRequest) (*onedoorv1.ExplainResponse, error)
	task    func(context.Context) (*onedoorv1.GetTaskResponse, error)
	tools   func(context.Context) (*onedoorv1.ListToolsResponse, error)
}

func (b *broker) Invoke(ctx context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
	if b.invoke == nil {
		return &onedoorv1.InvokeResponse{}, nil
	}
	return b.invoke(ctx, r)
}

func (b *broker) InvokeStream(r *onedoorv1.InvokeStreamRequest, s grpc.ServerStreamingServer[onedoorv1.InvokeStreamResponse]) error {
	return b.stream(r, s)
}

func (b *broker) Relay(r *onedoorv1.RelayRequest, s relayStream) error { return b.relay(r, s) }

func (b *broker) Explain(ctx context.Context, r *onedoorv1.ExplainRequest) (*onedoorv1.ExplainResponse, error) {
	return b.explain(ctx, r)
}

func (b *broker) GetTask(ctx context.Context, _ *onedoorv1.GetTaskRequest) (*onedoorv1.GetTaskResponse, error) {
	return b.task(ctx)
}

func (b *broker) ListTools(ctx context.Context, _ *onedoorv1.ListToolsRequest) (*onedoorv1.ListToolsResponse, error) {
	return b.tools(ctx)
}

// chain is an interceptor chain that records which methods passed it.
type chain struct{ methods []string }

func (c *chain) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c.methods = append(c.methods, info.FullMethod)
	return next(ctx, req)
}

func (c *chain) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c.methods = append(c.methods, info.FullMethod)
	return next(srv, s)
}

// connect runs b behind a chain that lets everything pass.
func connect(t testing.TB, b *broker) (*rest.InProcess, *chain) {
	c := &chain{}
	conn := rest.NewInProcess(c.unary, c.stream)
	onedoorv1.RegisterBrokerServer(conn, b)
	t.Cleanup(conn.Wait)
	return conn, c
}

// listen serves h over TLS with the limits of production and gives a client that
// speaks HTTP/2 or 1.1.
func listen(t testing.TB, h http.Handler, http2 bool) (*http.Client, string) {
	server := httptest.NewUnstartedServer(nil)
	server.Config = rest.HTTPServer(h, nil, rest.Times{}, slog.New(slog.DiscardHandler))
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Client(), server.URL
}

// ask sends one request straight to the handler, as if over TLS.
func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	r.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// post makes a request with a JSON body.
func post(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// problem is the form of every error.
type problem struct {
	Code    int
	Message string
	Details []struct {
		Type       string `json:"@type"`
		Reason     string
		Domain     string
		Metadata   map[string]string
		RetryDelay string
	}
}

// parse reads an error and checks that nothing but our form is there.
func parse(t testing.TB, body []byte) problem {
	var p problem
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&p), "%s", body)
	_, err := d.Token()
	require.ErrorIs(t, err, io.EOF)
	return p
}

// incoming gives a copy of the metadata that a handler sees.
func incoming(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx)
	return md
}

// setHeaders sets header and trailer as a handler may.
func setHeaders(ctx context.Context, t testing.TB) {
	require.NoError(t, grpc.SetHeader(ctx, metadata.Pairs("x-internal", "1", "set-cookie", "a=b")))
	require.NoError(t, grpc.SetTrailer(ctx, metadata.Pairs("x-internal", "1")))
}
