package sidecar

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// pace bounds how long a program may take to read one piece of an answer.
const pace = time.Minute

// handler is all that a sidecar answers.
type handler struct {
	guard guard
	pool  *pool
	proxy *httputil.ReverseProxy
}

func newHandler(g guard, p *pool, log *slog.Logger) http.Handler {
	h := &handler{guard: g, pool: p}
	h.proxy = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { rewrite(r, p.addr) },
		Transport:     &courier{pool: p, calls: make(chan struct{}, maxCalls)},
		FlushInterval: -1, // at once: answers are streams
		ErrorHandler:  fail(log),
		// What it has to say (an answer was cut) both ends know already.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return recovered(h, log)
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 || r.Proto != "HTTP/1.1" {
		// Whoever else has read such a request may have seen its end elsewhere
		// (RFC 9112, 6.1): none follows it.
		w.Header().Set("Connection", "close")
	}
	if no := h.guard.judge(r); no != nil {
		no.write(w)
		return
	}
	target := space(r.RequestURI)
	if r.Method == http.MethodConnect {
		target = "" // HTTP/2 sends one without its path (RFC 9113, 8.5): it would be another request
	}
	switch target {
	case "":
		(&answer{status: http.StatusNotFound, reason: reasonPath, message: "a sidecar forwards what a task may call (" + strings.Join(operations, ", ") + ", /c/CONNECTOR/…, /mcp), and nothing else"}).write(w)
	case "/healthz":
		_, _ = io.WriteString(w, "ok\n")
	case "/readyz":
		h.ready(w, r)
	default:
		p := &paced{ResponseWriter: w, control: http.NewResponseController(w)}
		// Without it net/http takes the rest of a body away as soon as the answer begins,
		// and an answer that comes early would break off.
		_ = p.control.EnableFullDuplex() // fails for no HTTP/1 request
		if r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // a copy: the server goes by the body that it made
			p.body = &taken{ReadCloser: r.Body}
			r.Body = p.body
		}
		h.proxy.ServeHTTP(p, r)
		p.disarm() // not where it panics: the flush would say 200 where nothing was said
	}
}

// operations are what a task may ask of the REST API: all of the service Broker. What
// administers a broker takes an SVID alone and no key. A sidecar has one, and would lend it to
// whoever reaches it.
var operations = []string{
	"/v1/invoke", "/v1/invoke:stream", "/v1/tools", "/v1/explain", "/v1/task", "/v1/task:delegate", "/v1/task:end",
}

// space says to which of our paths a request's target belongs, as it stands on the wire;
// empty where to none.
func space(target string) string {
	path, _, _ := strings.Cut(target, "?")
	switch {
	case path == "/healthz", path == "/readyz", path == "/mcp":
		return path
	case strings.HasPrefix(path, "/mcp/"):
		return "/mcp"
	case slices.Contains(operations, path):
		return "/v1/"
	case strings.HasPrefix(path, "/c/"):
		return "/c/"
	}
	return ""
}

// ready reports whether a call would reach the broker now.
func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	l, err := h.pool.acquire(r.Context())
	if err != nil {
		explain(err, true).write(w)
		return
	}
	l.cc.Release()
	_, _ = io.WriteString(w, "ok\n")
}

// rewrite makes the request to the broker. Its path and query are the very bytes that
// came: what is signed, recorded and judged behind is not ours to tidy.
func rewrite(r *httputil.ProxyRequest, addr string) {
	r.Out.URL = &url.URL{Scheme: "https", Host: addr, Opaque: r.In.RequestURI}
	r.Out.Host = addr
	for name := range r.Out.Header {
		if isOurs(name) {
			delete(r.Out.Header, name)
		}
	}
}

// isOurs names what programs may not say to the broker: who they are, what stands between
// (ReverseProxy drops some), what browsers add by themselves and was judged here, and what
// belongs to one connection.
func isOurs(name string) bool {
	switch name {
	case "X-Onedoor-Jwt-Svid", "Forwarded", "X-Real-Ip", "Via", "Origin", "Referer", "Cookie", "Upgrade", "Connection", "Expect":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Sec-Fetch-")
}

// fail answers for a call that brought no answer.
func fail(log *slog.Logger) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody is there to be told
		}
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		a := explain(err, safe && space(r.URL.RequestURI()) == "/v1/")
		if a.reason == reasonUnknown {
			log.Warn("outcome unknown", "space", space(r.URL.RequestURI()), "error", err)
		}
		a.write(w)
	}
}

// recovered breaks the connection of a request whose handler panics, as net/http does, but
// without the panic's value in the log, which may hold anything.
func recovered(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler { //nolint:errorlint // the very value, as net/http has it
				log.Error("panic", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		h.ServeHTTP(w, r)
	})
}

// taken is a request's body that says whether all of it was read.
type taken struct {
	io.ReadCloser
	whole atomic.Bool
}

// Read reads the body.
func (t *taken) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		t.whole.Store(true)
	}
	return n, err
}

// paced is a ResponseWriter whose program must keep reading.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
	body    *taken // nil where there is none
}

// WriteHeader begins the answer. Where the request has not been read to its end, none
// follows it: the transport may still read when the next one is served, which net/http
// answers with a panic in the transport's goroutine, and that would be our end.
func (p *paced) WriteHeader(code int) {
	if code >= http.StatusOK && p.body != nil && !p.body.whole.Load() {
		p.Header().Set("Connection", "close")
	}
	p.ResponseWriter.WriteHeader(code)
}

// Write writes p in time.
func (p *paced) Write(b []byte) (int, error) {
	if err := p.arm(); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// FlushError sends what was written in time; http.ResponseController finds it here.
func (p *paced) FlushError() error {
	if err := p.arm(); err != nil {
		return err
	}
	return p.control.Flush()
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *paced) arm() error { return p.control.SetWriteDeadline(time.Now().Add(pace)) }

// disarm sends what is left and lets the connection be used again.
func (p *paced) disarm() {
	_ = p.FlushError() // fails only if the program is gone
	_ = p.control.SetWriteDeadline(time.Time{})
}
