package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"
)

// maxReceive is the largest answer that is taken, in bytes: the broker's own limit on
// an upstream's body, with room for headers.
const maxReceive = 80 << 20

// dialer opens connections to one broker as one workload.
type dialer struct {
	addr   string
	broker spiffeid.ID
	source X509Source
}

// open makes a connection that is established at the first RPC. refused receives the
// reason whenever whoever answers does not prove to be the broker.
func (d dialer) open(refused *atomic.Pointer[error]) (*grpc.ClientConn, error) {
	return grpc.NewClient(d.addr,
		grpc.WithTransportCredentials(credentials.NewTLS(d.tlsConfig(refused))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
		grpc.WithStatsHandler(departures{}),
		// Neither the environment nor a DNS record may redirect calls or have them repeated.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	)
}

// tlsConfig is brokerTLS that tells refused who was turned away.
func (d dialer) tlsConfig(refused *atomic.Pointer[error]) *tls.Config {
	config := brokerTLS(d.addr, d.broker, d.source)
	verify := config.VerifyPeerCertificate
	//nolint:gosec // brokerTLS resumes no session
	config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		err := verify(raw, chains)
		if err != nil {
			refused.Store(&err)
			return err
		}
		refused.Store(nil)
		return nil
	}
	return config
}

// bearer attaches a task key to an RPC. The key stands in a closure, where no printing
// of a Client reaches it.
type bearer struct{ header func() map[string]string }

func newBearer(key TaskKey) bearer {
	value := "Bearer " + string(key)
	return bearer{header: func() map[string]string { return map[string]string{"authorization": value} }}
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return b.header(), nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return true }

// departures notes which RPCs were handed to a connection. Of an RPC that never was,
// one can say that nothing happened; of any other, only the broker can.
type departures struct{}

type departedKey struct{}

// withDeparture gives a context whose RPC sets the flag when it leaves.
func withDeparture(ctx context.Context) (context.Context, *atomic.Bool) {
	left := new(atomic.Bool)
	return context.WithValue(ctx, departedKey{}, left), left
}

// HandleRPC implements stats.Handler.
func (departures) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); !ok {
		return
	}
	if left, ok := ctx.Value(departedKey{}).(*atomic.Bool); ok {
		left.Store(true)
	}
}

// TagRPC implements stats.Handler.
func (departures) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (departures) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (departures) HandleConn(context.Context, stats.ConnStats) {}
