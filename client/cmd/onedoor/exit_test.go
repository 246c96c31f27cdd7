package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/onedoor/onedoor/client/internal/brokertest"
)

func TestExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		code     codes.Code
		reason   string
		metadata []string
		exit     int
		says     string
	}{
		"refused":              {codes.PermissionDenied, "RESOURCE_NOT_GRANTED", nil, 3, "onedoor explain"},
		"task ended":           {codes.Unauthenticated, "TASK_ENDED", nil, 3, "onedoor task create"},
		"role":                 {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "role"}, 3, "SPIFFE_ENDPOINT_SOCKET that of the right role"},
		"workspace":            {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "workspace"}, 3, "Is --workspace-name right"},
		"denied":               {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "deny_list"}, 3, "spiffe.denied_ids_file"},
		"older broker":         {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "version"}, 3, "update it"},
		"no delegates":         {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "delegates"}, 3, "onedoor task create --delegate ID"},
		"bound":                {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"raise", "workspaces.orchestrators.max_severity"}, 3, "allows it with workspaces.orchestrators.max_severity in"},
		"invalid":              {codes.InvalidArgument, "ARGUMENT_INVALID", []string{"invocation_id", "i9"}, 4, "invocation i9"},
		"not found":            {codes.NotFound, "TOOL_UNKNOWN", nil, 4, "onedoor tools"},
		"credential of a user": {codes.FailedPrecondition, "CREDENTIAL_MISSING", []string{"connector", "crm", "user", "bob smith", "slot", "admin", "mend", "put"}, 5, "onedoor credential put crm --user 'bob smith' --slot admin --from-file FILE"},
		"credential of the workspace": {codes.FailedPrecondition, "CREDENTIAL_MISSING", []string{"connector", "crm", "owner", "workspace", "mend", "put"}, 5,
			"onedoor credential put crm --workspace --from-file FILE"},
		"account of a user": {codes.FailedPrecondition, "CREDENTIAL_MISSING", []string{"connector", "crm", "owner", "user", "slot", "main", "mend", "connect"}, 5,
			"onedoor credential connect crm --user USER"},
		"dead account": {codes.FailedPrecondition, "CREDENTIAL_NEEDS_RECONNECT", []string{"connector", "crm", "owner", "user", "slot", "second", "mend", "connect"}, 5,
			"onedoor credential connect crm --user USER --slot second"},
		"dead certificate of a user": {codes.FailedPrecondition, "CREDENTIAL_NEEDS_RECONNECT", []string{"connector", "crm", "owner", "user", "mend", "put"}, 5,
			"onedoor credential put crm --user USER --from-file FILE"},
		"conflict":              {codes.Aborted, "CONFLICT", []string{"invocation_id", "i9", "first_invocation_id", "i8", "first_outcome", "OK"}, 5, "outcome is OK. For operators: onedoor audit list --invocation i8"},
		"conflict of operators": {codes.Aborted, "CONFLICT", []string{"invocation_id", "i9"}, 5, "then try again"},
		"limit":                 {codes.FailedPrecondition, "LIMIT_REACHED", nil, 5, "mint a new task"},
		"limit of tokens":       {codes.FailedPrecondition, "LIMIT_REACHED", []string{"left", "7"}, 5, "Make the call smaller"},
		"too large":             {codes.OutOfRange, "RESPONSE_TOO_LARGE", nil, 5, ""},
		"dropped":               {codes.ResourceExhausted, "ANSWER_DROPPED", nil, 5, "The call was made: find out"},
		"no such proxy":         {codes.NotFound, "CONNECTOR_UNKNOWN", []string{"mend", "proxies"}, 4, "egress.proxies"},
		"no such connector":     {codes.NotFound, "CONNECTOR_UNKNOWN", nil, 4, "onedoor connector list"},
		"timeout":               {codes.DeadlineExceeded, "UPSTREAM_TIMEOUT", nil, 6, ""},
		"outcome unknown":       {codes.Unknown, "OUTCOME_UNKNOWN", nil, 7, "--idempotency-key"},
		"internal":              {codes.Internal, "INTERNAL", nil, 1, "broker's log"},
		"not the broker's own":  {codes.Unavailable, "", nil, 7, "handed to the broker"},
	} {
		t.Run(name, func(t *testing.T) {
			stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
				return nil, brokertest.Refusal(tc.code, tc.reason, "in words", 0, tc.metadata...)
			}})
			code, stdout, stderr := onedoor(t, "", "invoke", "crm", "contacts.get")
			require.Equal(t, tc.exit, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tc.says)
			if tc.reason != "" {
				require.True(t, strings.HasPrefix(stderr, "onedoor: "+tc.reason+": in words\n"), stderr)
			}
		})
	}
}

