package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// wholePages is the page size with which lists are read to their end.
const wholePages = 500

// maxIDToken is the longest ID token that the broker takes, in bytes.
const maxIDToken = 16 << 10

type taskCmd struct {
	Create   taskCreateCmd   `cmd:"" help:"Mint a task and print its key, this once."`
	Delegate taskDelegateCmd `cmd:"" help:"Mint a task for a sub-agent out of that of ONEDOOR_TASK_KEY (sandboxes)."`
	End      taskEndCmd      `cmd:"" help:"End a task below that of ONEDOOR_TASK_KEY, and all below it (sandboxes)."`
	Get      taskGetCmd      `cmd:"" help:"Show a task; without an id, the one of ONEDOOR_TASK_KEY."`
	List     taskListCmd     `cmd:"" help:"List tasks, newest first."`
	Revoke   taskRevokeCmd   `cmd:"" help:"End a task now, and all below it (orchestrators and operators)."`
}

type taskCreateCmd struct {
	Agent    string        `required:"" placeholder:"A" help:"The agent's name, for the audit trail."`
	User     string        `xor:"user" required:"" placeholder:"U" help:"The user for whom it runs, by name."`
	IDToken  string        `name:"id-token-file" xor:"user" required:"" placeholder:"FILE" help:"The file that holds the user's OIDC ID token; - for stdin."`
	Nonce    string        `name:"id-token-nonce" placeholder:"N" help:"The nonce that the ID token must carry."`
	Sandbox  string        `required:"" placeholder:"ID" help:"The one SPIFFE ID with which the key will work."`
	Grant    []string      `required:"" sep:"none" placeholder:"GRANT" help:"What the task may do; may be repeated."`
	TTL      time.Duration `name:"ttl" required:"" placeholder:"15m" help:"How long the task may live."`
	Delegate []string      `sep:"none" placeholder:"ID" help:"A SPIFFE ID, or a prefix ending in /, to which it may delegate; may be repeated."`
}

func (taskCreateCmd) Help() string {
	return `A grant is CONNECTOR: TOOL[,TOOL] SEVERITY RESOURCE[,RESOURCE] [LIMIT…], where SEVERITY is the highest
allowed (READ, WRITE, DESTRUCTIVE or ADMIN), a * may end the name of a tool or resource, and a limit is one of
calls=N bytes=N rows=N tokens=N usd=N until=TIME.

  onedoor task create --agent mailer --user alice --ttl 15m \
      --sandbox spiffe://example.org/sandbox/1 \
      --grant 'crm: contacts.get,contacts.search READ contact:*' \
      --grant 'crm: contacts.update WRITE contact:42 calls=10'

Naming a user takes may_assert_users in the broker's configuration. With the user's ID token, of an issuer that
the configuration names, any orchestrator can:

  onedoor task create --agent mailer --id-token-file alice.jwt --ttl 15m \
      --sandbox spiffe://example.org/sandbox/1 --grant 'crm: contacts.get READ contact:*'

With -o json the key is .taskKey, beside .taskId, .keyId and .expiresAt.`
}

// Run implements the command.
func (c *taskCreateCmd) Run(s *session) error {
	request := &onedoorv1.TasksCreateRequest{
		Workspace: s.workspace, Agent: c.Agent, User: c.User, Sandbox: c.Sandbox,
		Grants: c.Grant, Ttl: durationpb.New(c.TTL), Delegates: c.Delegate,
	}
	if err := c.readIDToken(s, request); err != nil {
		return err
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Tasks().Create(ctx, request)
		if err != nil {
			return err
		}
		return s.showMinted(answer)
	})
}

// minted is the answer to both commands that mint a task.
type minted interface {
	proto.Message
	GetTask() *onedoorv1.Task
	GetTaskKey() string
}

// showMinted shows a task and, this once, its key.
func (s *session) showMinted(answer minted) error {
	return s.show(answer, func(t *table) {
		taskDetail(t, answer.GetTask())
		t.line("")
		t.line("The key is shown this once. In the sandbox:")
		t.line("export %s=%s", client.EnvTaskKey, answer.GetTaskKey())
	})
}

// readIDToken puts the ID token into the request, where one is given. It comes from a
// file: other users of a machine see its command lines.
func (c *taskCreateCmd) readIDToken(s *session, request *onedoorv1.TasksCreateRequest) error {
	if c.IDToken == "" {
		if c.Nonce != "" {
			return usageError{"--id-token-nonce belongs to --id-token-file"}
		}
		return nil
	}
	token, err := s.readFile(c.IDToken, maxIDToken+2)
	if err != nil {
		return err
	}
	if token = withoutNewline(token); len(token) == 0 {
		return usageError{"the ID token is empty"}
	}
	request.IdToken, request.IdTokenNonce = string(token), c.Nonce
	return nil
}

type taskGetCmd struct {
	ID string `arg:"" optional:"" name:"id" help:"The task's id."`
}

func (taskGetCmd) Help() string {
	return `A sandbox sees its own task, by its key; orchestrators and operators see any of their workspace. The key itself
is never shown again.

  onedoor task get
  onedoor task get 0198c5a2-7a3e-7c10-9d5e-2f6a1b3c4d5e`
}

