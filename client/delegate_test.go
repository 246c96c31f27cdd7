package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestDelegate(t *testing.T) {
	answer := &onedoorv1.DelegateTaskResponse{TaskKey: "od1t_childssecret", TaskId: "t2", Task: &onedoorv1.Task{Id: "t2", ParentId: "t1"}}
	r := newRig(t, &brokertest.Broker{Answer: always(answer, nil)})
	for name, tc := range map[string]struct {
		asked client.Delegation
		sent  *onedoorv1.DelegateTaskRequest
	}{
		"with all there is": {
			client.Delegation{
				Agent: "reader", Sandbox: "spiffe://test.example/sandbox/2", Grants: []string{"crm: contacts.get READ contact:42"},
				TTL: 90 * time.Second, Delegates: []string{"spiffe://test.example/sandbox/2/"},
			},
			&onedoorv1.DelegateTaskRequest{
				Agent: "reader", Sandbox: "spiffe://test.example/sandbox/2", Grants: []string{"crm: contacts.get READ contact:42"},
				Ttl: durationpb.New(90 * time.Second), Delegates: []string{"spiffe://test.example/sandbox/2/"},
			},
		},
		"as long as the parent":         {client.Delegation{Agent: "reader"}, &onedoorv1.DelegateTaskRequest{Agent: "reader"}},
		"a life that the broker judges": {client.Delegation{TTL: -time.Second}, &onedoorv1.DelegateTaskRequest{Ttl: durationpb.New(-time.Second)}},
	} {
		t.Run(name, func(t *testing.T) {
			child, err := r.client.Delegate(t.Context(), tc.asked)
			require.NoError(t, err)
			require.True(t, proto.Equal(answer.GetTask(), child.Task))
			require.Equal(t, client.TaskKey("od1t_childssecret"), child.Key)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", child, child, *child), "childssecret", "the key does not print")
			calls := r.broker.Calls()
			last := calls[len(calls)-1]
			require.True(t, proto.Equal(tc.sent, last.Request.(proto.Message)), "%v", last.Request)
			require.Equal(t, []string{"Bearer " + taskKey}, last.Authorization)
		})
	}
}

// afterFailure is what comes of a call whose first try fails.
type afterFailure struct {
	answer error         // to the first try
	reason client.Reason // of the call
	tries  int           // two where it is tried again, which succeeds
}

func (k afterFailure) check(t *testing.T, second any, call func(*client.Client) error) {
	t.Helper()
	r := newRig(t, &brokertest.Broker{Answer: func(_ context.Context, n int, _ brokertest.Call) (any, error) {
		if n == 1 {
			return nil, k.answer
		}
		return second, nil
	}})
	err := call(r.client)
	require.Len(t, r.broker.Calls(), k.tries)
	require.Equal(t, k.reason, client.ReasonOf(err), "%v", err)
	require.Equal(t, k.tries == 2, err == nil)
}

// A second child is an effect too: only what was refused before anything began is asked
// again.
func TestDelegateIsNotRepeatedBlindly(t *testing.T) {
	for name, tc := range map[string]afterFailure{
		"rate limited":          {brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow", 0), "", 2},
		"SVID expired":          {brokertest.Refusal(codes.Unauthenticated, "SVID_EXPIRED", "open a new connection", 0), "", 2},
		"store unavailable":     {brokertest.Refusal(codes.Unavailable, "STORE_UNAVAILABLE", "down", 0), client.StoreUnavailable, 1},
		"audit unavailable":     {brokertest.Refusal(codes.Unavailable, "AUDIT_UNAVAILABLE", "down", 0), client.AuditUnavailable, 1},
		"limit reached":         {brokertest.Refusal(codes.FailedPrecondition, "LIMIT_REACHED", "32 children", 0), client.LimitReached, 1},
		"wider than its parent": {brokertest.Refusal(codes.PermissionDenied, "DELEGATION_WIDENS", "ttl", 0), client.DelegationWidens, 1},
		"nobody's word":         {status.Error(codes.Unavailable, "proxy"), client.OutcomeUnknown, 1},
		"a broker without it":   {status.Error(codes.Unimplemented, "unknown method"), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, &onedoorv1.DelegateTaskResponse{TaskKey: "od1t_x"}, func(c *client.Client) error {
				_, err := c.Delegate(t.Context(), client.Delegation{Agent: "reader"})
				return err
			})
		})
	}
	t.Run("the context ends before the answer", func(t *testing.T) {
		own, cancel := context.WithCancel(t.Context())
		r := newRig(t, &brokertest.Broker{Answer: func(ctx context.Context, _ int, _ brokertest.Call) (any, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		_, err := r.client.Delegate(own, client.Delegation{Agent: "reader"})
		require.ErrorIs(t, err, client.OutcomeUnknown, "the child may exist")
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestEndDelegated(t *testing.T) {
	answer := &onedoorv1.EndDelegatedTaskResponse{Task: &onedoorv1.Task{Id: "t2", State: onedoorv1.TaskState_TASK_STATE_ENDED}}
	r := newRig(t, &brokertest.Broker{Answer: always(answer, nil)})
	ended, err := r.client.EndDelegated(t.Context(), "t2")
	require.NoError(t, err)
	require.True(t, proto.Equal(answer.GetTask(), ended))
	calls := r.broker.Calls()
	require.Len(t, calls, 1)
	require.True(t, proto.Equal(&onedoorv1.EndDelegatedTaskRequest{TaskId: "t2"}, calls[0].Request.(proto.Message)), "%v", calls[0].Request)
	require.Equal(t, []string{"Bearer " + taskKey}, calls[0].Authorization)
}

// To end a task twice is to end it once: what may pass is tried again, and a lost answer is
// no unknown outcome.
func TestEndDelegatedIsRepeated(t *testing.T) {
	for name, tc := range map[string]afterFailure{
		"rate limited":      {brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow", 0), "", 2},
		"SVID expired":      {brokertest.Refusal(codes.Unauthenticated, "SVID_EXPIRED", "open a new connection", 0), "", 2},
		"store unavailable": {brokertest.Refusal(codes.Unavailable, "STORE_UNAVAILABLE", "down", 0), "", 2},
		"audit unavailable": {brokertest.Refusal(codes.Unavailable, "AUDIT_UNAVAILABLE", "down", 0), "", 2},
		"not below":         {brokertest.Refusal(codes.NotFound, "TASK_UNKNOWN", "no such task below this one", 0), client.TaskUnknown, 1},
		"ended itself":      {brokertest.Refusal(codes.Unauthenticated, "TASK_ENDED", "ended", 0), client.TaskEnded, 1},
		"nobody's word":     {status.Error(codes.Unavailable, "proxy"), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, &onedoorv1.EndDelegatedTaskResponse{}, func(c *client.Client) error {
				_, err := c.EndDelegated(t.Context(), "t2")
				return err
			})
		})
	}
}
