package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// tree lists the tree of a task, for those who may list tasks; the newest first. There is
// none where the broker names no root: without one, the list would be of all tasks.
func (s *session) tree(ctx context.Context, cl *client.Client, k *onedoorv1.Task) ([]*onedoorv1.Task, error) {
	if k.GetRootId() == "" {
		return nil, nil
	}
	answer, err := cl.Tasks().List(ctx, &onedoorv1.TasksListRequest{Workspace: s.workspace, RootId: k.GetRootId(), PageSize: wholePages})
	return answer.GetTasks(), err
}

// treeRows shows a tree of tasks, each below and to the right of the one that delegated
// to it; a task alone is no tree.
func treeRows(t *table, tree []*onedoorv1.Task) {
	if len(tree) < 2 {
		return
	}
	below := map[string][]*onedoorv1.Task{}
	for _, k := range tree {
		below[k.GetParentId()] = append([]*onedoorv1.Task{k}, below[k.GetParentId()]...)
	}
	t.line("")
	t.row("TREE", "STATE", "AGENT", "SANDBOX", "EXPIRES")
	var show func(parent string)
	show = func(parent string) {
		for _, k := range below[parent] {
			t.row(strings.Repeat("  ", int(max(k.GetDepth(), 0)))+k.GetId(), enum(k.GetState(), "TASK_STATE_"), k.GetAgent(), k.GetSandbox(), moment(k.GetExpiresAt()))
			show(k.GetId())
		}
	}
	show("")
}

// actors names the agent of a row of the trail, and behind it those of the tasks above,
// from which it had its authority.
func actors(e *onedoorv1.AuditEvent) string {
	var detail struct {
		Above []struct {
			Agent string `json:"agent"`
		} `json:"above"`
	}
	names := e.GetAgent()
	if json.Unmarshal([]byte(e.GetDetail()), &detail) != nil {
		return names
	}
	for _, above := range detail.Above {
		names += " < " + above.Agent
	}
	return names
}
