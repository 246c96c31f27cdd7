package testenv

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/onedoor/onedoor/server/config"
)

// Collector takes spans over OTLP/gRPC, on loopback and in clear text, and keeps them.
type Collector struct {
	collector.UnimplementedTraceServiceServer
	addr string

	mu   sync.Mutex
	text strings.Builder
}

// NewCollector serves until the test ends. It must be made before the brokers that send
// to it, so that it ends after them.
func NewCollector(t testing.TB) *Collector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &Collector{addr: l.Addr().String()}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-served })
	return c
}

// Export keeps what it is sent.
func (c *Collector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	text := prototext.MarshalOptions{Multiline: true}.Format(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.WriteString(text)
	return &collector.ExportTraceServiceResponse{}, nil
}

// Spans gives all that was received so far, as text.
func (c *Collector) Spans() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// Tracing has a broker send a span of every call.
func (c *Collector) Tracing(conf *config.Config) {
	conf.Telemetry = config.Telemetry{OTLPEndpoint: c.addr, OTLPInsecure: true, SampleRatio: 1}
}
