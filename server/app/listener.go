package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"

	"github.com/onedoor/onedoor/server/limit"
)

// bind opens a listener whose connections are bounded.
func (a *App) bind(name, address string) (*limit.Listener, error) {
	plain, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listeners.%s: %w", name, err)
	}
	l := limit.NewListener(plain, a.config.Limits.Connections, a.config.Limits.ConnectionsPerWorkload)
	err = a.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "onedoor_connections", Help: "Connections open now.", ConstLabels: prometheus.Labels{"listener": name},
	}, func() float64 { return float64(l.Open()) }))
	if err != nil {
		_ = plain.Close()
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// provenCreds tell the listener who a peer has proved to be.
type provenCreds struct {
	credentials.TransportCredentials
	listener *limit.Listener
}

// ServerHandshake does the handshake, and then sees whether this peer may have one more
// connection.
func (c provenCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	proven, ok := info.(credentials.TLSInfo)
	if !ok {
		_ = conn.Close()
		return nil, nil, errNoTLS
	}
	if err := c.listener.Prove(raw, proven.State); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, info, nil
}

// Clone keeps the listener.
func (c provenCreds) Clone() credentials.TransportCredentials {
	return provenCreds{c.TransportCredentials.Clone(), c.listener}
}

// prove is the hook of net/http for the same: a connection is active as soon as a request
// begins to arrive, behind the handshake.
func prove(l *limit.Listener) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		secured, ok := conn.(*tls.Conn)
		if !ok || state != http.StateActive {
			return
		}
		if l.Prove(secured.NetConn(), secured.ConnectionState()) != nil {
			_ = conn.Close()
		}
	}
}
