package egress_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestDoDemandsTLS(t *testing.T) {
	ca := newAuthority(t)
	good := ca.server(t, host)
	with := func(edit func(*tls.Config)) *tls.Config {
		c := good.Clone()
		edit(c)
		return c
	}
	answer200 := func(_ int, c net.Conn) {
		readRequest(c, 0)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	for _, c := range []struct {
		name   string
		config *tls.Config
		roots  []byte
		kind   egress.Kind // 0: works
		says   string
	}{
		{"TLS 1.3", with(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), ca.pem, 0, ""},
		{"TLS 1.2", with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), ca.pem, 0, ""},
		{"TLS 1.1", with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), ca.pem, egress.Unreachable, "handshake was refused"},
		{"another CA", good, newAuthority(t).pem, egress.Unreachable, "not trusted"},
		{"the system's CAs", good, nil, egress.Unreachable, "not trusted"},
		{"another name", ca.server(t, "other.test"), ca.pem, egress.Unreachable, "for another name"},
		{"no certificate in the CA text", good, []byte("-----BEGIN NONSENSE-----"), egress.Denied, "holds no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, ca, rawUpstream(t, c.config, answer200), answer("127.0.0.1"))
			b.policy.RootCAs = c.roots
			if c.kind == 0 {
				b.fetch(t, b.get("/"))
				return
			}
			require.ErrorContains(t, b.refuse(t, b.get("/path"), c.kind, false), c.says)
		})
	}
	t.Run("plain HTTP", func(t *testing.T) {
		plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(plain.Close)
		b := newBench(t, ca, plain.Listener.Addr(), answer("127.0.0.1"))
		require.ErrorContains(t, b.refuse(t, b.get("/path"), egress.Unreachable, false), "does not speak TLS")
	})
	t.Run("the server sees the origin's name", func(t *testing.T) {
		seen := make(chan string, 1)
		config := with(func(c *tls.Config) {
			c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { seen <- h.ServerName; return nil, nil }
		})
		b := newBench(t, ca, rawUpstream(t, config, answer200), answer("127.0.0.1"))
		b.fetch(t, b.get("/"))
		require.Equal(t, host, <-seen)
	})
	t.Run("an expired certificate by the clock given", func(t *testing.T) {
		b := newBench(t, ca, rawUpstream(t, good, answer200), nil)
		later := func() time.Time { return time.Now().Add(48 * time.Hour) }
		b.door = egress.New(egress.Options{Resolver: answer("127.0.0.1"), Now: later})
		require.ErrorContains(t, b.refuse(t, b.get("/path"), egress.Unreachable, false), "certificate is not valid")
	})
}

func TestDoUnreachable(t *testing.T) {
	ca := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	b := newBench(t, ca, l.Addr(), answer("127.0.0.1"))
	t.Run("nobody listens", func(t *testing.T) {
		require.ErrorContains(t, b.refuse(t, b.get("/path"), egress.Unreachable, false), "connection refused")
	})
	t.Run("no address", func(t *testing.T) {
		b := newBench(t, ca, l.Addr(), answer(""))
		b.refuse(t, b.get("/path"), egress.Unreachable, false)
	})
	t.Run("no such name", func(t *testing.T) {
		req := b.get("/path")
		req.Origin = origin(t, "https://canary.test")
		require.ErrorContains(t, b.refuse(t, req, egress.Unreachable, false), "does not exist")
	})
	t.Run("the second address answers", func(t *testing.T) {
		server := ca.serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		b := newBench(t, ca, server.Listener.Addr(), answer("127.0.0.9 127.0.0.1"))
		_, text := b.fetch(t, b.get("/"))
		require.Equal(t, "ok", text)
	})
}
