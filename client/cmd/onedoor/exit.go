package main

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/client"
)

// The exit codes. Scripts rely on them: they never change their meaning.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitRefused     = 3
	exitInvalid     = 4
	exitState       = 5
	exitUnavailable = 6
	exitUnknown     = 7
)

const exitHelp = `  0  done; for invoke: the call was made, whatever the upstream's status
  1  another failure
  2  wrong usage: flags, or an environment variable is missing
  3  refused: who you are, or what the task may do; also explain's "no"
  4  an argument is invalid, or what it names does not exist
  5  the state of things forbids it: no credential, conflict, limit reached, answer too large or given up
  6  unavailable, too busy or too slow: try again later
  7  outcome unknown: the call was sent, its answer was lost; do not repeat it blindly`

// usageError is a command that cannot be understood.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// errNotAllowed is explain's "no". The answer is on stdout, so nothing more is said.
var errNotAllowed = errors.New("not allowed")

// exitCode classifies err.
func exitCode(err error) int {
	var usage usageError
	var e *client.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.Is(err, client.ErrNotConfigured):
		return exitUsage
	case errors.Is(err, errNotAllowed):
		return exitRefused
	case errors.Is(err, client.ErrNoIdentity):
		return exitUnavailable
	case errors.As(err, &e):
		return exitOf(e)
	}
	return exitFailure
}

// exitOf classifies what a call came to.
func exitOf(e *client.Error) int {
	switch e.Reason {
	case client.OutcomeUnknown:
		return exitUnknown
	case client.RateLimited:
		return exitUnavailable
	case client.AnswerDropped:
		return exitState
	}
	switch e.Code() {
	case codes.Unauthenticated, codes.PermissionDenied:
		return exitRefused
	case codes.InvalidArgument, codes.NotFound:
		return exitInvalid
	case codes.FailedPrecondition, codes.Aborted, codes.AlreadyExists, codes.OutOfRange:
		return exitState
	case codes.Unavailable, codes.DeadlineExceeded:
		return exitUnavailable
	}
	return exitFailure
}

// fail tells err on stderr, with advice where there is any, and gives its exit code.
func (s *session) fail(err error) int {
	if err == nil || errors.Is(err, errNotAllowed) {
		return exitCode(err)
	}
	fmt.Fprintf(s.stderr, "onedoor: %s\n", cleanLines(tell(err)))
	var e *client.Error
	if errors.As(err, &e) && e.InvocationID != "" {
		fmt.Fprintf(s.stderr, "  invocation %s\n", clean(e.InvocationID))
	}
	if advice := advise(err); advice != "" {
		fmt.Fprintf(s.stderr, "  %s\n", clean(advice))
	}
	return exitCode(err)
}

// tell puts err in words, its reason first.
func tell(err error) string {
	var usage usageError
	var e *client.Error
	switch {
	case errors.As(err, &e):
		return e.Error()
	case errors.As(err, &usage):
		return "USAGE: " + usage.text
	case errors.Is(err, client.ErrNotConfigured):
		return "NOT_CONFIGURED: " + err.Error()
	case errors.Is(err, client.ErrNoIdentity):
		return "NO_IDENTITY: " + err.Error()
	}
	return err.Error()
}