// Run implements the command.
func (c *taskGetCmd) Run(s *session) error {
	if c.ID == "" && os.Getenv(client.EnvTaskKey) == "" {
		return usageError{"task get wants an id, or " + client.EnvTaskKey + " of the caller's own task"}
	}
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		if c.ID == "" {
			own, err := cl.Broker().GetTask(ctx, &onedoorv1.GetTaskRequest{})
			if err != nil {
				return err
			}
			return s.show(own, func(t *table) { taskDetail(t, own.GetTask()) })
		}
		answer, err := cl.Tasks().Get(ctx, &onedoorv1.TasksGetRequest{Workspace: s.workspace, TaskId: c.ID})
		if err != nil {
			return err
		}
		tree, err := s.tree(ctx, cl, answer.GetTask())
		if err != nil {
			return err
		}
		return s.show(answer, func(t *table) {
			taskDetail(t, answer.GetTask())
			treeRows(t, tree)
		})
	})
}

type taskListCmd struct {
	Active bool `help:"Only live tasks."`
}

func (taskListCmd) Help() string {
	return `  onedoor task list --active
  onedoor -o json task list`
}

// Run implements the command.
func (c *taskListCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		all := &onedoorv1.TasksListResponse{}
		request := &onedoorv1.TasksListRequest{Workspace: s.workspace, ActiveOnly: c.Active, PageSize: wholePages}
		for {
			page, err := cl.Tasks().List(ctx, request)
			if err != nil {
				return err
			}
			all.Tasks = append(all.Tasks, page.GetTasks()...)
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				break
			}
		}
		return s.show(all, func(t *table) {
			t.row("ID", "STATE", "AGENT", "USER", "SANDBOX", "CREATED", "EXPIRES")
			for _, k := range all.GetTasks() {
				t.row(k.GetId(), enum(k.GetState(), "TASK_STATE_"), k.GetAgent(), userText(k.GetUserSubject(), k.GetUserIssuer()), k.GetSandbox(),
					moment(k.GetCreatedAt()), moment(k.GetExpiresAt()))
			}
		})
	})
}

type taskRevokeCmd struct {
	ID string `arg:"" name:"id" help:"The task's id."`
}

func (taskRevokeCmd) Help() string {
	return `Its key and those of all tasks below it are refused within a second on every broker, and calls that run
are cut. Ended by its orchestrator a task is ENDED, by an operator REVOKED; one that has ended already
stays as it is.

  onedoor task revoke 0198c5a2-7a3e-7c10-9d5e-2f6a1b3c4d5e`
}

// Run implements the command.
func (c *taskRevokeCmd) Run(s *session) error {
	return s.call(adminTimeout, func(ctx context.Context, cl *client.Client) error {
		answer, err := cl.Tasks().Revoke(ctx, &onedoorv1.TasksRevokeRequest{Workspace: s.workspace, TaskId: c.ID})
		if err != nil {
			return err
		}
		return s.showEnded(answer)
	})
}

// ended is the answer to both commands that end a task.
type ended interface {
	proto.Message
	GetTask() *onedoorv1.Task
}

// showEnded shows which task has ended, and how.
func (s *session) showEnded(answer ended) error {
	return s.show(answer, func(t *table) {
		t.line("task %s %s", answer.GetTask().GetId(), endText(answer.GetTask().GetState()))
	})
}

// endText says what has become of a task that was to end: which state that is depends on who
// asked for it, and on whether it had ended before.
func endText(state onedoorv1.TaskState) string {
	over := map[onedoorv1.TaskState]string{
		onedoorv1.TaskState_TASK_STATE_ENDED: "is ended", onedoorv1.TaskState_TASK_STATE_REVOKED: "is revoked",
		onedoorv1.TaskState_TASK_STATE_EXPIRED: "had expired already",
	}
	name := enum(state, "TASK_STATE_")
	if over[state] == "" {
		return name
	}
	return over[state] + " (" + name + "): its key works no more, nor does any of a task below it"
}

// taskDetail shows one task, a line a field that is set.
func taskDetail(t *table, k *onedoorv1.Task) {
	field := func(name, value string) {
		if value != "" {
			t.row(name, value)
		}
	}
	field("TASK", k.GetId())
	field("STATE", enum(k.GetState(), "TASK_STATE_"))
	field("WORKSPACE", k.GetWorkspace())
	field("AGENT", k.GetAgent())
	field("USER", k.GetUserSubject())
	field("ISSUER", k.GetUserIssuer())
	field("SANDBOX", k.GetSandbox())
	field("KEY ID", k.GetKeyId())
	field("CREATED", moment(k.GetCreatedAt()))
	field("EXPIRES", moment(k.GetExpiresAt()))
	field("ENDED", moment(k.GetEndedAt()))
	field("PARENT", k.GetParentId())
	field("DELEGATES", strings.Join(k.GetDelegates(), ","))
	for _, g := range k.GetGrants() {
		field("GRANT", grantText(g))
	}
}

// grantText spells a grant as it is written at task create, with the pinned revision.
func grantText(g *onedoorv1.Grant) string {
	text := fmt.Sprintf("%s@%d: %s %s %s", g.GetConnector(), g.GetRevision(), strings.Join(g.GetTools(), ","),
		severity(g.GetMaxSeverity()), strings.Join(g.GetResources(), ","))
	limits := g.GetLimits()
	for _, l := range []struct {
		name string
		n    int64
	}{{"calls", limits.GetCalls()}, {"bytes", limits.GetBytes()}, {"rows", limits.GetRows()}, {"tokens", limits.GetTokens()}} {
		if l.n != 0 {
			text += fmt.Sprintf(" %s=%d", l.name, l.n)
		}
	}
	if micro := limits.GetMicroUsd(); micro != 0 {
		text += fmt.Sprintf(" usd=%s", dollars(micro))
	}
	if until := moment(g.GetExpiresAt()); until != "" {
		text += " until=" + until
	}
	return text
}
