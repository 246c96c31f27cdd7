package client

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errorDomain is the domain of the broker's google.rpc.ErrorInfo; a reason of any
// other domain (a proxy's, say) is not the broker's word.
const errorDomain = "onedoor"

// Errors of the client itself.
var (
	// ErrNotConfigured says that an option is missing or malformed.
	ErrNotConfigured = errors.New("client is not configured")
	// ErrNoIdentity says that the Workload API gave no X.509-SVID in time.
	ErrNoIdentity = errors.New("no identity from the Workload API")
	// ErrBrokerUntrusted says that whoever answers at the address did not prove to be
	// the broker. Nothing was sent to it.
	ErrBrokerUntrusted = errors.New("not the expected broker")
	// ErrClosed says that the Client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrStreamCut says that a streamed answer ended before it was complete. The call
	// was made.
	ErrStreamCut = errors.New("the streamed answer is incomplete")
)

// Error is a call that did not succeed. Every RPC of this package and of the stubs
// returns one; match the reason with errors.Is or ReasonOf, and the rest with
// errors.As.
type Error struct {
	// Reason is the broker's reason. It is empty where the failure is none of the
	// broker's (no connection, a cancelled context); Code tells these apart.
	//
	// OUTCOME_UNKNOWN may come from this side too: an Invoke was handed over and the
	// connection, or the context, ended before the answer.
	Reason Reason
	// Message says in words what happened. It holds no secret.
	Message string
	// InvocationID finds the call in the audit trail and the broker's log; empty where
	// the call was refused before it got one.
	InvocationID string
	// IdempotencyKey is the one that the last attempt of an Invoke carried. To call
	// again with the same key never makes a call twice.
	IdempotencyKey string
	// Metadata is what the broker sent beside the reason, for instance "field", or
	// "first_invocation_id" where an idempotency key was used before.
	Metadata map[string]string
	// RetryAfter is how long the broker asks to wait; zero where it does not.
	RetryAfter time.Duration

	code  codes.Code
	cause error
}

// Error gives reason and message.
func (e *Error) Error() string { return e.Name() + ": " + e.Message }

// Name gives the reason, or where there is none the gRPC code, in UPPER_SNAKE.
func (e *Error) Name() string {
	if e.Reason != "" {
		return string(e.Reason)
	}
	if e.code > codes.Unauthenticated {
		return codeNames[codes.Unknown]
	}
	return codeNames[e.code]
}

// codeNames are the canonical names of google.rpc.Code.
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
	"ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// Code gives the gRPC status code.
func (e *Error) Code() codes.Code { return e.code }

// GRPCStatus lets status.Code and status.FromError see the code.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.code, e.Message) }

// Is reports whether target is this error's reason.
func (e *Error) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && reason != "" && reason == e.Reason
}

// Unwrap gives the cause on this side, for instance context.DeadlineExceeded.
func (e *Error) Unwrap() error { return e.cause }

// fromStatus turns what gRPC returned into an *Error. nil and io.EOF, the good end of
// a stream, stay what they are.
func fromStatus(err error) error {
	var already *Error
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &already) {
		return err
	}
	st := status.Convert(err)
	e := &Error{Message: st.Message(), code: st.Code()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain {
				e.Reason, e.Metadata = Reason(d.GetReason()), d.GetMetadata()
				e.InvocationID = d.GetMetadata()["invocation_id"]
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if e.Reason == "" {
		e.cause = localCause(e.code)
	}
	return e
}

// localCause restores the context's error, which gRPC flattens into a code.
func localCause(code codes.Code) error {
	switch code {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return nil
}
