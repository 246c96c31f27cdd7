package egress_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// A secret that is not there, or whose answer could not be searched for it, sends nobody
// to the proxy without one; and a new version gets connections of its own.
func TestTunnelSecrets(t *testing.T) {
	ca := newAuthority(t)
	upstream := ca.serve(t, func(http.ResponseWriter, *http.Request) {})
	f := serveProxy(t, nil, nil)
	b := newBench(t, ca, upstream.Listener.Addr(), nil)
	for name, c := range map[string]struct {
		secrets egress.ProxySecrets
		kind    egress.Kind
	}{
		"none":        {&proxySecrets{err: fmt.Errorf("canary: %w", egress.ErrNoProxySecret)}, egress.Denied},
		"unreadable":  {&proxySecrets{err: errors.New("canary")}, egress.Unreachable},
		"no version":  {&proxySecrets{value: "Bearer proxy-secret"}, egress.Denied},
		"no scrubber": {&proxySecrets{value: "Bearer proxy-secret", version: "p@1", unscrubbed: true}, egress.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			b.behind(t, answer("127.0.0.1"), c.secrets, "http://"+f.addr.String(), nil)
			requireAtProxy(t, b.refuse(t, b.get("/path"), c.kind, false), !strings.HasPrefix(name, "no "))
		})
	}
	b.behind(t, answer("127.0.0.1"), nil, "http://"+f.addr.String(), func(p *egress.Proxy) { p.Authenticates = true })
	b.refuse(t, b.get("/path"), egress.Denied, false)
	require.Empty(t, f.seen())

	secrets := &proxySecrets{value: "Bearer first-proxy-secret", version: "p@1"}
	b.behind(t, answer("127.0.0.1"), secrets, "http://"+f.addr.String(), nil)
	b.fetch(t, b.get("/path"))
	b.fetch(t, b.get("/path"))
	require.Len(t, f.seen(), 1)
	secrets.set("Bearer second-proxy-secret", "p@2")
	b.fetch(t, b.get("/path"))
	require.Len(t, f.seen(), 2)
	require.Contains(t, f.seen()[1], "Proxy-Authorization: Bearer second-proxy-secret\r\n")
}

// What a call attaches goes to the upstream, so it may not be for a proxy.
func TestProxyHeadersAreNotAttached(t *testing.T) {
	b := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for _, name := range []string{"Proxy-Authorization", "proxy_authorization", "Proxy-Connection-X"} {
		att := bearer(t)
		require.NoError(t, att.SetHeader(name, "Bearer "+secret))
		_, err := b.door.Do(t.Context(), b.key, b.policy, b.get("/path"), att, b.limits)
		requireError(t, err, egress.Denied, false)
	}
}

// The CA of a proxy that inspects is trusted for the connectors that it inspects, their
// token endpoints among them, and for nobody else; whoever must be known by a certificate
// is refused, since the proxy could not pass that on.
func TestTunnelInspected(t *testing.T) {
	ca, inspector := newAuthority(t), newAuthority(t)
	upstream := ca.serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "upstream") })
	inspecting := true
	f := serveProxy(t, nil, func(c net.Conn, head string) {
		if !inspecting {
			honest(c, head)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		conn := tls.Server(c, inspector.server(t, host))
		if conn.Handshake() == nil {
			readRequest(conn, 0)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ninspected")
		}
	})
	b := newBench(t, ca, upstream.Listener.Addr(), nil)
	b.behind(t, answer("127.0.0.1"), nil, "http://"+f.addr.String(), func(p *egress.Proxy) {
		p.InspectionCAs, p.Inspects = inspector.pem, scopes(t, "w/crm")
	})
	for _, connector := range []string{"crm", "crm|token-endpoint"} {
		b.key.Connector = connector
		_, text := b.fetch(t, b.get("/path"))
		require.Equal(t, "inspected", text)
	}
	for _, key := range []egress.PoolKey{{Workspace: "w", Connector: "crm2"}, {Workspace: "w2", Connector: "crm"}, {Connector: "issuer:https://crm"}} {
		b.key = key
		b.refuse(t, b.get("/path"), egress.Unreachable, false)
	}
	b.key = egress.PoolKey{Workspace: "w", Connector: "crm"}
	shown, _ := ca.client(t, "broker", time.Hour)
	before := len(f.seen())
	_, err := b.ask(t, shown)
	require.ErrorContains(t, requireError(t, err, egress.Denied, false), "inspects this connection")
	requireAtProxy(t, err, false)
	b.policy.ServerID = spiffeid.RequireFromString("spiffe://prod.example/crm")
	require.ErrorContains(t, b.refuse(t, b.get("/path"), egress.Denied, false), "inspects this connection")
	b.policy.ServerID = spiffeid.ID{}
	require.Len(t, f.seen(), before)

	// Where it steps aside the upstream is known by its own CA, as without it.
	inspecting = false
	b.key.Revision = 2
	_, text := b.fetch(t, b.get("/path"))
	require.Equal(t, "upstream", text)

	// Without the proxy its CA means nothing.
	direct := newBench(t, inspector, upstream.Listener.Addr(), answer("127.0.0.1"))
	direct.refuse(t, direct.get("/path"), egress.Unreachable, false)
}
