package rest_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/rest"
)

func TestHTTPServerHasLimits(t *testing.T) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	s := rest.HTTPServer(http.NotFoundHandler(), conf, rest.Times{}, slog.New(slog.DiscardHandler))
	require.Same(t, conf, s.TLSConfig)
	require.Equal(t, 10*time.Second, s.ReadHeaderTimeout)
	require.Equal(t, 30*time.Second, s.ReadTimeout)
	require.Equal(t, 2*time.Minute, s.IdleTimeout)
	require.Equal(t, 32<<10, s.MaxHeaderBytes)
	require.Equal(t, 250, s.HTTP2.MaxConcurrentStreams)
	require.Zero(t, s.WriteTimeout, "it would cut streams")
	require.True(t, s.Protocols.HTTP1() && s.Protocols.HTTP2())
	require.False(t, s.Protocols.UnencryptedHTTP2())
}

func TestLargeHeadersAreRefused(t *testing.T) {
	client, url := listen(t, http.NotFoundHandler(), false)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("X-Large", strings.Repeat("a", 64<<10))
	answer, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)
}

func TestOPTIONSOfTheServerReachesTheHandler(t *testing.T) {
	client, url := listen(t, http.NotFoundHandler(), false)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, url, nil)
	require.NoError(t, err)
	r.URL.Opaque = "*"
	answer, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 404, answer.StatusCode)
}

// deadlines is a ResponseWriter that records what happens to it, in order.
type deadlines struct {
	http.ResponseWriter
	log []string
}

func (d *deadlines) Header() http.Header { return http.Header{} }
func (d *deadlines) WriteHeader(int)     {}
func (d *deadlines) FlushError() error   { d.log = append(d.log, "flush"); return nil }
func (d *deadlines) Write(p []byte) (int, error) {
	d.log = append(d.log, "write "+string(p))
	return len(p), nil
}
func (d *deadlines) SetWriteDeadline(at time.Time) error {
	if at.IsZero() {
		d.log = append(d.log, "no deadline")
		return nil
	}
	if left := time.Until(at); left < 25*time.Second || left > 30*time.Second {
		d.log = append(d.log, "wrong deadline")
		return nil
	}
	d.log = append(d.log, "deadline")
	return nil
}

// Between two pieces of an answer no deadline runs: the upstream may take its time.
func TestEveryPieceOfAnAnswerHasADeadlineOfItsOwn(t *testing.T) {
	s := rest.HTTPServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "b")
	}), nil, rest.Times{}, slog.New(slog.DiscardHandler))
	d := &deadlines{}
	s.Handler.ServeHTTP(d, &http.Request{})
	require.Equal(t, []string{
		"deadline", "write a", "no deadline",
		"deadline", "flush", "no deadline",
		"deadline", "write b", "no deadline",
		"deadline", "flush", "no deadline",
	}, d.log)
}

// TestALargePieceHasMoreTime: an answer of 20 MiB in one piece is no less to a slow link
// over REST than over gRPC.
func TestALargePieceHasMoreTime(t *testing.T) {
	times := rest.Times{Send: 30 * time.Second}
	require.Equal(t, 30*time.Second, times.ForPiece(60_000))
	require.Equal(t, 350*time.Second, times.ForPiece(20<<20))
	var left time.Duration
	s := rest.HTTPServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 20<<20))
	}), nil, rest.Times{}, slog.New(slog.DiscardHandler))
	s.Handler.ServeHTTP(&longest{&left}, &http.Request{})
	require.Greater(t, left, 300*time.Second)
}

// longest is a ResponseWriter that knows the longest deadline.
type longest struct{ left *time.Duration }

func (l *longest) Header() http.Header         { return http.Header{} }
func (l *longest) WriteHeader(int)             {}
func (l *longest) FlushError() error           { return nil }
func (l *longest) Write(p []byte) (int, error) { return len(p), nil }
func (l *longest) SetWriteDeadline(at time.Time) error {
	*l.left = max(*l.left, time.Until(at))
	return nil
}

func TestHTTPServerLogsToTheLogger(t *testing.T) {
	logged := make(chan string, 10)
	s := rest.HTTPServer(http.NotFoundHandler(), nil, rest.Times{}, slog.New(slog.NewTextHandler(lines(logged), nil)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(listener, "", "") }()
	require.Error(t, <-done, "no certificate")
	s.ErrorLog.Print("http: something")
	require.Contains(t, <-logged, `level=WARN msg="http: something"`)
}

// lines sends each write on.
type lines chan string

func (l lines) Write(p []byte) (int, error) { l <- string(bytes.TrimSpace(p)); return len(p), nil }

func TestAPanicsValueIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	s := rest.HTTPServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("canary")
	}), nil, rest.Times{}, slog.New(slog.NewTextHandler(&log, nil)))
	for _, path := range []string{"/abort", "/x"} {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() {
			s.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}, "the connection is to be cut")
		require.Equal(t, path == "/x", strings.Contains(log.String(), "panic"))
	}
	require.Contains(t, log.String(), "type=string")
	require.NotContains(t, log.String(), "canary")
}

func TestNothingFollowsAnAmbiguousRequest(t *testing.T) {
	s := rest.HTTPServer(http.NotFoundHandler(), nil, rest.Times{}, slog.New(slog.DiscardHandler))
	for name, one := range map[string]struct {
		coding []string
		proto  string
		tls    *tls.ConnectionState
		want   string
	}{
		"plain":            {nil, "HTTP/1.1", nil, ""},
		"chunked":          {[]string{"chunked"}, "HTTP/1.1", nil, "close"},
		"an older version": {nil, "HTTP/1.0", nil, "close"},
		"a preface":        {nil, "HTTP/2.0", &tls.ConnectionState{NegotiatedProtocol: "http/1.1"}, "close"},
		"HTTP/2":           {nil, "HTTP/2.0", &tls.ConnectionState{NegotiatedProtocol: "h2"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.TransferEncoding, r.Proto, r.TLS = one.coding, one.proto, one.tls
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			require.Equal(t, one.want, w.Header().Get("Connection"))
		})
	}
}
