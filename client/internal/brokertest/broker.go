package brokertest

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// Call is one RPC as the broker saw it.
type Call struct {
	// Method is the full name of the RPC.
	Method string
	// Authorization is what came in that header.
	Authorization []string
	// Serial is the serial number of the client's SVID.
	Serial string
	// Peer is the client's address: one a connection.
	Peer string
	// Request is the request message.
	Request any
}

// Broker answers every unary RPC by Answer and every stream by Stream.
type Broker struct {
	// Addr is the value for ONEDOOR_ADDR.
	Addr string
	// MaxTLS is the highest TLS version that it speaks; 0 means 1.3, the lowest then too.
	MaxTLS uint16
	// Answer gives the response or the error of a unary RPC. n counts the calls from 1.
	Answer func(ctx context.Context, n int, call Call) (any, error)
	// Stream answers InvokeStream and Relay, whose events have the same bytes.
	Stream func(n int, call Call, stream grpc.ServerStream) error

	server *grpc.Server

	mu           sync.Mutex
	calls        []Call
	disconnected func()
}

// OnDisconnect has f called when the next connection ends.
func (b *Broker) OnDisconnect(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disconnected = f
}

// connections is the stats.Handler that sees connections end.
type connections struct{ b *Broker }

// HandleConn implements stats.Handler.
func (c connections) HandleConn(_ context.Context, event stats.ConnStats) {
	if _, ended := event.(*stats.ConnEnd); !ended {
		return
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.b.disconnected != nil {
		c.b.disconnected()
		c.b.disconnected = nil
	}
}

// TagConn implements stats.Handler.
func (connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC implements stats.Handler.
func (connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (connections) HandleRPC(context.Context, stats.RPCStats) {}

// Start serves b as spiffe://test.example/broker, until Close, under a new authority, which it
// gives.
func Start(b *Broker) (*Authority, error) {
	authority, err := NewAuthority("test.example")
	if err != nil {
		return nil, err
	}
	source, err := authority.NewSource("/broker")
	if err != nil {
		return nil, err
	}
	return authority, b.serve(source)
}

// serve lets b answer as source's workload over mutual TLS until Close.
func (b *Broker) serve(source *Source) error {
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeAny())
	if config.MaxVersion = b.MaxTLS; b.MaxTLS == 0 {
		config.MinVersion = tls.VersionTLS13
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.Addr = listener.Addr().String()
	b.server = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(8<<20), // as the broker has it
		grpc.StatsHandler(connections{b}),
		grpc.UnaryInterceptor(b.unary),
		grpc.StreamInterceptor(b.stream),
	)
	onedoorv1.RegisterBrokerServer(b.server, onedoorv1.UnimplementedBrokerServer{})
	onedoorv1.RegisterTasksServer(b.server, onedoorv1.UnimplementedTasksServer{})
	onedoorv1.RegisterConnectorsServer(b.server, onedoorv1.UnimplementedConnectorsServer{})
	onedoorv1.RegisterCredentialsServer(b.server, onedoorv1.UnimplementedCredentialsServer{})
	onedoorv1.RegisterAuditServer(b.server, onedoorv1.UnimplementedAuditServer{})
	onedoorv1.RegisterUsageServer(b.server, onedoorv1.UnimplementedUsageServer{})
	onedoorv1.RegisterKeysServer(b.server, onedoorv1.UnimplementedKeysServer{})
	go func() { _ = b.server.Serve(listener) }()
	return nil
}

// Close cuts every connection.
func (b *Broker) Close() { b.server.Stop() }

// Calls gives the RPCs so far.
func (b *Broker) Calls() []Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Call(nil), b.calls...)
}

func (b *Broker) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	n, call := b.note(ctx, info.FullMethod, request)
	return b.Answer(ctx, n, call)
}

func (b *Broker) stream(_ any, stream grpc.ServerStream, info *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
	var request proto.Message = new(onedoorv1.InvokeStreamRequest)
	if info.FullMethod == onedoorv1.Broker_Relay_FullMethodName {
		request = new(onedoorv1.RelayRequest)
	}
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	n, call := b.note(stream.Context(), info.FullMethod, request)
	return b.Stream(n, call, stream)
}

func (b *Broker) note(ctx context.Context, method string, request any) (int, Call) {
	call := Call{Method: method, Authorization: metadata.ValueFromIncomingContext(ctx, "authorization"), Request: request}
	if p, ok := peer.FromContext(ctx); ok {
		call.Peer = p.Addr.String()
		call.Serial = p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].SerialNumber.String()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
	return len(b.calls), call
}

// Refusal makes the status that a broker sends: pairs are keys and values of metadata.
func Refusal(code codes.Code, reason, message string, retryAfter time.Duration, pairs ...string) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: "onedoor", Metadata: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		info.Metadata[pairs[i]] = pairs[i+1]
	}
	st := status.New(code, message)
	var err error
	if retryAfter > 0 {
		st, err = st.WithDetails(info, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	} else {
		st, err = st.WithDetails(info)
	}
	if err != nil {
		return err
	}
	return st.Err()
}
