package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"syscall"
)

// Kind says what became of an exchange that gave no complete answer.
type Kind int

// The kinds.
const (
	// Denied: refused here, before anything was sent.
	Denied Kind = iota + 1
	// Unreachable: no connection came about, by name, TCP or TLS.
	Unreachable
	// TimedOut: the time ran out, or the caller gave up.
	TimedOut
	// Lost: the connection broke off when the request may have been sent.
	Lost
	// TooLarge: the answer went over its limit.
	TooLarge
	// Withheld: the answer came in a form in which no secret could be found.
	Withheld
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Denied:
		return "denied"
	case Unreachable:
		return "unreachable"
	case TimedOut:
		return "timed out"
	case Lost:
		return "lost"
	case TooLarge:
		return "too large"
	case Withheld:
		return "withheld"
	}
	return "unknown"
}

// Error is an exchange that gave no complete answer. Its text and its cause are
// fixed sentences: never a URL, a query, an address, a proxy's name, or anything that an
// upstream wrote.
type Error struct {
	// Kind says what happened.
	Kind Kind
	// Sent says whether any byte of the request may have reached the upstream. In
	// doubt it is true.
	Sent bool
	// Proxy names the proxy through which the exchange was to go; empty for none. It is for
	// the log, and not for whoever called.
	Proxy string
	// AtProxy says that the fault is the proxy's: it could not be reached or used, refused,
	// or misbehaved. One that says of itself that it could not connect has done its part.
	AtProxy bool

	cause error
}

// Error gives kind and cause.
func (e *Error) Error() string {
	return "egress " + e.Kind.String() + ": " + e.cause.Error()
}

// Unwrap gives the cause, which is as safe to print as the Error.
func (e *Error) Unwrap() error { return e.cause }

func atProxy(kind Kind, cause error) *Error { return &Error{Kind: kind, AtProxy: true, cause: cause} }

func denied(cause error) *Error { return &Error{Kind: Denied, cause: cause} }

func answered(kind Kind, cause error) *Error { return &Error{Kind: kind, Sent: true, cause: cause} }

// classify reduces what net/http returned to a kind and a fixed cause. The errors
// below it hold URLs, names and bytes of the answer, so their text goes nowhere.
func classify(ctx context.Context, err error, sent bool) *Error {
	var own *Error
	if errors.As(err, &own) {
		return &Error{Kind: own.Kind, Sent: own.Sent || sent, AtProxy: own.AtProxy, cause: own.cause}
	}
	if cause := whyEnded(ctx); cause != nil {
		return &Error{Kind: TimedOut, Sent: sent, cause: cause}
	}
	kind := Unreachable
	if sent {
		kind = Lost
	}
	return &Error{Kind: kind, Sent: sent, cause: safeCause(err)}
}

var (
	errNoName      = errors.New("the name does not exist")
	errNameServer  = errors.New("the name could not be resolved")
	errRefused     = errors.New("connection refused")
	errNoRoute     = errors.New("no route to the address")
	errReset       = errors.New("connection reset")
	errUntrusted   = errors.New("the certificate is not trusted")
	errOtherName   = errors.New("the certificate is for another name")
	errCertificate = errors.New("the certificate is not valid")
	errNotTLS      = errors.New("the other side does not speak TLS")
	errHandshake   = errors.New("the TLS handshake was refused")
	errConnectTime = errors.New("connecting took too long")
	errConnection  = errors.New("the connection failed")
)

// safeCause picks the sentence that fits err best.
func safeCause(err error) error {
	var (
		dns       *net.DNSError
		unknown   x509.UnknownAuthorityError
		other     x509.HostnameError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     *net.OpError
		operation net.Error
	)
	switch {
	case errors.Is(err, errOtherID):
		return errOtherID
	case errors.Is(err, errShortKey):
		return errShortKey
	case errors.As(err, &dns) && dns.IsNotFound:
		return errNoName
	case errors.As(err, &dns):
		return errNameServer
	case errors.As(err, &unknown):
		return errUntrusted
	case errors.As(err, &other):
		return errOtherName
	case errors.As(err, &verify):
		return errCertificate
	case errors.As(err, &record):
		return errNotTLS
	case errors.As(err, &alert) && alert.Op == "remote error": // how crypto/tls gives an alert
		return errHandshake
	case errors.Is(err, syscall.ECONNREFUSED):
		return errRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return errNoRoute
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errReset
	case errors.As(err, &operation) && operation.Timeout():
		return errConnectTime
	}
	return errConnection
}
