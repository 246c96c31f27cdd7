package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestDoExchanges(t *testing.T) {
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Proto, r.Host, r.RequestURI, body)
	})
	res, text := b.fetch(t, &egress.Request{Method: "POST", Origin: b.origin, Path: "/a%20b/c", Query: "q=1&r=%2F", Body: []byte("hello")})
	require.Equal(t, http.StatusCreated, res.Status)
	require.Equal(t, "application/json", res.ContentType)
	require.Equal(t, "POST HTTP/2.0 "+strings.TrimPrefix(b.origin.String(), "https://")+" /a%20b/c?q=1&r=%2F hello", text)
}

// One request, byte by byte: exactly one Authorization, which is ours; the Host is the
// origin's; nothing that Connection names, nothing that routes or authorises.
func TestDoBytesOnTheWire(t *testing.T) {
	ca := newAuthority(t)
	got := make(chan string, 10)
	addr := rawUpstream(t, ca.server(t, host), func(_ int, c net.Conn) {
		got <- readRequest(c, 4)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		more, _ := io.ReadAll(c)
		got <- string(more)
	})
	b := newBench(t, ca, addr, answer("127.0.0.1"))
	header := http.Header{"X-Plain": {"1"}, "x-lower": {"2"}, "Connection": {"X-Named, Authorization, close"}, "X-Named": {"3"}, "X_named": {"4"}}
	for _, name := range []string{
		"Authorization", "authorization", "AUTHORIZATION", "Cookie", "Host", "host", "Proxy-Authorization", "Proxy-Connection", "Forwarded",
		"X-Forwarded-For", "X_Forwarded_Host", "X-Real-Ip", "Via", "X-Onedoor-Jwt-Assertion", "Txn-Token", "Accept-Encoding", "Te", "Trailer",
		"Upgrade", "Expect", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "Transfer-Encoding", "Content-Length", "Range", "If-Range", "Keep-Alive",
	} {
		header[name] = []string{"evil"}
	}
	_, text := b.fetch(t, &egress.Request{Method: "POST", Origin: b.origin, Path: "/p", Query: "q=1", Header: header, Body: []byte("body")})
	require.Equal(t, "ok", text)
	b.door.Close()

	request := <-got
	lines := strings.Split(request, "\r\n")
	require.Equal(t, "POST /p?q=1 HTTP/1.1", lines[0])
	require.ElementsMatch(t, []string{
		"Host: " + strings.TrimPrefix(b.origin.String(), "https://"), "User-Agent: onedoor", "Content-Length: 4", "Accept-Encoding: gzip",
		"Authorization: Bearer " + secret, "X-Plain: 1", "X-Lower: 2",
	}, lines[1:len(lines)-2])
	require.Equal(t, []string{"", "body"}, lines[len(lines)-2:])
	require.Empty(t, <-got, "nothing follows the one request")
}

func TestDoAttachesAfterCleaning(t *testing.T) {
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		_, _ = fmt.Fprintf(w, "%v|%v|%v|%s", h.Values("X-Api-Key"), h.Values("X_api_key"), h.Values("X-Named"), r.URL.RawQuery)
	})
	att := egress.NewAttachment()
	require.NoError(t, att.SetHeader("x-api-key", "key-1234567"))
	require.NoError(t, att.SetHeader("X-Named", "key-1234567"))
	require.NoError(t, att.AddQuery("token", "que ry+1234567"))
	require.NoError(t, att.Scrub([]byte("key-1234567")))
	require.NoError(t, att.Scrub([]byte("que ry+1234567")))
	req := &egress.Request{Method: "GET", Origin: b.origin, Path: "/", Query: "a=b", Header: http.Header{
		"X-Api-Key": {"evil"}, "X_api_key": {"evil"}, "X-Named": {"evil"}, "Connection": {"X-Named"},
	}}
	res, err := b.door.Do(t.Context(), b.key, b.policy, req, att, b.limits)
	require.NoError(t, err)
	text, err := res.Bytes()
	require.NoError(t, err)
	require.Equal(t, "[[redacted]]|[]|[[redacted]]|a=b&token=[redacted]", string(text))
	require.EqualValues(t, 3, res.Redactions())
}

