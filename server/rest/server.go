package rest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/onedoor/onedoor/server/limit"
)

// The limits of one listener. What takes longer or is larger is cut off.
const (
	headerTimeout = 10 * time.Second // TLS handshake, and from a request's first byte to the end of its header, at most
	idleTimeout   = 2 * time.Minute  // between two requests of a connection
	pingAfter     = 30 * time.Second // HTTP/2: silence after which the peer is asked whether it lives
	maxHeader     = 32 << 10         // bytes; a JWT-SVID takes one or two thousand
	maxStreams    = 250              // HTTP/2: calls at once on a connection
)

// Times are what an operator may set of a listener's limits.
type Times struct {
	// Receive is the longest until the end of a request's body; zero means 30 s.
	Receive time.Duration
	// Send is the longest for one piece of an answer, however long the answer; zero
	// means 30 s. A large piece has a second more for each 64 KiB.
	Send time.Duration
}

// Pace is how many bytes a second a caller must take of what is under way to it.
const Pace = 64 << 10

// ForPiece is how long a piece of so many bytes may take.
func (t Times) ForPiece(size int) time.Duration {
	return t.Send + time.Duration(size/Pace)*time.Second
}

func (t Times) orDefaults() Times {
	if t.Receive <= 0 {
		t.Receive = 30 * time.Second
	}
	if t.Send <= 0 {
		t.Send = 30 * time.Second
	}
	return t
}

// HTTPServer makes the server of one listener, with the limits that keep a slow or
// greedy peer from holding it. conf may be nil for a listener without TLS; otherwise
// start it with ServeTLS(listener, "", ""). log gets what net/http has to say, such as
// failed handshakes, at level Warn.
//
// There is no limit to a whole answer, for streams may last an hour; instead each
// piece of it must be taken in time.
func HTTPServer(handler http.Handler, conf *tls.Config, times Times, log *slog.Logger) *http.Server {
	times = times.orDefaults()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:                      recovered(alone(timed(handler, times)), log),
		TLSConfig:                    conf,
		Protocols:                    protocols,
		ReadHeaderTimeout:            min(headerTimeout, times.Receive),
		ReadTimeout:                  times.Receive,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingAfter,
			WriteByteTimeout:     times.Send,
		},
	}
}

// recovered breaks the connection of a request whose handler panics, as net/http does, but
// without the panic's value in the log, which may hold anything.
func recovered(handler http.Handler, log *slog.Logger) http.Handler {
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
		handler.ServeHTTP(w, r)
	})
}

// alone lets no request follow, on its HTTP/1 connection, one whose end another reader may
// have seen elsewhere: net/http reads what has both Transfer-Encoding and Content-Length by
// the former and, against RFC 9112, section 6.1, would go on. Nor one of another version.
func alone(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isHTTP2 := r.TLS != nil && r.TLS.NegotiatedProtocol == "h2" // where the header would end all streams
		if !isHTTP2 && (len(r.TransferEncoding) > 0 || r.Proto != "HTTP/1.1") {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// timed gives every write of the handler its own deadline. The last flush is done
// here and not left to net/http, which would do it without one. What the call holds is
// held until then.
func timed(handler http.Handler, times Times) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &timedWriter{ResponseWriter: w, control: http.NewResponseController(w), times: times}
		tail := &limit.Tail{}
		defer tail.End()
		handler.ServeHTTP(t, r.WithContext(limit.WithTail(r.Context(), tail)))
		_ = t.FlushError() // fails only if the client is gone
	})
}

// timedWriter is a ResponseWriter whose client must keep reading.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	times   Times
}

// Write writes p in time.
func (t *timedWriter) Write(p []byte) (int, error) {
	if err := t.arm(len(p)); err != nil {
		return 0, err
	}
	n, err := t.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	return n, t.disarm()
}

// FlushError sends what was written in time; http.ResponseController
// finds it here.
func (t *timedWriter) FlushError() error {
	if err := t.arm(0); err != nil {
		return err
	}
	if err := t.control.Flush(); err != nil {
		return err
	}
	return t.disarm()
}

// Unwrap lets http.ResponseController reach the rest of the server's writer.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// arm asks the operating system's clock: no other could interrupt a write.
func (t *timedWriter) arm(size int) error {
	return t.control.SetWriteDeadline(time.Now().Add(t.times.ForPiece(size)))
}

// disarm matters for HTTP/2, where a deadline resets a stream even while its handler
// waits for the upstream.
func (t *timedWriter) disarm() error { return t.control.SetWriteDeadline(time.Time{}) }
