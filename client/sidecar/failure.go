package sidecar

import (
	"errors"
	"net/http"
	"strings"

	"golang.org/x/net/http2"

	"github.com/onedoor/onedoor/client"
)

// unsent is a failure of which it is certain that nothing of the request was acted upon.
type unsent struct {
	cause   error
	mayMend bool // the same request over another connection may go better at once
}

func (u *unsent) Error() string { return u.cause.Error() }
func (u *unsent) Unwrap() error { return u.cause }

// isUnbegun reports whether the broker has said, in HTTP/2, that it has not begun with
// the request: the stream was refused, or lies behind the last one that a connection on
// its way out will serve (RFC 9113, 6.8 and 8.7).
//
// net/http knows it and tells it in words alone. Should they change, such a call is taken
// for one whose outcome is unknown, and a test fails.
func isUnbegun(err error) bool {
	var stream http2.StreamError
	if errors.As(err, &stream) {
		return stream.Code == http2.ErrCodeRefusedStream
	}
	return strings.HasSuffix(err.Error(), "http2: Transport received Server's graceful shutdown GOAWAY") ||
		strings.HasSuffix(err.Error(), "http2: client conn not usable")
}

// explain puts a failure in an answer. safe: the request changes nothing, so that it may
// be repeated whatever became of it.
func explain(err error, safe bool) *answer {
	var nothing *unsent
	switch {
	case errors.Is(err, errBusy):
		return &answer{status: http.StatusTooManyRequests, reason: reasonBusy, retryAfter: 1,
			message: "too many calls at once through this sidecar: nothing was sent"}
	case errors.Is(err, errBodyCut):
		return &answer{status: http.StatusBadRequest, reason: reasonBody, message: "the request's body ended too early"}
	case errors.Is(err, client.ErrNoIdentity):
		return &answer{status: http.StatusServiceUnavailable, reason: reasonIdentity, retryAfter: 1,
			message: err.Error() + "; nothing was sent. Is " + client.EnvWorkloadSocket + " the Workload API's socket, and is this workload registered there?"}
	case errors.Is(err, client.ErrBrokerUntrusted):
		return &answer{status: http.StatusServiceUnavailable, reason: reasonUntrusted, retryAfter: 5,
			message: err.Error() + "; nothing was sent. " + client.EnvBrokerID + " must be the SPIFFE ID of the broker at " + EnvREST}
	case errors.As(err, &nothing):
		return &answer{status: http.StatusServiceUnavailable, reason: reasonBroker, retryAfter: 1,
			message: "the broker at " + EnvREST + " cannot be reached: " + err.Error() + "; nothing was sent"}
	case safe:
		return &answer{status: http.StatusServiceUnavailable, reason: reasonBroker, retryAfter: 1,
			message: "the broker's answer was lost; the request changes nothing and may be repeated"}
	}
	return &answer{status: http.StatusBadGateway, reason: reasonUnknown,
		message: "the call was handed to the broker, but its answer did not arrive: find out whether it took effect before you repeat it"}
}
