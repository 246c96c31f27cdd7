package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

var delegate = []string{
	"task", "delegate", "--agent", "reader", "--sandbox", "spiffe://test.example/sandbox/2",
	"--grant", "crm: contacts.get,contacts.search READ contact:42 calls=10", "--grant", "erp: orders.get READ order:7",
}

func TestTaskDelegate(t *testing.T) {
	answer := &onedoorv1.DelegateTaskResponse{TaskKey: "od1t_childkey", TaskId: "t2", KeyId: "k2", ExpiresAt: noon, Task: &onedoorv1.Task{Id: "t2", ParentId: "t1"}}
	asked := func() *onedoorv1.DelegateTaskRequest {
		return &onedoorv1.DelegateTaskRequest{
			Agent: "reader", Sandbox: "spiffe://test.example/sandbox/2",
			Grants: []string{"crm: contacts.get,contacts.search READ contact:42 calls=10", "erp: orders.get READ order:7"},
		}
	}
	limited := asked()
	limited.Ttl, limited.Delegates = durationpb.New(5*time.Minute), []string{"spiffe://test.example/sandbox/2/"}
	for name, tc := range map[string]struct {
		more   []string
		sent   *onedoorv1.DelegateTaskRequest
		stdout string
	}{
		"for people": {
			sent:   asked(),
			stdout: "TASK    t2\nSTATE   UNSPECIFIED\nPARENT  t1\n\nThe key is shown this once. In the sandbox:\nexport ONEDOOR_TASK_KEY=od1t_childkey\n",
		},
		"with its own life and delegates, for scripts": {
			more: []string{"--ttl", "5m", "--delegate", "spiffe://test.example/sandbox/2/", "-o", "json"}, sent: limited,
		},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return answer, nil }}
			stage(t, broker)
			code, stdout, stderr := onedoor(t, "", append(delegate, tc.more...)...)
			require.Zero(t, code, stderr)
			require.Empty(t, stderr)
			if tc.stdout == "" {
				require.Contains(t, stdout, `"taskKey": "od1t_childkey"`)
				require.Contains(t, stdout, `"taskId": "t2"`)
			} else {
				require.Equal(t, tc.stdout, stdout)
			}
			calls := broker.Calls()
			require.Len(t, calls, 1)
			require.Equal(t, onedoorv1.Broker_DelegateTask_FullMethodName, calls[0].Method)
			require.Equal(t, []string{"Bearer od1t_key"}, calls[0].Authorization)
			require.True(t, proto.Equal(tc.sent, calls[0].Request.(proto.Message)), "sent %v", calls[0].Request)
		})
	}
}

func TestTaskDelegateRefused(t *testing.T) {
	t.Run("wider than one's own", func(t *testing.T) {
		refusal := brokertest.Refusal(codes.PermissionDenied, "DELEGATION_WIDENS", "grants[1]: no grant of the parent's holds it", 0, "field", "grants[1]")
		broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return nil, refusal }}
		stage(t, broker)
		code, stdout, stderr := onedoor(t, "", delegate...)
		require.Equal(t, exitRefused, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "DELEGATION_WIDENS: grants[1]")
		require.Contains(t, stderr, "onedoor task get")
	})
}

// What has reached a bound of its tree is not told that a grant is used up.
func TestAdviceOnFullTrees(t *testing.T) {
	for bound, frees := range map[string]bool{"children": true, "tree": true, "depth": false} {
		t.Run(bound, func(t *testing.T) {
			refusal := brokertest.Refusal(codes.FailedPrecondition, "LIMIT_REACHED", "as many as it may have", 0,
				"limit", "delegation."+bound, "raise", "limits.delegation."+bound)
			broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return nil, refusal }}
			stage(t, broker)
			code, _, stderr := onedoor(t, "", delegate...)
			require.Equal(t, exitState, code)
			require.Contains(t, stderr, "limits.delegation."+bound)
			require.Equal(t, frees, strings.Contains(stderr, "onedoor task end ID"), stderr)
			require.NotContains(t, stderr, "grant")
		})
	}
}
