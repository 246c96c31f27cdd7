package attack_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// hostile is an HTTPS server that writes its answers by hand: all that it was sent, given
// back in the way that a segment of the path names, or always in one.
type hostile struct {
	origin, ca string

	mu    sync.Mutex
	heard strings.Builder
}

func newHostile(t *testing.T, always string) *hostile {
	t.Helper()
	certificate, ca := testenv.Certificate(t, "localhost")
	h := &hostile{ca: ca}
	conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	h.origin = "https://localhost:" + speaks(t, func(plain net.Conn) {
		c := tls.Server(plain, conf)
		r := bufio.NewReader(c)
		for {
			request, way := h.read(r)
			if request == nil {
				return
			}
			if always != "" {
				way = always
			}
			if again := ways()[way](c, request); !again {
				return
			}
		}
	})
	return h
}

// read takes one request as it came, and finds the way that it names.
func (h *hostile) read(r *bufio.Reader) (request []byte, way string) {
	parsed, err := http.ReadRequest(r)
	if err != nil {
		return nil, ""
	}
	request, err = httputil.DumpRequest(parsed, true)
	if err != nil {
		return nil, ""
	}
	h.mu.Lock()
	h.heard.Write(request)
	h.mu.Unlock()
	for segment := range strings.SplitSeq(parsed.URL.Path, "/") {
		if ways()[segment] != nil {
			way = segment
		}
	}
	if way == "" {
		way = "cut"
	}
	return request, way
}

// sent gives all that it was sent so far.
func (h *hostile) sent() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heard.String()
}

// holding is for how long a server says nothing: longer than the calls here may take.
const holding = 1200 * time.Millisecond

// padding fills an answer that is too large.
const padding = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

// ways are how a request is answered; each says whether another may follow.
func ways() map[string]func(c *tls.Conn, request []byte) bool {
	write := func(format string, given func(request []byte) []any) func(*tls.Conn, []byte) bool {
		return func(c *tls.Conn, request []byte) bool {
			_, _ = fmt.Fprintf(c, format, given(request)...)
			return false
		}
	}
	lines := func(request []byte) string { return string(bytes.ReplaceAll(request, []byte("\r\n"), []byte(" | "))) }
	echo := func(request []byte) []any { return []any{request} }
	line := func(request []byte) []any { return []any{lines(request)} }
	sized := func(request []byte) []any { return []any{lines(request), len(request), request} }
	hold := func(before func(request []byte) string) func(*tls.Conn, []byte) bool {
		return func(c *tls.Conn, request []byte) bool {
			_, _ = io.WriteString(c, before(request))
			_ = c.SetReadDeadline(time.Now().Add(holding))
			_, _ = io.Copy(io.Discard, c)
			return false
		}
	}
	const fine = "HTTP/1.1 200 OK\r\n"
	return map[string]func(*tls.Conn, []byte) bool{
		"silent":   hold(func([]byte) string { return "" }),
		"slowhead": hold(func(request []byte) string { return fine + "X-Kind: " + lines(request) + "\r\n" }),
		"slowbody": hold(func(request []byte) string { return fine + "Content-Length: 100000\r\n\r\n" + string(request) }),
		"cut":      func(*tls.Conn, []byte) bool { return false },
		"reset": func(c *tls.Conn, request []byte) bool {
			_, _ = fmt.Fprintf(c, "%sContent-Length: 100000\r\n\r\n%s", fine, request)
			_ = c.NetConn().(*net.TCPConn).SetLinger(0)
			_ = c.NetConn().Close()
			return false
		},
		"redirect": write("HTTP/1.1 302 Found\r\nLocation: https://evil.example/?%s\r\nContent-Length: %d\r\n\r\n%s", sized),
		"denied":   write("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"%s\"\r\nContent-Length: %d\r\n\r\n%s", sized),
		"failed":   write("HTTP/1.1 500 Oh\r\nX-Kind: %s\r\nContent-Length: %d\r\n\r\n%s", sized),
		"badjson":  write(fine+"Content-Type: application/json\r\nX-Kind: %s\r\nContent-Length: %d\r\n\r\n%s", sized),
		"oauth": write("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"+`{"error":%q,"error_description":%[1]q,"error_uri":%[1]q,"message":%[1]q}`,
			line),
		"large": func(c *tls.Conn, request []byte) bool {
			_, _ = io.WriteString(c, fine+"Connection: close\r\n\r\n"+string(request)+strings.Repeat(padding, 2<<20/len(padding))+string(request))
			return false
		},
		"gzip":     write(fine+"Content-Encoding: gzip\r\nX-Kind: %s\r\nContent-Length: %d\r\n\r\n%s", sized),
		"encoding": write(fine+"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", sized),
		// net/http quotes what it cannot read in its errors, and logs what came unasked.
		"garbage":  write("%s", echo),
		"version":  write("HTTP/9.9 %s", echo),
		"code":     write("HTTP/1.1 %s\r\n\r\n", line),
		"header":   write(fine+"%s", echo),
		"length":   write(fine+"Content-Length: %s\r\n\r\n", line),
		"transfer": write(fine+"Transfer-Encoding: %s\r\n\r\n", line),
		"chunk":    write(fine+"Transfer-Encoding: chunked\r\n\r\n%s\r\n", line),
		"trailer":  write(fine+"Transfer-Encoding: chunked\r\n\r\n0\r\n%s", echo),
		"hints":    write("HTTP/1.1 103 Early Hints\r\nLink: %s\r\n\r\nHTTP/1.1 503 Later\r\nContent-Length: %d\r\n\r\n%s", sized),
		"switch":   write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: upgrade\r\n\r\n%[3]s", sized),
		"unasked": func(c *tls.Conn, request []byte) bool {
			_, _ = fmt.Fprintf(c, "%sContent-Length: 2\r\n\r\nok%s%s", fine, fine, request)
			return true
		},
		"hex": func(c *tls.Conn, request []byte) bool {
			_, _ = fmt.Fprintf(c, "%sX-Kind: %x\r\nConnection: close\r\n\r\n%[2]X %s", fine, request, strconv.QuoteToASCII(string(request)))
			return false
		},
	}
}

