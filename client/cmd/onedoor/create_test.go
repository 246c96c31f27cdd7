package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestTaskCreate(t *testing.T) {
	broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return &onedoorv1.TasksCreateResponse{TaskKey: "od1t_new", TaskId: "t1", KeyId: "k1", ExpiresAt: noon, Task: task}, nil
	}}
	stage(t, broker)
	args := []string{
		"task", "create", "--agent", "mailer", "--user", "alice", "--sandbox", "spiffe://test.example/sandbox/1", "--ttl", "15m",
		"--grant", "crm: contacts.get,contacts.search READ contact:*", "--grant", "crm: contacts.update WRITE contact:42 calls=10",
		"--delegate", "spiffe://test.example/sandbox/",
	}
	code, stdout, stderr := onedoor(t, "", args...)
	require.Zero(t, code, stderr)
	require.Equal(t, taskTable+"\nThe key is shown this once. In the sandbox:\nexport ONEDOOR_TASK_KEY=od1t_new\n", stdout)
	require.Empty(t, stderr)
	require.True(t, proto.Equal(&onedoorv1.TasksCreateRequest{
		Agent: "mailer", User: "alice", Sandbox: "spiffe://test.example/sandbox/1", Ttl: durationpb.New(15 * time.Minute),
		Grants:    []string{"crm: contacts.get,contacts.search READ contact:*", "crm: contacts.update WRITE contact:42 calls=10"},
		Delegates: []string{"spiffe://test.example/sandbox/"},
	}, broker.Calls()[0].Request.(proto.Message)))

	code, stdout, stderr = onedoor(t, "", append([]string{"-o", "json"}, args...)...)
	require.Zero(t, code, stderr)
	var answer map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &answer))
	require.Equal(t, "od1t_new", answer["taskKey"])
	require.Equal(t, "t1", answer["taskId"])
	require.Equal(t, "k1", answer["keyId"])
	require.Equal(t, "2026-11-23T12:00:00Z", answer["expiresAt"])
}
