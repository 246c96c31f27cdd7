package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// An HTTPS proxy under a CA of its own, that wants a client certificate and a secret, is
// given all of these; and the upstream behind it, over HTTP/2, nothing of them.
func TestTunnel(t *testing.T) {
	ca, proxyCA, clients := newAuthority(t), newAuthority(t), newAuthority(t)
	shown, _ := clients.client(t, "broker", time.Hour)
	config := proxyCA.server(t, "proxy.test")
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	config.ClientCAs.AddCert(clients.cert)
	f := serveProxy(t, config, nil)
	const proxySecret = "broker:proxy-canary-8d1f20c7"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxySecret))
	upstream := ca.serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", strings.TrimPrefix(basic, "Basic "))
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("Proxy-Status", "leak")
		_, _ = fmt.Fprintf(w, "%s %v %s", r.Proto, r.Header, basic)
	})
	both := named{host: "127.0.0.1", "proxy.test": "127.0.0.1"}
	b := newBench(t, ca, upstream.Listener.Addr(), both)
	_, port, _ := net.SplitHostPort(f.addr.String())
	b.behind(t, both, &proxySecrets{value: basic, version: "p@1"}, "https://proxy.test:"+port, func(p *egress.Proxy) {
		p.RootCAs, p.Certificate = proxyCA.pem, shown
	})
	for range 2 { // the second over the same tunnel
		res, text := b.fetch(t, &egress.Request{Method: "GET", Origin: b.origin, Path: "/", Header: http.Header{"Proxy-Authorization": {"evil"}, "Proxy-X": {"evil"}}})
		require.Contains(t, text, "HTTP/2.0")
		require.NotContains(t, text, "Proxy")
		require.NotContains(t, text, "evil")
		require.True(t, strings.HasSuffix(text, " Basic "+egress.Redacted), "the proxy's secret is scrubbed: %d bytes", len(text))
		require.Equal(t, egress.Redacted, res.Header.Get("X-Echo"))
		for name := range res.Header {
			require.NotContains(t, strings.ToLower(name), "proxy")
		}
	}
	at := strings.TrimPrefix(b.origin.String(), "https://"+host)
	require.Equal(t, []string{"CONNECT 127.0.0.1" + at + " HTTP/1.1\r\nHost: 127.0.0.1" + at + "\r\nProxy-Authorization: " + basic + "\r\n\r\n"}, f.seen())
}

func TestTunnelSendsTheNameWhereToldTo(t *testing.T) {
	ca := newAuthority(t)
	upstream := ca.serve(t, func(http.ResponseWriter, *http.Request) {})
	f := serveProxy(t, nil, func(c net.Conn, _ string) { honest(c, "CONNECT "+upstream.Listener.Addr().String()) })
	b := newBench(t, ca, upstream.Listener.Addr(), answer("127.0.0.1"))
	b.behind(t, answer("127.0.0.1"), nil, "http://"+f.addr.String(), func(p *egress.Proxy) { p.SendName = true })
	b.fetch(t, b.get("/path"))
	to := strings.TrimPrefix(b.origin.String(), "https://")
	require.Equal(t, []string{"CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n\r\n"}, f.seen())
	b.behind(t, answer("10.0.0.1"), nil, "http://"+f.addr.String(), func(p *egress.Proxy) { p.SendName = true })
	b.refuse(t, b.get("/path"), egress.Denied, false)
	require.Len(t, f.seen(), 1, "the name is judged before it is told")
}

