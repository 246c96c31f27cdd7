package egress_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestResponseIsScrubbed(t *testing.T) {
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Echo", r.Header.Get("Authorization"))
		h.Set("X-Basic", base64.StdEncoding.EncodeToString([]byte("user:"+secret)))
		h.Set("Content-Type", "text/plain; token="+secret)
		for _, name := range []string{"Set-Cookie", "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Location", "Content-Location", "Refresh", "Alt-Svc"} {
			h.Set(name, "v="+secret)
		}
		h.Set("X-Fine", "1")
		text, _ := json.Marshal(map[string]string{"auth": r.Header.Get("Authorization")})
		if r.URL.Path == "/gzip" {
			h.Set("Content-Encoding", "gzip")
			text = gzipped(t, string(text))
		}
		if r.URL.Path == "/error" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(text)
	})
	for _, path := range []string{"/", "/gzip", "/error"} {
		t.Run(path, func(t *testing.T) {
			res, text := b.fetch(t, b.get(path))
			require.Equal(t, `{"auth":"Bearer [redacted]"}`, text)
			require.EqualValues(t, 4, res.Redactions())
			delete(res.Header, "Date")
			require.Equal(t, "text/plain; token=[redacted]", res.ContentType)
			require.Equal(t, "Bearer [redacted]", res.Header.Get("X-Echo"))
			require.Equal(t, "1", res.Header.Get("X-Fine"))
			require.Len(t, res.Header, 4, "%v", res.Header)
			require.NotContains(t, fmt.Sprint(res.Header), secret)
		})
	}
}

func TestResponseDropsHopByHop(t *testing.T) {
	ca := newAuthority(t)
	addr := rawUpstream(t, ca.server(t, host), func(_ int, c net.Conn) {
		readRequest(c, 0)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Named\r\nX-Named: 1\r\nKeep-Alive: 5\r\nTrailer: X-T\r\nX-Fine: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: "+secret+"\r\n\r\n")
	})
	b := newBench(t, ca, addr, answer("127.0.0.1"))
	res, text := b.fetch(t, b.get("/"))
	require.Equal(t, "ok", text)
	require.Equal(t, http.Header{"X-Fine": {"1"}}, res.Header)
}

func TestResponseIsWithheld(t *testing.T) {
	for _, c := range []struct {
		name, coding string
		body         []byte
		kind         egress.Kind // 0: passes
	}{
		{"none", "", []byte("ok"), 0},
		{"identity", "identity", []byte("ok"), 0},
		{"gzip", "gzip", gzipped(t, "ok"), 0},
		{"gzip in capitals", "GZIP", gzipped(t, "ok"), 0},
		{"an old name", "x-gzip", gzipped(t, "ok"), 0},
		{"identity in capitals", " Identity", []byte("ok"), 0},
		{"with blanks", " gzip\t,, identity", gzipped(t, "ok"), 0},
		{"unknown", "rot13", []byte(secret), egress.Withheld},
		{"unknown below gzip", "rot13, gzip", gzipped(t, secret), egress.Withheld},
		{"unknown over gzip", "gzip, rot13", gzipped(t, secret), egress.Withheld},
		{"a dictionary's", "dcb", []byte(secret), egress.Withheld},
		{"twice said", "gzip, gzip", gzipped(t, strings.Repeat("ok", 20)), egress.Withheld},
		{"too many", "gzip, gzip, gzip, gzip", gzipped(t, "ok"), egress.Withheld},
		{"no gzip", "gzip", []byte("no gzip at all, " + secret), egress.Withheld},
		{"gzip cut short", "gzip", gzipped(t, "okokok")[:12], egress.Lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.coding != "" {
					w.Header().Set("Content-Encoding", c.coding)
				}
				_, _ = w.Write(c.body)
			})
			if c.kind == 0 {
				_, text := b.fetch(t, b.get("/"))
				require.Equal(t, "ok", text)
				return
			}
			b.refuse(t, b.get("/path"), c.kind, true)
		})
	}
}

// A range is never asked for, so a part by bytes, which may begin within a secret, is none
// of ours. One by rows is how some APIs page.
func TestResponseInParts(t *testing.T) {
	for _, c := range []struct {
		name, kind, of string
		status         int
		passes         bool
	}{
		{"bytes", "text/plain", "bytes 4-9/20", http.StatusPartialContent, false},
		{"bytes in capitals", "text/plain", " Bytes 4-9/20", http.StatusPartialContent, false},
		{"several", "Multipart/ByteRanges ; boundary=x", "", http.StatusPartialContent, false},
		{"rows", "application/json", "0-14/3573", http.StatusPartialContent, true},
		{"items", "application/json", "items 0-14/3573", http.StatusPartialContent, true},
		{"nothing said", "application/json", "", http.StatusPartialContent, true},
		{"a range that cannot be", "text/plain", "bytes */20", http.StatusRequestedRangeNotSatisfiable, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				if c.of != "" {
					w.Header().Set("Content-Range", c.of)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, secret[4:])
			})
			if !c.passes {
				b.refuse(t, b.get("/path"), egress.Withheld, true)
				return
			}
			res, _ := b.fetch(t, b.get("/"))
			require.Equal(t, c.status, res.Status)
		})
	}
}

