package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// Delegation asks for a task for a sub-agent, out of the client's own.
type Delegation struct {
	// Agent is the sub-agent's name, for the audit trail. Required.
	Agent string
	// Sandbox is the one SPIFFE ID with which the child's key will work. Required; the
	// client's own task must name it in its delegates, or a prefix of it.
	Sandbox string
	// Grants are what the child may do, as text:
	// "crm: contacts.get READ contact:42 calls=10". Each must lie within one grant of the
	// client's own task. Required.
	Grants []string
	// TTL is how long the child may live, 1 s at least; 0 means as long as the client's own
	// task, and longer is refused.
	TTL time.Duration
	// Delegates are the SPIFFE IDs, or prefixes that end in "/", to which the child may
	// delegate in turn; each within the client's own. None: to nobody.
	Delegates []string
}

// Delegated is a task that was minted for a sub-agent.
type Delegated struct {
	// Key is the child's key, shown this once. It works only under Delegation.Sandbox.
	Key TaskKey
	// Task is the child with its grants expanded.
	Task *onedoorv1.Task
}

// Delegate mints a task and its key for a sub-agent. What the child may do lies within
// what the client's own task may, counts against its limits, and ends with it at the
// latest. What would be more is refused: DELEGATION_WIDENS.
//
// To mint is an effect, and there is no key by which a repeat could be told from the
// first: only RATE_LIMITED and SVID_EXPIRED, which say that nothing was begun, are tried
// again. Where the answer was lost, the error is OUTCOME_UNKNOWN: a child may exist, but
// nobody holds its key, and it ends with the client's task. To delegate again is then
// safe and gives another child. Errors are *Error.
func (c *Client) Delegate(ctx context.Context, d Delegation) (*Delegated, error) {
	request := &onedoorv1.DelegateTaskRequest{
		Agent: d.Agent, Sandbox: d.Sandbox, Grants: d.Grants, Delegates: d.Delegates,
	}
	if d.TTL != 0 { // a negative one is for the broker to refuse
		request.Ttl = durationpb.New(d.TTL)
	}
	var reply *onedoorv1.DelegateTaskResponse
	err := c.try(ctx, call{minting: true}, func(string) (err error) {
		reply, err = c.Broker().DelegateTask(ctx, request)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Delegated{Key: TaskKey(reply.GetTaskKey()), Task: reply.GetTask()}, nil
}

// EndDelegated ends a task that the client's own task delegated, or that stands further
// below it, and with it all that stands below that: its key is refused within a second on
// every broker, and calls that run are cut. It gives the task as it stands then.
//
// Ending a task that has ended already changes nothing, so that to end one again is always
// safe, and this is tried again like a question. The client's own task, one that does not
// stand below it and one that there is not are all TASK_UNKNOWN. Errors are *Error.
func (c *Client) EndDelegated(ctx context.Context, taskID string) (*onedoorv1.Task, error) {
	var reply *onedoorv1.EndDelegatedTaskResponse
	err := c.try(ctx, call{}, func(string) (err error) {
		reply, err = c.Broker().EndDelegatedTask(ctx, &onedoorv1.EndDelegatedTaskRequest{TaskId: taskID})
		return err
	})
	return reply.GetTask(), err
}
