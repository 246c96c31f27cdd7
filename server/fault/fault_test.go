package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
)

func TestTheCauseStaysInside(t *testing.T) {
	cause := fmt.Errorf("dial 10.0.0.7 with %s: %w", "hunter2", io.ErrUnexpectedEOF)
	err := fault.New(fault.UpstreamUnavailable, "the upstream could not be reached", cause)
	require.EqualError(t, err, "UPSTREAM_UNAVAILABLE: the upstream could not be reached")
	for _, verb := range []string{"%v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, err), "hunter2")
	}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the log can still tell")
}

func TestFrom(t *testing.T) {
	inner := fault.New(fault.TaskEnded, "the task has ended", nil)
	require.Same(t, inner, fault.From(inner))
	require.Same(t, inner, fault.From(fmt.Errorf("broker: %w", inner)))
	require.Same(t, inner, fault.From(errors.Join(io.EOF, inner)))

	secret := errors.New("pq: password hunter2 refused")
	unknown := fault.From(secret)
	require.Equal(t, fault.Internal, unknown.Reason)
	require.Equal(t, "internal error", unknown.Public)
	require.ErrorIs(t, unknown, secret)
	require.NotContains(t, unknown.Error(), "hunter2")
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("broker: %w", fault.New(fault.TaskEnded, "", nil))
	require.True(t, fault.Is(err, fault.TaskEnded))
	require.False(t, fault.Is(err, fault.Internal))
	require.False(t, fault.Is(io.EOF, fault.Internal), "an error of another kind has no reason")
	require.False(t, fault.Is(nil, fault.Internal))
}

func TestInvalidNamesTheField(t *testing.T) {
	err := fault.Invalid("grants[0]", "want at least one tool")
	require.Equal(t, fault.ArgumentInvalid, err.Reason)
	require.Equal(t, map[string]string{"field": "grants[0]"}, err.Metadata)
	require.EqualError(t, err, "ARGUMENT_INVALID: grants[0]: want at least one tool")

	require.Same(t, err, err.With("a", "b"))
	require.Equal(t, map[string]string{"field": "grants[0]", "a": "b"}, err.Metadata)
}
