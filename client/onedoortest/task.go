package onedoortest

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

const (
	// User is for whom tasks run unless they say otherwise. Upstream gives this user a
	// credential.
	User = "alice"
	// Sandbox is the sandbox of tasks that name no other.
	Sandbox = "agent"
)

// Task says which task to mint.
type Task struct {
	// Grants are what it may do, as text: "crm: contacts.get READ contact:42". Required.
	Grants []string
	// User is for whom it runs; empty means the constant User.
	User string
	// Sandbox names the sandbox whose SVID the key is bound to; empty means the constant
	// Sandbox. Any short name will do: a sandbox is there as soon as it is named.
	Sandbox string
	// Delegates name the sandboxes to which it may delegate.
	Delegates []string
	// TTL is how long it lives; 0 means an hour.
	TTL time.Duration
}

// Task mints a task of User's for Sandbox and opens its client, as an agent has it in its
// sandbox. The client is closed when the test ends.
func (b *Broker) Task(t testing.TB, grants ...string) *client.Client {
	t.Helper()
	_, key := b.Mint(t, Task{Grants: grants})
	return b.Client(t, Sandbox, key)
}

// Mint mints a task and gives its id and key.
func (b *Broker) Mint(t testing.TB, task Task) (id string, key client.TaskKey) {
	t.Helper()
	request := &onedoorv1.TasksCreateRequest{
		Agent: "test", User: task.User, Sandbox: SandboxID(task.Sandbox), Grants: task.Grants, Ttl: durationpb.New(task.TTL),
	}
	if task.User == "" {
		request.User = User
	}
	if task.TTL == 0 {
		request.Ttl = durationpb.New(time.Hour)
	}
	for _, name := range task.Delegates {
		request.Delegates = append(request.Delegates, SandboxID(name))
	}
	made, err := b.orchestrator.Tasks().Create(t.Context(), request)
	must(t, "mint a task", err)
	return made.GetTaskId(), client.TaskKey(made.GetTaskKey())
}

// Revoke ends a task, as whoever sees an agent go wrong does.
func (b *Broker) Revoke(t testing.TB, id string) {
	t.Helper()
	_, err := b.orchestrator.Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: id})
	must(t, "revoke the task", err)
}

// Client opens a client in a sandbox with a task's key. It is closed when the test ends.
func (b *Broker) Client(t testing.TB, sandbox string, key client.TaskKey) *client.Client {
	t.Helper()
	return b.dial(t, SandboxID(sandbox), key)
}

// Options are what an agent in a sandbox hands to client.Dial.
func (b *Broker) Options(t testing.TB, sandbox string, key client.TaskKey) client.Options {
	t.Helper()
	return b.options(t, SandboxID(sandbox), key)
}

// Env is the same for an agent that is another process: NAME=VALUE, for exec.Cmd.Env.
func (b *Broker) Env(t testing.TB, sandbox string, key client.TaskKey) []string {
	t.Helper()
	o := b.Options(t, sandbox, key)
	return []string{
		client.EnvAddr + "=" + o.Addr, client.EnvBrokerID + "=" + o.BrokerID,
		client.EnvWorkloadSocket + "=" + o.WorkloadSocket, client.EnvTaskKey + "=" + string(o.TaskKey),
	}
}

// SandboxID gives the SPIFFE ID of a sandbox by its name; empty means the constant
// Sandbox.
func SandboxID(name string) string {
	if name == "" {
		name = Sandbox
	}
	if strings.HasPrefix(name, "spiffe://") {
		return name
	}
	return sandboxes + "/" + name
}
