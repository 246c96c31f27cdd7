package rest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// The limits of one listener. What takes longer or is larger is cut off.
const (
	headerTimeout = 10 * time.Second // TLS handshake, and from a request's first byte to the end of its header
	readTimeout   = 30 * time.Second // until the end of its body
	writeTimeout  = 30 * time.Second // for one piece of an answer, however long the answer
	idleTimeout   = 2 * time.Minute  // between two requests of a connection
	pingAfter     = 30 * time.Second // HTTP/2: silence after which the peer is asked whether it lives
	maxHeader     = 32 << 10         // bytes; a JWT-SVID takes one or two thousand
	maxStreams    = 250              // HTTP/2: calls at once on a connection
)

// HTTPServer makes the server of one listener, with the limits that keep a slow or
// greedy peer from holding it. conf may be nil for a listener without TLS; otherwise
// start it with ServeTLS(listener, "", ""). log gets what net/http has to say, such as
// failed handshakes, at level Warn.
//
// There is no limit to a whole answer, for streams may last an hour; instead each
// piece of it must be taken in time.
func HTTPServer(handler http.Handler, conf *tls.Config, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:                      timed(handler),
		TLSConfig:                    conf,
		Protocols:                    protocols,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingAfter,
			WriteByteTimeout:     writeTimeout,
		},
	}
}

// timed gives every write of the handler its own deadline. The last flush is done
// here and not left to net/http, which would do it without one.
func timed(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &timedWriter{ResponseWriter: w, control: http.NewResponseController(w)}
		handler.ServeHTTP(t, r)
		_ = t.FlushError() // fails only if the client is gone
	})
}

// timedWriter is a ResponseWriter whose client must keep reading.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write writes p within writeTimeout.
func (t *timedWriter) Write(p []byte) (int, error) {
	if err := t.arm(); err != nil {
		return 0, err
	}
	n, err := t.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	return n, t.disarm()
}

// FlushError sends what was written within writeTimeout; http.ResponseController
// finds it here.
func (t *timedWriter) FlushError() error {
	if err := t.arm(); err != nil {
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
func (t *timedWriter) arm() error { return t.control.SetWriteDeadline(time.Now().Add(writeTimeout)) }

// disarm matters for HTTP/2, where a deadline resets a stream even while its handler
// waits for the upstream.
func (t *timedWriter) disarm() error { return t.control.SetWriteDeadline(time.Time{}) }
