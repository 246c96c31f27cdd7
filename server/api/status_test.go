package api_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
)

// TestReasonsHaveTheirCodes holds the table of docs/errors.md: every reason of the
// protocol, with its gRPC code.
func TestReasonsHaveTheirCodes(t *testing.T) {
	want := map[codes.Code][]onedoorv1.Reason{
		codes.Unauthenticated: {1, 2, 3, 4, 5}, codes.PermissionDenied: {10, 11, 12, 13, 14, 15, 16, 17},
		codes.InvalidArgument: {20}, codes.NotFound: {21, 22, 23, 24}, codes.FailedPrecondition: {30, 31, 32, 33},
		codes.Aborted: {34}, codes.ResourceExhausted: {40, 42}, codes.OutOfRange: {41}, codes.DeadlineExceeded: {50},
		codes.Unavailable: {51, 52, 53, 54}, codes.Unknown: {60}, codes.Internal: {61},
	}
	seen := 0
	for code, reasons := range want {
		for _, r := range reasons {
			seen++
			name := r.String()[len("REASON_"):]
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				s := status.Convert(w.call(t, w.sandbox(), invoke, func(context.Context) error {
					return fault.New(fault.Reason(name), "public", errors.New("private"))
				}))
				require.Equal(t, code, s.Code())
				require.Equal(t, "public", s.Message())
				info := detail[*errdetails.ErrorInfo](t, s)
				require.Equal(t, name, info.GetReason())
				require.Equal(t, "onedoor", info.GetDomain())
				require.NotEmpty(t, info.GetMetadata()["invocation_id"])
				require.NotContains(t, fmt.Sprint(s.Proto()), "private")
			})
		}
	}
	require.Equal(t, len(onedoorv1.Reason_name)-1, seen, "a reason without a code")
}

func TestOtherErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     error
		code    codes.Code
		message string
	}{
		{"plain error", errors.New("dial tcp: secret"), codes.Internal, "internal error"},
		{"caller went away", fmt.Errorf("relay: %w", context.Canceled), codes.Canceled, "the caller went away"},
		{"deadline", fmt.Errorf("relay: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "the call's deadline has passed"},
		{"grpc's own", status.Error(codes.Unavailable, "transport is closing"), codes.Unavailable, "transport is closing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s := status.Convert(w.call(t, w.sandbox(), invoke, func(context.Context) error { return c.err }))
			require.Equal(t, c.code, s.Code())
			require.Equal(t, c.message, s.Message())
		})
	}
}

func TestRetryInfo(t *testing.T) {
	w := newWorld(t)
	f := fault.New(fault.RateLimited, "slow down", nil)
	f.RetryAfter = 3 * time.Second
	s := status.Convert(w.call(t, w.sandbox(), invoke, func(context.Context) error { return f }))
	require.Equal(t, 3*time.Second, detail[*errdetails.RetryInfo](t, s).GetRetryDelay().AsDuration())
}

// TestSeveritiesAgree: the two enums are converted by number.
func TestSeveritiesAgree(t *testing.T) {
	require.Len(t, onedoorv1.Severity_name, int(grant.Admin)+1)
	for s := grant.Unspecified; s <= grant.Admin; s++ {
		require.Equal(t, "SEVERITY_"+s.String(), onedoorv1.Severity(s).String())
	}
}

func detail[T any](t *testing.T, s *status.Status) T {
	t.Helper()
	for _, d := range s.Details() {
		if found, ok := d.(T); ok {
			return found
		}
	}
	require.Fail(t, "the status lacks a detail")
	var none T
	return none
}