// Advice on roles is for those whose role is wrong, and for nobody else.
func TestAdviceOnRolesOnlyWhereRolesAreThePoint(t *testing.T) {
	for _, metadata := range [][]string{nil, {"mend", "deny_list"}, {"mend", "version"}, {"mend", "delegates"}, {"mend", "new"}, {"raise", "workspaces.orchestrators.connectors"}} {
		stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
			return nil, brokertest.Refusal(codes.PermissionDenied, "CALLER_NOT_ALLOWED", "in words", 0, metadata...)
		}})
		_, _, stderr := onedoor(t, "", "task", "list")
		require.NotContains(t, stderr, "SPIFFE_ENDPOINT_SOCKET", metadata)
		require.NotContains(t, stderr, "--workspace-name", metadata)
	}
}

// Where storing something does not help, nobody is told to.
func TestNoCommandWhereNoneHelps(t *testing.T) {
	stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return nil, brokertest.Refusal(codes.FailedPrecondition, "CREDENTIAL_MISSING", "assertions.issuer is not configured", 0, "connector", "crm")
	}})
	_, _, stderr := onedoor(t, "", "invoke", "crm", "contacts.get")
	require.Contains(t, stderr, "assertions.issuer")
	require.NotContains(t, stderr, "onedoor credential")
}

func TestMessagesOfSeveralLinesStayReadableAndHarmless(t *testing.T) {
	stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return nil, brokertest.Refusal(codes.InvalidArgument, "ARGUMENT_INVALID", "two faults:\ntools: none\x1b[2J\nname: bad", 0)
	}})
	code, _, stderr := onedoor(t, "x", "connector", "apply", "-f", "-")
	require.Equal(t, 4, code)
	require.Equal(t, "onedoor: ARGUMENT_INVALID: two faults:\n  tools: none\uFFFD[2J\n  name: bad\n", stderr)
}

// Text where the tool wants a number is the slip of whoever types --arg for the first time.
func TestAdviceOnTypesOfArguments(t *testing.T) {
	for message, advised := range map[string]bool{
		"id: want integer": true, "tags: want array or null": true,
		"id: want at least 3 characters": false, "severity: want READ, WRITE, DESTRUCTIVE or ADMIN": false,
	} {
		t.Run(message, func(t *testing.T) {
			stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
				return nil, brokertest.Refusal(codes.InvalidArgument, "ARGUMENT_INVALID", message, 0, "field", "id")
			}})
			_, _, stderr := onedoor(t, "", "invoke", "crm", "contacts.get", "--arg", "id=42")
			require.Equal(t, advised, strings.Contains(stderr, "--arg NAME:=JSON"), stderr)
		})
	}
}

func TestBusyBrokerIsToldAsUnavailable(t *testing.T) {
	broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return nil, brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow down", time.Hour, "raise", "limits.task.calls_per_second")
	}}
	stage(t, broker)
	code, _, stderr := onedoor(t, "", "tools")
	require.Equal(t, 6, code)
	require.Contains(t, stderr, "Nothing was sent. Try again later, in 1h0m0s. An operator raises it with limits.task.calls_per_second in")
	broker.Close()
	code, _, stderr = onedoor(t, "", "keys", "list")
	require.Equal(t, 6, code)
	require.Contains(t, stderr, "onedoor: UNAVAILABLE: ")
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "a@b.example": "a@b.example", "": "''", "-rf": "'-rf'", "a b": "'a b'", "$(id)": "'$(id)'", "it's": `'it'\''s'`,
	} {
		require.Equal(t, want, shellWord(in))
	}
}
