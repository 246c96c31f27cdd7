package testenv

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sidecar is a running `onedoor sidecar`.
type Sidecar struct {
	*Process
	// URL is where it listens on loopback; empty where it does on a socket.
	URL string
}

// Sidecar starts one as a workload, on a free port unless args say otherwise, until the
// test ends, and waits for its identity. It is given no task key.
func (b *Broker) Sidecar(t testing.TB, as Role, args ...string) *Sidecar {
	t.Helper()
	s := b.SidecarAt(t, b.sockets[as], args...)
	Eventually(t, "the sidecar's identity", func() bool { return strings.Contains(s.Log(), `"msg":"identity"`) })
	return s
}

// SidecarAt starts one whose Workload API is at a socket.
func (b *Broker) SidecarAt(t testing.TB, socket string, args ...string) *Sidecar {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--listen", "127.0.0.1:0"}
	}
	p, err := startAs(nil, []string{"ONEDOOR_REST_URL=" + b.RESTURL, "ONEDOOR_BROKER_ID=" + b.ID, "SPIFFE_ENDPOINT_SOCKET=" + socket},
		Binary(t, "onedoor"), append([]string{"sidecar"}, args...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
	return &Sidecar{Process: p, URL: strings.TrimPrefix(firstLine(p.Log(), "Listening at http://"), "Listening at ")}
}

// REST makes requests through the sidecar with a task key, or without one.
func (s *Sidecar) REST(t testing.TB, key string) *REST {
	t.Helper()
	return plain(t, s.URL, key, nil)
}

// SocketREST makes requests through a sidecar's unix socket.
func SocketREST(t testing.TB, path, key string) *REST {
	t.Helper()
	return plain(t, "http://localhost", key, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	})
}

func plain(t testing.TB, base, key string, dial func(context.Context, string, string) (net.Conn, error)) *REST {
	t.Helper()
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &REST{client: &http.Client{Transport: transport}, base: base, key: key}
}
