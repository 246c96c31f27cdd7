package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

type taskDelegateCmd struct {
	Agent    string        `required:"" placeholder:"A" help:"The sub-agent's name, for the audit trail."`
	Sandbox  string        `required:"" placeholder:"ID" help:"The one SPIFFE ID with which the key will work; among the delegates of your task."`
	Grant    []string      `required:"" sep:"none" placeholder:"GRANT" help:"What the child may do, within what you may; may be repeated."`
	TTL      time.Duration `name:"ttl" placeholder:"15m" help:"How long the child may live; without it, as long as your task."`
	Delegate []string      `sep:"none" placeholder:"ID" help:"A SPIFFE ID, or a prefix ending in /, to which the child may delegate; may be repeated."`
}

func (taskDelegateCmd) Help() string {
	return `Your own task is that of ONEDOOR_TASK_KEY. Each grant of the child must lie within one of yours, what it uses
counts against you, and it ends with your task at the latest. Grants are written as for "onedoor task create":

  onedoor task delegate --agent reader --ttl 5m \
      --sandbox spiffe://example.org/sandbox/2 \
      --grant 'crm: contacts.get READ contact:42 calls=10'

Where the answer is lost (OUTCOME_UNKNOWN) a child may exist whose key nobody has: delegate again.
With -o json the key is .taskKey, beside .taskId, .keyId and .expiresAt.`
}

// Run implements the command.
func (c *taskDelegateCmd) Run(s *session) error {
	request := &onedoorv1.DelegateTaskRequest{Agent: c.Agent, Sandbox: c.Sandbox, Grants: c.Grant, Delegates: c.Delegate}
	if c.TTL != 0 {
		request.Ttl = durationpb.New(c.TTL)
	}
	return s.callAsTask("task delegate", adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Broker().DelegateTask(ctx, request)
		if err != nil {
			return err
		}
		return s.showMinted(answer)
	})
}

type taskEndCmd struct {
	ID string `arg:"" name:"id" help:"The task's id."`
}

func (taskEndCmd) Help() string {
	return `Your own task is that of ONEDOOR_TASK_KEY; it ends what it delegated, at whatever depth, and never itself. The
key of what ends is refused within a second on every broker, calls that run are cut, and its place is free for
another. Ending a task twice does no harm.

  onedoor task end 0198c5a2-7a3e-7c10-9d5e-2f6a1b3c4d5e`
}

// Run implements the command.
func (c *taskEndCmd) Run(s *session) error {
	return s.callAsTask("task end", adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Broker().EndDelegatedTask(ctx, &onedoorv1.EndDelegatedTaskRequest{TaskId: c.ID})
		if err != nil {
			return err
		}
		return s.showEnded(answer)
	})
}