func TestDoRefusesBeforeSending(t *testing.T) {
	var hits atomic.Int64
	b := upstream(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	for _, c := range []struct {
		name string
		edit func(*egress.Request)
	}{
		{"no origin", func(r *egress.Request) { r.Origin = egress.Origin{} }},
		{"no path", func(r *egress.Request) { r.Path = "" }},
		{"relative path", func(r *egress.Request) { r.Path = "a" }},
		{"another host by path", func(r *egress.Request) { r.Path = "@evil.test/" }},
		{"another port by path", func(r *egress.Request) { r.Path = ":1/" }},
		{"double slash", func(r *egress.Request) { r.Path = "//evil.test/" }},
		{"backslash", func(r *egress.Request) { r.Path = `/a\b` }},
		{"query in the path", func(r *egress.Request) { r.Path = "/a?b" }},
		{"fragment in the path", func(r *egress.Request) { r.Path = "/a#b" }},
		{"fragment in the query", func(r *egress.Request) { r.Query = "a#b" }},
		{"space", func(r *egress.Request) { r.Path = "/a b" }},
		{"line break in the path", func(r *egress.Request) { r.Path = "/a\r\nHost: evil" }},
		{"line break in the query", func(r *egress.Request) { r.Query = "a\nb" }},
		{"NUL", func(r *egress.Request) { r.Path = "/a\x00" }},
		{"not ASCII", func(r *egress.Request) { r.Path = "/é" }},
		{"broken escape", func(r *egress.Request) { r.Path = "/%zz" }},
		{"unescaped quote", func(r *egress.Request) { r.Path = `/"` }},
		{"dot segment", func(r *egress.Request) { r.Path = "/a/../b" }},
		{"escaped dot segment", func(r *egress.Request) { r.Path = "/a/%2e%2E/b" }},
		{"dot segment behind an escaped slash", func(r *egress.Request) { r.Path = "/a%2f..%2fb" }},
		{"dot segment behind an escaped backslash", func(r *egress.Request) { r.Path = "/a%5c..%5Cb" }},
		{"dot segment with a parameter", func(r *egress.Request) { r.Path = "/a/..;x/b" }},
		{"single dot", func(r *egress.Request) { r.Path = "/a/." }},
		{"CONNECT", func(r *egress.Request) { r.Method = "CONNECT" }},
		{"TRACE", func(r *egress.Request) { r.Method = "TRACE" }},
		{"no method", func(r *egress.Request) { r.Method = "" }},
		{"lower-case method", func(r *egress.Request) { r.Method = "get" }},
		{"method with a line break", func(r *egress.Request) { r.Method = "GET / HTTP/1.1\r\nX: " }},
		{"line break in a header", func(r *egress.Request) { r.Header = http.Header{"X-A": {"a\r\nX-B: canary"}} }},
		{"NUL in a header", func(r *egress.Request) { r.Header = http.Header{"X-A": {"a\x00"}} }},
		{"header name with a colon", func(r *egress.Request) { r.Header = http.Header{"X-A: canary": {"a"}} }},
		{"header without a name", func(r *egress.Request) { r.Header = http.Header{"": {"a"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := b.get("/path")
			c.edit(req)
			b.refuse(t, req, egress.Denied, false)
		})
	}
	require.Zero(t, hits.Load())
}

// What is accepted goes over the wire as it was judged, to where it was judged.
func FuzzTarget(f *testing.F) {
	for _, path := range []string{"/a/b", "/%2e%2e/", "//evil.test/", "/a;x/..;y", "/@evil.test", "/:80", `/\evil`, "/%252e", "/a%2Fb", "/?", "/#"} {
		f.Add(path, "q=1")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		u, err := egress.Target(&egress.Request{Origin: origin(t, "https://crm.test:8443"), Path: path, Query: query})
		if err != nil {
			return
		}
		want := path
		if query != "" {
			want += "?" + query
		}
		require.Equal(t, want, u.RequestURI())
		require.Equal(t, "crm.test:8443", u.Host)
		require.Nil(t, u.User)
		require.NotContains(t, strings.Split(u.Path, "/"), "..")
	})
}

func TestDoNeverFollowsRedirects(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	var here atomic.Int64
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		here.Add(1)
		code := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &code)
		w.Header().Set("Location", other.URL+"/?t="+secret)
		w.Header().Set("Refresh", "0; url="+other.URL)
		w.WriteHeader(code)
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(fmt.Sprint(method, code), func(t *testing.T) {
				here.Store(0)
				res, _ := b.fetch(t, &egress.Request{Method: method, Origin: b.origin, Path: fmt.Sprintf("/%d", code)})
				require.Equal(t, code, res.Status)
				require.Empty(t, res.Header.Values("Location"))
				require.Empty(t, res.Header.Values("Refresh"))
				require.EqualValues(t, 1, here.Load())
			})
		}
	}
	require.Zero(t, elsewhere.Load())
}