// The proxy is asked for the next address where it cannot reach the one, four at most.
func TestTunnelTriesTheNextAddress(t *testing.T) {
	ca := newAuthority(t)
	upstream := ca.serve(t, func(http.ResponseWriter, *http.Request) {})
	f := serveProxy(t, nil, func(c net.Conn, head string) {
		if strings.Contains(head, "127.0.0.3") {
			honest(c, "CONNECT "+upstream.Listener.Addr().String())
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
	})
	addresses := "2001:4860:4860::8888 127.0.0.2 127.0.0.3"
	b := newBench(t, ca, upstream.Listener.Addr(), nil)
	b.behind(t, answer(addresses), nil, "http://"+f.addr.String(), nil)
	b.fetch(t, b.get("/path"))
	require.Len(t, f.seen(), 3)
	require.Contains(t, f.seen()[0], "CONNECT [2001:4860:4860::8888]:")
	b.behind(t, answer("127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 127.0.0.3"), nil, "http://"+f.addr.String(), nil)
	b.refuse(t, b.get("/path"), egress.Unreachable, false)
	require.Len(t, f.seen(), 7)
}

// Whatever a proxy does instead of its work, the call fails with a fixed text, nothing is
// sent, and nobody goes around the proxy.
func TestTunnelMisbehaves(t *testing.T) {
	says := func(text string) func(net.Conn, string) {
		return func(c net.Conn, _ string) { _, _ = io.WriteString(c, text); _, _ = io.Copy(io.Discard, c) }
	}
	const auth = "the proxy on the way refuses how the broker authenticates"
	behind := []string{"429", "502", "plaintext after it", "TLS of another CA", "closes when it stands"} // the proxy did its part
	for name, c := range map[string]struct {
		answer func(net.Conn, string)
		kind   egress.Kind
		cause  string
	}{
		"407":                   {says("HTTP/1.1 407 Proxy canary\r\nProxy-Authenticate: Basic realm=canary\r\n\r\ncanary"), egress.Denied, auth},
		"401":                   {says("HTTP/1.1 401 canary\r\n\r\n"), egress.Denied, auth},
		"403":                   {says("HTTP/1.1 403 canary\r\nContent-Length: 6\r\n\r\ncanary"), egress.Denied, "the proxy on the way refuses to connect to the upstream"},
		"429":                   {says("HTTP/1.1 429 canary\r\n\r\n"), egress.Unreachable, "the proxy on the way could not connect to the upstream"},
		"502":                   {says("HTTP/1.1 502 canary\r\n\r\n"), egress.Unreachable, "the proxy on the way could not connect to the upstream"},
		"redirect":              {says("HTTP/1.1 302 canary\r\nLocation: https://canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"continue":              {says("HTTP/1.1 100 canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"switching protocols":   {says("HTTP/1.1 101 canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"status of two digits":  {says("HTTP/1.1 20 canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"signed status":         {says("HTTP/1.1 +20 canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"garbage":               {says("canary canary canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"HTTP/2":                {says("\x00\x00\x00\x04\x00\x00\x00\x00\x00canary\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"HTTP/2 preface":        {says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"another version":       {says("HTTP/2.0 200 OK\r\n\r\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"bare line feeds":       {says("HTTP/1.1 200 OK\n\n"), egress.Unreachable, "HTTP/1.1 has it"},
		"closes":                {func(net.Conn, string) {}, egress.Unreachable, "closed the connection"},
		"closes in the header":  {func(c net.Conn, _ string) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ") }, egress.Unreachable, "closed the connection"},
		"endless header":        {endless("X: canary\r\n"), egress.Unreachable, "too large a header"},
		"endless line":          {endless("canary"), egress.Unreachable, "too large a header"},
		"bytes behind the 200":  {says("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\ncanary"), egress.Unreachable, "bytes of its own"},
		"a body":                {says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary"), egress.Unreachable, "bytes of its own"},
		"plaintext after it":    {plaintext, egress.Unreachable, "does not speak TLS"},
		"TLS of another CA":     {forging(newAuthority(t).server(t, host)), egress.Unreachable, "not trusted"},
		"closes when it stands": {func(c net.Conn, _ string) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }, egress.Unreachable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			upstream := ca.serve(t, func(http.ResponseWriter, *http.Request) { t.Error("somebody went around the proxy") })
			f := serveProxy(t, nil, c.answer)
			b := newBench(t, ca, upstream.Listener.Addr(), nil)
			b.behind(t, answer("127.0.0.1"), nil, "http://"+f.addr.String(), nil)
			err := b.refuse(t, b.get("/path"), c.kind, false)
			require.ErrorContains(t, err, c.cause)
			requireAtProxy(t, err, !slices.Contains(behind, name))
			require.NotEmpty(t, f.seen())
		})
	}
}

// What RFC 9110 says to ignore in the answer that opens a tunnel is ignored.
func TestTunnelIgnoresFraming(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.0 204 No Content\r\nnot a field\r\n\r\n",
	} {
		ca := newAuthority(t)
		upstream := ca.serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "through") })
		f := serveProxy(t, nil, func(c net.Conn, _ string) {
			up, err := net.Dial("tcp", upstream.Listener.Addr().String())
			if err != nil {
				return
			}
			defer func() { _ = up.Close() }()
			_, _ = io.WriteString(c, head)
			go func() { _, _ = io.Copy(up, c) }()
			_, _ = io.Copy(c, up)
		})
		b := newBench(t, ca, upstream.Listener.Addr(), nil)
		b.behind(t, answer("127.0.0.1"), nil, "http://"+f.addr.String(), nil)
		res, text := b.fetch(t, b.get("/path"))
		require.Equal(t, "through", text)
		require.Empty(t, res.Header.Get("Set-Cookie"))
	}
}

func endless(text string) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for err == nil {
			_, err = io.WriteString(c, text)
		}
	}
}

// plaintext waits for the first byte of the tunnel and answers in the clear.
func plaintext(c net.Conn, _ string) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	_, _ = c.Read(make([]byte, 1))
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary")
	_, _ = io.Copy(io.Discard, c)
}

// forging ends TLS itself, under an authority that nobody trusts.
func forging(config *tls.Config) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		conn := tls.Server(c, config)
		if conn.Handshake() == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// A proxy that says nothing is waited for as long as the exchange may take, and no longer.
func TestTunnelWaitsNoLongerThanTheCall(t *testing.T) {
	f := serveProxy(t, nil, func(c net.Conn, _ string) { _, _ = io.Copy(io.Discard, c) })
	b := newBench(t, newAuthority(t), f.addr, nil)
	b.behind(t, answer("127.0.0.1"), nil, "http://"+f.addr.String(), nil)
	b.limits.Total = 100 * time.Millisecond
	requireAtProxy(t, b.refuse(t, b.get("/path"), egress.TimedOut, false), false)
}

// Where the proxy cannot be reached nobody is, the upstream least of all.
func TestTunnelToNoProxy(t *testing.T) {
	ca, proxyCA := newAuthority(t), newAuthority(t)
	upstream := ca.serve(t, func(http.ResponseWriter, *http.Request) { t.Error("somebody went around the proxy") })
	clients := newAuthority(t)
	strict := proxyCA.server(t, "proxy.test")
	strict.ClientAuth, strict.ClientCAs, strict.MaxVersion = tls.RequireAndVerifyClientCert, x509.NewCertPool(), tls.VersionTLS12
	strict.ClientCAs.AddCert(clients.cert)
	demanding, secure, other := serveProxy(t, strict, nil), serveProxy(t, proxyCA.server(t, "proxy.test"), nil), serveProxy(t, proxyCA.server(t, "other.test"), nil)
	plain, weak := serveProxy(t, nil, nil), serveProxy(t, proxyCA.weak(t, "proxy.test"), nil)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close())
	talker, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = talker.Close() }()
	go func() {
		for c, err := talker.Accept(); err == nil; c, err = talker.Accept() {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}()
	at := func(name string, a net.Addr) string {
		_, port, _ := net.SplitHostPort(a.String())
		return name + ":" + port
	}
	trust := func(p *egress.Proxy) { p.RootCAs = proxyCA.pem }
	for name, c := range map[string]struct {
		url   string
		names named
		edit  func(*egress.Proxy)
		kind  egress.Kind
		cause string
	}{
		"dead":                    {"http://" + dead.Addr().String(), nil, nil, egress.Unreachable, "the proxy on the way: connection refused"},
		"no such name":            {"http://nowhere.test:80", nil, nil, egress.Unreachable, "the proxy on the way: the name does not exist"},
		"in no range of its own":  {"http://" + plain.addr.String(), nil, func(p *egress.Proxy) { p.AllowRanges = nil }, egress.Denied, "the proxy on the way: its name leads to an address that may not be reached"},
		"a name that leads there": {at("http://proxy.test", plain.addr), nil, func(p *egress.Proxy) { p.AllowRanges = nil }, egress.Denied, "an address that may not be reached"},
		"a metadata service":      {"http://169.254.169.254:80", nil, func(p *egress.Proxy) { p.AllowRanges = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }, egress.Denied, "an address that may not be reached"},
		"another CA":              {at("https://proxy.test", secure.addr), nil, nil, egress.Unreachable, "not trusted"},
		"the upstream's CA":       {at("https://proxy.test", secure.addr), nil, func(p *egress.Proxy) { p.RootCAs = ca.pem }, egress.Unreachable, "not trusted"},
		"another name":            {at("https://proxy.test", other.addr), nil, trust, egress.Unreachable, "for another name"},
		"a short RSA key":         {at("https://proxy.test", weak.addr), nil, trust, egress.Unreachable, "less than 2048 bits"},
		"no client certificate":   {at("https://proxy.test", demanding.addr), nil, trust, egress.Unreachable, "the proxy on the way"},
		"no TLS there":            {at("https://proxy.test", talker.Addr()), nil, trust, egress.Unreachable, "does not speak TLS"},
		"TLS there":               {at("http://proxy.test", secure.addr), nil, nil, egress.Unreachable, "the proxy on the way"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, ca, upstream.Listener.Addr(), nil)
			b.behind(t, named{host: "127.0.0.1", "proxy.test": "127.0.0.1"}, nil, c.url, c.edit)
			err := b.refuse(t, b.get("/path"), c.kind, false)
			require.ErrorContains(t, err, c.cause)
			requireAtProxy(t, err, true)
		})
	}
}
