// Package fault is the one error type that may cross to a caller: a reason, a
// sentence meant for the caller, and a cause that goes to the log alone.
package fault

import (
	"errors"
	"time"
)

// Error is a refusal or failure with its reason. The public text never holds a
// secret, nor the text of an error from below.
type Error struct {
	// Reason is the machine-readable reason.
	Reason Reason
	// Public is what the caller is told.
	Public string
	// Metadata travels beside the reason, for instance "field".
	Metadata map[string]string
	// RetryAfter says when to try again; zero means: do not say.
	RetryAfter time.Duration

	cause error
}

// New makes an Error. cause may be nil; it is for the log alone.
func New(reason Reason, public string, cause error) *Error {
	return &Error{Reason: reason, Public: public, cause: cause}
}

// Invalid makes an ARGUMENT_INVALID that names the field.
func Invalid(field, public string) *Error {
	return New(ArgumentInvalid, field+": "+public, nil).With("field", field)
}

// With adds one pair of metadata and returns e.
func (e *Error) With(key, value string) *Error {
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	e.Metadata[key] = value
	return e
}

// Error gives reason and public text: what is safe to show.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Public }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// From finds the Error in err's chain, or wraps err as INTERNAL.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(Internal, "internal error", err)
}

// Is reports whether err carries the reason.
func Is(err error, reason Reason) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == reason
}