func TestDoJudgesAddresses(t *testing.T) {
	ca := newAuthority(t)
	var hits atomic.Int64
	server := ca.serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	for _, c := range []struct {
		name, answer string
		allow        []netip.Prefix
		ok           bool
	}{
		{"loopback in its range", "127.0.0.1", loopback, true},
		{"mapped loopback in its range", "::ffff:127.0.0.1", loopback, true},
		{"loopback without a range", "127.0.0.1", nil, false},
		{"loopback under another range", "127.0.0.1", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false},
		{"mapped loopback", "::ffff:127.0.0.1", nil, false},
		{"IPv6 loopback", "::1", loopback, false},
		{"unspecified", "0.0.0.0", loopback, false},
		{"metadata", "169.254.169.254", loopback, false},
		{"one bad answer of many", "127.0.0.1 10.0.0.1", loopback, false},
		{"the bad answer first", "10.0.0.1 127.0.0.1", loopback, false},
		{"a public answer beside a private one", "93.184.215.14 10.0.0.1", nil, false},
		{"zone", "fe80::1%lo", loopback, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			hits.Store(0)
			b := newBench(t, ca, server.Listener.Addr(), answer(c.answer))
			b.policy.AllowRanges = c.allow
			if c.ok {
				b.fetch(t, b.get("/"))
				require.EqualValues(t, 1, hits.Load())
				return
			}
			b.refuse(t, b.get("/path"), egress.Denied, false)
			require.Zero(t, hits.Load())
		})
	}
}

// The name points elsewhere at each question. What was judged is what is dialled: one
// question a connection, and none between judging and connecting.
func TestDoSurvivesRebinding(t *testing.T) {
	ca := newAuthority(t)
	var hits atomic.Int64
	server := ca.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Connection", "close")
	})
	resolver := answer("127.0.0.1", "127.0.0.2", "127.0.0.1")
	b := newBench(t, ca, server.Listener.Addr(), resolver)
	b.policy.AllowRanges = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

	b.fetch(t, b.get("/"))
	require.Equal(t, 1, resolver.questions())
	b.door.Forget(func(egress.PoolKey) bool { return true })
	b.refuse(t, b.get("/"), egress.Denied, false)
	require.Equal(t, 2, resolver.questions())
	b.fetch(t, b.get("/"))
	require.EqualValues(t, 2, hits.Load())
}

// The last judgement is on the socket itself, whatever came before it.
func TestSocketsAreJudged(t *testing.T) {
	policy := egress.Policy{AllowRanges: loopback}
	for _, c := range []struct {
		address string
		ok      bool
	}{
		{"127.0.0.1:443", true}, {"8.8.8.8:443", true}, {"[::ffff:127.0.0.1]:443", true},
		{"10.0.0.1:443", false}, {"169.254.169.254:443", false}, {"[::1]:443", false}, {"[fe80::1%lo]:443", false},
		{"crm.test:443", false}, {"127.0.0.1", false}, {"", false},
	} {
		t.Run(c.address, func(t *testing.T) {
			err := egress.ControlSocket(t.Context(), policy, c.address)
			if c.ok {
				require.NoError(t, err)
				return
			}
			requireError(t, err, egress.Denied, false)
		})
	}
}