// What stands around an answer does not come through: a phrase behind its status, answers
// before it, trailers behind it. Bytes that are no UTF-8 do not take it with them.
func TestResponseHasNoSurroundings(t *testing.T) {
	ca := newAuthority(t)
	addr := rawUpstream(t, ca.server(t, host), func(_ int, c net.Conn) {
		readRequest(c, 0)
		_, _ = io.WriteString(c, "HTTP/1.1 103 "+secret+"\r\nLink: <"+secret+">\r\nX-Early: "+secret+"\r\n\r\n"+
			"HTTP/1.1 200 "+secret+"\r\nX-Folded: "+secret[:9]+secret[9:]+"\r\n and "+secret+"\r\nX-Latin: caf\xe9 "+secret+"\r\n"+
			"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2;x="+secret+"\r\nok\r\n0\r\nX-T: "+secret+"\r\n\r\n")
	})
	b := newBench(t, ca, addr, answer("127.0.0.1"))
	res, text := b.fetch(t, b.get("/"))
	require.Equal(t, "ok", text)
	require.Equal(t, http.StatusOK, res.Status)
	require.Equal(t, http.Header{"X-Folded": {"[redacted] and [redacted]"}, "X-Latin": {"caf\ufffd [redacted]"}}, res.Header)
	require.EqualValues(t, 3, res.Redactions())
}

func TestResponseWithoutABodyMayNameACoding(t *testing.T) {
	b := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusNoContent)
	})
	res, text := b.fetch(t, b.get("/"))
	require.Equal(t, http.StatusNoContent, res.Status)
	require.Empty(t, text)
}

func TestResponseIsLimited(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		gzip  bool
		limit int64
		kind  egress.Kind
	}{
		{"at the limit", 5000, false, 5000, 0},
		{"one over", 5001, false, 5000, egress.TooLarge},
		{"decoded, at the limit", 5000, true, 5000, 0},
		{"decoded, one over", 5001, true, 5000, egress.TooLarge},
		{"a bomb within the limit", 8 << 20, true, 100 << 20, egress.TooLarge},
		{"much, plain", 8 << 20, false, 100 << 20, 0},
		{"a limit without bound", 5000, false, 1<<63 - 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Repeat("a", c.size)
			b := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				body := []byte(text)
				if c.gzip {
					w.Header().Set("Content-Encoding", "gzip")
					body = gzipped(t, text)
				}
				_, _ = w.Write(body)
			})
			b.limits.MaxResponseBytes = c.limit
			if c.kind == 0 {
				_, got := b.fetch(t, b.get("/"))
				require.Len(t, got, c.size)
				return
			}
			b.refuse(t, b.get("/path"), c.kind, true)
		})
	}
}

func TestResponseBreaksOff(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct{ name, bytes string }{
		{"no answer", ""},
		{"half a header", "HTTP/1.1 200 OK\r\nX-A: "},
		{"no HTTP", "canary " + secret + "\r\n\r\n"},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"},
		{"a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\nhalf"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok"},
		{"an endless header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 200) + "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := rawUpstream(t, ca.server(t, host), func(_ int, conn net.Conn) {
				readRequest(conn, 0)
				_, _ = io.WriteString(conn, c.bytes)
			})
			b := newBench(t, ca, addr, answer("127.0.0.1"))
			b.refuse(t, &egress.Request{Method: "POST", Origin: b.origin, Path: "/path"}, egress.Lost, true)
		})
	}
	t.Run("another protocol", func(t *testing.T) {
		addr := rawUpstream(t, ca.server(t, host), func(_ int, conn net.Conn) {
			readRequest(conn, 0)
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"+secret)
		})
		b := newBench(t, ca, addr, answer("127.0.0.1"))
		b.refuse(t, b.get("/path"), egress.Withheld, true)
	})
}

// An event goes out when it comes, not when the next one does.
func TestResponseStreams(t *testing.T) {
	next := make(chan struct{})
	b := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", r.Header.Get("Authorization"))
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	res, err := b.do(t, b.get("/"))
	require.NoError(t, err)
	buf := make([]byte, 1000)
	for range 3 {
		n, err := res.Body.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "data: Bearer [redacted]\n\n", string(buf[:n]))
		next <- struct{}{}
	}
	_, err = res.Body.Read(buf)
	require.Equal(t, io.EOF, err)
	require.NoError(t, res.Body.Close())
	require.EqualValues(t, 3, res.Redactions())
}
