package testenv

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// DelegatesToSandbox2 lets a task delegate to the second sandbox, and to those below it.
func (b *Broker) DelegatesToSandbox2(r *onedoorv1.TasksCreateRequest) {
	r.Delegates = []string{b.ids[Sandbox2], b.ids[Sandbox2] + "/"}
}

// Delegation asks for a child for the second sandbox.
func (b *Broker) Delegation(grants ...string) *onedoorv1.DelegateTaskRequest {
	return &onedoorv1.DelegateTaskRequest{Agent: "sub-agent", Sandbox: b.ids[Sandbox2], Grants: grants}
}

// Delegate mints a child of the first sandbox's task for the second sandbox.
func (b *Broker) Delegate(t testing.TB, parent Task, grants ...string) Task {
	t.Helper()
	made, err := TryDelegate(t, b.Client(t, Sandbox, parent.Key), b.Delegation(grants...))
	require.NoError(t, err)
	return made
}

// TryDelegate mints a child of whatever task the client has the key of.
func TryDelegate(t testing.TB, as *client.Client, r *onedoorv1.DelegateTaskRequest) (Task, error) {
	t.Helper()
	made, err := as.Broker().DelegateTask(t.Context(), r)
	return Task{Key: made.GetTaskKey(), ID: made.GetTaskId(), KeyID: made.GetKeyId()}, err
}

// Tree lists the tasks of a tree, the newest first, as the orchestrator sees them.
func (b *Broker) Tree(t testing.TB, rootID string, activeOnly bool) []*onedoorv1.Task {
	t.Helper()
	r := &onedoorv1.TasksListRequest{RootId: rootID, ActiveOnly: activeOnly, PageSize: 500}
	tree, err := b.Client(t, Orchestrator, "").Tasks().List(t.Context(), r)
	require.NoError(t, err)
	return tree.GetTasks()
}