func TestDialerKnowsOneOrigin(t *testing.T) {
	resolver := answer("127.0.0.1")
	for _, other := range []string{"other.test:443", "crm.test:444", "127.0.0.1:443", ""} {
		_, err := egress.DialOther(t.Context(), resolver, origin(t, "https://crm.test"), egress.Policy{AllowRanges: loopback}, other)
		requireError(t, err, egress.Denied, false)
	}
	require.Zero(t, resolver.questions())
}

// net/http reads the environment once a process, so this one gets its own.
func TestDoIgnoresProxiesOfTheEnvironment(t *testing.T) {
	const inside = "EGRESS_TEST_INSIDE"
	if os.Getenv(inside) != "" {
		b := upstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		_, text := b.fetch(t, b.get("/"))
		require.Equal(t, "ok", text)
		return
	}
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1", "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL, "ALL_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Zero(t, proxied.Load())
}

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

func TestDoTimesOut(t *testing.T) {
	release := make(chan struct{})
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/path/body" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	t.Cleanup(func() { close(release) })
	b.limits.Total = 100 * time.Millisecond
	t.Run("before the header", func(t *testing.T) { b.refuse(t, b.get("/path"), egress.TimedOut, true) })
	t.Run("in the body", func(t *testing.T) { b.refuse(t, b.get("/path/body"), egress.TimedOut, true) })
	t.Run("the caller gave up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.door.Do(ctx, b.key, b.policy, b.get("/path"), bearer(t), b.limits)
		requireError(t, err, egress.TimedOut, false)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("while connecting", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, says nothing
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		silent := newBench(t, newAuthority(t), l.Addr(), answer("127.0.0.1"))
		silent.limits.Total = 100 * time.Millisecond
		silent.refuse(t, silent.get("/path"), egress.TimedOut, false)
	})
}

// Two credentials, two connections; one credential, one connection; and none left once
// it is forgotten.
func TestPoolsAreNeverShared(t *testing.T) {
	ca := newAuthority(t)
	var mu sync.Mutex
	seen := map[string]map[string]bool{} // remote address → what came over it
	server := ca.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen[r.RemoteAddr] == nil {
			seen[r.RemoteAddr] = map[string]bool{}
		}
		seen[r.RemoteAddr][r.Header.Get("X-Key")] = true
	})
	b := newBench(t, ca, server.Listener.Addr(), answer("127.0.0.1"))
	keys := []egress.PoolKey{
		{Workspace: "a", Connector: "c", Revision: 1, Credential: "x@1"}, {Workspace: "b", Connector: "c", Revision: 1, Credential: "x@1"},
		{Workspace: "a", Connector: "d", Revision: 1, Credential: "x@1"}, {Workspace: "a", Connector: "c", Revision: 2, Credential: "x@1"},
		{Workspace: "a", Connector: "c", Revision: 1, Credential: "x@2"},
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			mine := *b
			mine.key = keys[i%len(keys)]
			req := b.get("/")
			req.Header = http.Header{"X-Key": {fmt.Sprint(mine.key)}}
			mine.fetch(t, req)
		})
	}
	wg.Wait()
	for addr, came := range seen {
		require.Len(t, came, 1, addr)
	}

	before := len(seen)
	b.key = keys[0]
	b.fetch(t, b.get("/"))
	require.Len(t, seen, before, "the connection is used again")
	b.door.Forget(func(k egress.PoolKey) bool { return k.Credential == "x@1" })
	b.fetch(t, b.get("/"))
	require.Len(t, seen, before+1, "a forgotten one is not")
	b.policy.AllowRanges = append([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, b.policy.AllowRanges...)
	b.fetch(t, b.get("/"))
	require.Len(t, seen, before+2, "nor one under another policy")
}

