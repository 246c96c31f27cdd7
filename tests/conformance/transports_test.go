package conformance_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// transports are all ways in.
func transports() []transport {
	return []transport{
		{"grpc", by(callGRPC)},
		{"grpc-stream", by(callGRPCStream)},
		{"rest", by(callREST)},
		{"rest-stream", by(callRESTStream)},
		{"passthrough", by(callPassthrough)},
		{"mcp", by(callMCP)},
		{"go", by(callGo)},
		{"go-stream", by(callGoStream)},
		{"python", openPython("sync", "invoke")},
		{"python-stream", openPython("sync", "stream")},
		{"asyncio", openPython("asyncio", "invoke")},
		{"asyncio-stream", openPython("asyncio", "stream")},
	}
}

// by makes a transport that keeps nothing from one call to the next.
func by(call func(t *testing.T, b *testenv.Broker, key string, c testCase) result) func(t *testing.T, b *testenv.Broker) caller {
	return func(_ *testing.T, b *testenv.Broker) caller {
		return func(t *testing.T, key string, c testCase) result { return call(t, b, key, c) }
	}
}

// stub gives generated code alone, over a connection that any gRPC program could make.
func stub(t *testing.T, b *testenv.Broker) onedoorv1.BrokerClient {
	t.Helper()
	conn, err := grpc.NewClient(b.Addr, grpc.WithTransportCredentials(credentials.NewTLS(b.TLS(t, testenv.Sandbox))))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return onedoorv1.NewBrokerClient(conn)
}

func callGRPC(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
	got, err := stub(t, b).Invoke(ctx, &onedoorv1.InvokeRequest{Connector: c.Connector, Tool: c.Tool, ArgumentsJson: []byte(c.Arguments)})
	if err != nil {
		return refused(t, err)
	}
	return result{Status: int(got.GetStatus()), Body: string(got.GetBody())}
}

func callGRPCStream(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
	stream, err := stub(t, b).InvokeStream(ctx, &onedoorv1.InvokeStreamRequest{Connector: c.Connector, Tool: c.Tool, ArgumentsJson: []byte(c.Arguments)})
	require.NoError(t, err)
	var got result
	for {
		m, err := stream.Recv()
		if err != nil {
			return refused(t, err)
		}
		if head := m.GetHead(); head != nil {
			got.Status = int(head.GetStatus())
		}
		got.Body += string(m.GetData())
		if m.GetEnd() != nil {
			return got
		}
	}
}

// refused reads a gRPC status as any program would.
func refused(t *testing.T, err error) result {
	t.Helper()
	s := status.Convert(err)
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			require.Equal(t, "onedoor", info.GetDomain())
			return result{Code: s.Code(), Reason: info.GetReason()}
		}
	}
	t.Fatalf("no reason: %v", err)
	return result{}
}

func invokeBody(t *testing.T, c testCase) string {
	t.Helper()
	text, err := json.Marshal(map[string]json.RawMessage{"connector": quoted(c.Connector), "tool": quoted(c.Tool)})
	require.NoError(t, err)
	return string(text[:len(text)-1]) + `,"arguments":` + c.Arguments + "}" // Marshal would tidy them up
}

func quoted(s string) json.RawMessage {
	text, _ := json.Marshal(s) // a string always can
	return text
}

func callREST(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	got := b.REST(t, testenv.Sandbox, key).Do(t, http.MethodPost, "/v1/invoke", invokeBody(t, c))
	if got.Status != http.StatusOK {
		return result{HTTP: got.Status, Reason: got.Reason(t)}
	}
	var answer struct {
		Status     int
		Body       json.RawMessage
		BodyBase64 []byte
	}
	require.NoError(t, json.Unmarshal([]byte(got.Body), &answer), got.Body)
	body := string(answer.Body)
	if answer.BodyBase64 != nil {
		body = string(answer.BodyBase64)
	}
	return result{Status: answer.Status, Body: body}
}

func callRESTStream(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	got := b.REST(t, testenv.Sandbox, key).Do(t, http.MethodPost, "/v1/invoke:stream", invokeBody(t, c))
	if got.Status != http.StatusOK {
		return result{HTTP: got.Status, Reason: got.Reason(t)}
	}
	return readEvents(t, got.Body)
}

func callPassthrough(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	got := b.REST(t, testenv.Sandbox, key).Do(t, c.Passthrough.Method, "/c/"+c.Connector+c.Passthrough.Path, c.Passthrough.Body)
	if got.Header.Get("X-Onedoor-Reason") != "" {
		return result{HTTP: got.Status, Reason: got.Header.Get("X-Onedoor-Reason")}
	}
	return result{Status: got.Status, Body: got.Body}
}

// dial opens our own client. A key of the caller's own keeps it from trying again, which
// would stand in the trail.
func dial(t *testing.T, b *testenv.Broker, key string) (*client.Client, client.CallOption) {
	t.Helper()
	return b.Client(t, testenv.Sandbox, key), client.WithIdempotencyKey(uuid.NewString())
}

func callGo(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	onedoor, once := dial(t, b, key)
	got, err := onedoor.Invoke(t.Context(), c.Connector, c.Tool, []byte(c.Arguments), once)
	if err != nil {
		return refusedGo(t, err)
	}
	return result{Status: got.Status, Body: string(got.Body)}
}

func callGoStream(t *testing.T, b *testenv.Broker, key string, c testCase) result {
	onedoor, once := dial(t, b, key)
	stream, err := onedoor.InvokeStream(t.Context(), c.Connector, c.Tool, []byte(c.Arguments), once)
	if err != nil {
		return refusedGo(t, err)
	}
	got := result{Status: stream.Status}
	for piece, err := range stream.Data() {
		if err != nil {
			return refusedGo(t, err)
		}
		got.Body += string(piece)
	}
	return got
}

func refusedGo(t *testing.T, err error) result {
	t.Helper()
	var e *client.Error
	require.True(t, errors.As(err, &e), "%v", err)
	return result{Code: e.Code(), Reason: string(e.Reason)}
}

// readEvents puts a stream of our own over REST together: a head, pieces, an end, or an
// error in the place of either.
func readEvents(t *testing.T, lines string) result {
	t.Helper()
	var got result
	whole := false
	for line := range strings.Lines(lines) {
		var event struct {
			Head       *struct{ Status int }
			Text       string
			DataBase64 []byte
			End        *struct{}
			Error      *struct {
				Details []struct{ Reason string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		require.False(t, whole, "something follows the end")
		if event.Error != nil {
			return result{Reason: event.Error.Details[0].Reason}
		}
		if event.Head != nil {
			got.Status = event.Head.Status
		}
		got.Body += event.Text + string(event.DataBase64)
		whole = event.End != nil
	}
	require.True(t, whole, "an answer without an end: %s", lines)
	return got
}
