package egress_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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