func TestPoolsAreBounded(t *testing.T) {
	ca := newAuthority(t)
	server := ca.serve(t, func(http.ResponseWriter, *http.Request) {})
	resolver := answer("127.0.0.1")
	b := newBench(t, ca, server.Listener.Addr(), resolver)
	b.door = egress.New(egress.Options{Resolver: resolver, MaxPools: 2})
	use := func(credential string) int {
		b.key.Credential = credential
		b.fetch(t, b.get("/"))
		return resolver.questions()
	}
	require.Equal(t, 1, use("a"))
	require.Equal(t, 2, use("b"))
	require.Equal(t, 2, use("a"))
	require.Equal(t, 3, use("c"), "takes the place of b")
	require.Equal(t, 3, use("a"))
	require.Equal(t, 4, use("b"))
}

func TestClosedDoor(t *testing.T) {
	b := upstream(t, func(http.ResponseWriter, *http.Request) {})
	b.fetch(t, b.get("/"))
	b.door.Close()
	b.refuse(t, b.get("/path"), egress.Denied, false)
}

// A pooled connection that the upstream closes in the very moment of use: a POST is
// delivered at most once, and its outcome is unknown; a GET may be sent again.
func TestDoRetriesNothingThatCouldHarm(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name   string
		method string
		header http.Header
		again  bool
	}{
		{"POST", "POST", nil, false},
		{"POST with a body that could be rewound", "POST", nil, false},
		{"PUT", "PUT", nil, false},
		{"DELETE", "DELETE", nil, false},
		{"PATCH", "PATCH", nil, false},
		{"GET", "GET", nil, true},
		{"POST with a key", "POST", http.Header{"Idempotency-Key": {"k"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var delivered atomic.Int64
			body := []byte(nil)
			if strings.Contains(c.name, "body") {
				body = []byte("body")
			}
			addr := rawUpstream(t, ca.server(t, host), func(n int, conn net.Conn) {
				for i := 0; ; i++ {
					text := readRequest(conn, 0)
					if text == "" {
						return
					}
					if strings.Contains(text, "/second") {
						delivered.Add(1)
						if n == 0 {
							return // dies after reading, before answering
						}
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			b := newBench(t, ca, addr, answer("127.0.0.1"))
			b.fetch(t, b.get("/first"))
			req := &egress.Request{Method: c.method, Origin: b.origin, Path: "/second", Header: c.header, Body: body}
			if c.again {
				b.fetch(t, req)
				require.EqualValues(t, 2, delivered.Load())
				return
			}
			b.refuse(t, req, egress.Lost, true)
			require.EqualValues(t, 1, delivered.Load())
		})
	}
}

func BenchmarkDo(b *testing.B) {
	body := strings.Repeat(`{"id":42,"name":"Ada","mail":"ada@example.com"},`, 21)[:1000]
	ca := newAuthority(b)
	server := ca.serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	bn := newBench(b, ca, server.Listener.Addr(), answer("127.0.0.1"))
	scrubber := egress.NewScrubber([]byte(secret))
	b.Run("door", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			att := egress.NewAttachment()
			_ = att.SetHeader("Authorization", "Bearer "+secret)
			_ = att.Use(scrubber)
			res, err := bn.door.Do(b.Context(), bn.key, bn.policy, bn.get("/"), att, bn.limits)
			require.NoError(b, err)
			_, err = res.Bytes()
			require.NoError(b, err)
		}
	})
	b.Run("net/http alone", func(b *testing.B) {
		b.ReportAllocs()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca.pem)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: host}, ForceAttemptHTTP2: true}
		b.Cleanup(transport.CloseIdleConnections)
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), "GET", server.URL, nil)
			require.NoError(b, err)
			req.Header.Set("Authorization", "Bearer "+secret)
			res, err := transport.RoundTrip(req)
			require.NoError(b, err)
			_, err = io.ReadAll(res.Body)
			require.NoError(b, err)
			_ = res.Body.Close()
		}
	})
}