// unreachable gives origins, each with the CA to trust there, to which no connection
// comes about, or one that breaks before it can be used.
func unreachable(t *testing.T) map[string][2]string {
	t.Helper()
	good := testenv.NewUpstream(t, http.NotFoundHandler())
	_, otherCA := testenv.Certificate(t, "localhost")
	elsewhere, elsewhereCA := testenv.Certificate(t, "elsewhere.test")
	mutual, mutualCA := testenv.Certificate(t, "localhost")
	serve := func(conf *tls.Config) string {
		return "https://localhost:" + speaks(t, func(c net.Conn) {
			secure := tls.Server(c, conf)
			_, _ = io.Copy(io.Discard, secure)
		})
	}
	none := testenv.NewClientCA(t)
	return map[string][2]string{
		"name":      {"https://nothing.invalid", good.CA},
		"refused":   {"https://localhost:" + unused(t), good.CA},
		"untrusted": {good.Origin, otherCA},
		"plain":     {"https://localhost:" + speaks(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }), good.CA},
		"nohello": {"https://localhost:" + speaks(t, func(c net.Conn) {
			_ = c.SetReadDeadline(time.Now().Add(holding))
			_, _ = io.Copy(io.Discard, c)
		}), good.CA},
		"halfhello": {"https://localhost:" + speaks(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 64)) }), good.CA},
		"othername": {serve(&tls.Config{Certificates: []tls.Certificate{elsewhere}, MinVersion: tls.VersionTLS12}), elsewhereCA},
		"alert": {serve(&tls.Config{
			Certificates: []tls.Certificate{mutual}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: none.Pool(),
		}), mutualCA},
	}
}

// speaks serves something other than HTTPS and gives its port.
func speaks(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = c.Close() }(); serve(c) }()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// unused gives a port on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return port
}
