package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestCommands(t *testing.T) {
	manifest := t.TempDir() + "/crm.yaml"
	require.NoError(t, os.WriteFile(manifest, []byte("name: crm\n"), 0o600))
	for name, tc := range map[string]struct {
		args   string
		stdin  string
		sent   proto.Message
		answer proto.Message
		stdout string
		code   int
	}{
		"connector apply": {
			args: "connector apply -f " + manifest, sent: &onedoorv1.ConnectorsApplyRequest{Manifest: "name: crm\n"},
			answer: &onedoorv1.ConnectorsApplyResponse{Connector: connector, Changed: true}, stdout: "connector crm revision 3 applied\n",
		},
		"connector apply from stdin, in a workspace": {
			args: "--workspace-name other connector apply -f -", stdin: "x", sent: &onedoorv1.ConnectorsApplyRequest{Workspace: "other", Manifest: "x"},
			answer: &onedoorv1.ConnectorsApplyResponse{Connector: connector}, stdout: "connector crm revision 3 unchanged\n",
		},
		"connector list": {
			args: "connector list", sent: &onedoorv1.ConnectorsListRequest{},
			answer: &onedoorv1.ConnectorsListResponse{Connectors: []*onedoorv1.Connector{connector}},
			stdout: "NAME  REVISION  KIND  TOOLS  ORIGINS              APPLIED                    DESCRIPTION\n" +
				"crm   3         http  2      https://crm.example  2026-11-23T13:00:00+01:00  -\n",
		},
		"connector get": {
			args: "connector get crm --revision 2", sent: &onedoorv1.ConnectorsGetRequest{Name: "crm", Revision: 2},
			answer: &onedoorv1.ConnectorsGetResponse{Connector: connector, Manifest: "name: crm"}, stdout: "name: crm",
		},
		"connector delete": {
			args: "connector delete crm", sent: &onedoorv1.ConnectorsDeleteRequest{Name: "crm"},
			answer: &onedoorv1.ConnectorsDeleteResponse{}, stdout: "connector crm withdrawn\n",
		},
		"credential put of a user, one newline dropped": {
			args: "credential put crm --user alice --from-file -", stdin: "s3cret\n\n",
			sent:   &onedoorv1.CredentialsPutRequest{Connector: "crm", Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"}, Secret: []byte("s3cret\n")},
			answer: &onedoorv1.CredentialsPutResponse{Credential: credential},
			stdout: "ID  CONNECTOR  SLOT  OWNER       KIND    VERSION  PUT                        ORIGINS  STATE\n" +
				"c1  crm        main  user alice  bearer  2        2026-11-23T13:00:00+01:00  -        connected\n",
		},
		"credential put of an issuer's user": {
			args: "credential put crm --user 8f2c --issuer https://idp.example --from-file -", stdin: "s3cret",
			sent:   &onedoorv1.CredentialsPutRequest{Connector: "crm", Owner: &onedoorv1.CredentialsPutRequest_User{User: "8f2c"}, Issuer: "https://idp.example", Secret: []byte("s3cret")},
			answer: &onedoorv1.CredentialsPutResponse{Credential: &onedoorv1.Credential{Id: "c1", Connector: "crm", Slot: "main", UserId: "u1", UserSubject: "8f2c", UserIssuer: "https://idp.example", Kind: "bearer", Version: 1}},
			stdout: "ID  CONNECTOR  SLOT  OWNER                             KIND    VERSION  PUT  ORIGINS  STATE\n" +
				"c1  crm        main  user 8f2c of https://idp.example  bearer  1        -    -        -\n",
		},
		"credential put of the workspace": {
			args: "-o json credential put crm --workspace --slot admin --from-file -", stdin: "x\r\n",
			sent:   &onedoorv1.CredentialsPutRequest{Connector: "crm", Slot: "admin", Owner: &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true}, Secret: []byte("x")},
			answer: &onedoorv1.CredentialsPutResponse{}, stdout: "{}\n",
		},
		"credential list": {
			args: "credential list crm", sent: &onedoorv1.CredentialsListRequest{Connector: "crm"},
			answer: &onedoorv1.CredentialsListResponse{Credentials: []*onedoorv1.Credential{{Id: "c2", Connector: "crm", Slot: "main", Kind: "basic", Version: 1}}},
			stdout: "ID  CONNECTOR  SLOT  OWNER      KIND   VERSION  PUT  ORIGINS  STATE\nc2  crm        main  workspace  basic  1        -    -        -\n",
		},
		"credential list, one of them dead": {
			args: "credential list",
			sent: &onedoorv1.CredentialsListRequest{},
			answer: &onedoorv1.CredentialsListResponse{Credentials: []*onedoorv1.Credential{{
				Id: "c1", Connector: "crm", Slot: "main", UserId: "u1", UserSubject: "alice", Kind: "authorization_code", Version: 3,
				State: onedoorv1.CredentialState_CREDENTIAL_STATE_NEEDS_RECONNECT, StateReason: "the provider does not accept the refresh token any more\x1b[2J",
			}}},
			stdout: "ID  CONNECTOR  SLOT  OWNER       KIND                VERSION  PUT  ORIGINS  STATE\n" +
				"c1  crm        main  user alice  authorization_code  3        -    -        NEEDS RECONNECT: the provider does not accept the refresh token any more�[2J\n",
		},
		"credential connect": {
			args:   "credential connect crm --user 8f2c --issuer https://idp.example --slot second",
			sent:   &onedoorv1.CredentialsConnectRequest{Connector: "crm", Slot: "second", User: "8f2c", Issuer: "https://idp.example"},
			answer: &onedoorv1.CredentialsConnectResponse{Link: "https://broker.example/connect/abc", ExpiresAt: noon},
			stdout: "https://broker.example/connect/abc\nFor 8f2c of https://idp.example alone. It works once, until 2026-11-23T13:00:00+01:00.\n",
		},
		"credential delete": {
			args: "credential delete c1", sent: &onedoorv1.CredentialsDeleteRequest{CredentialId: "c1"},
			answer: &onedoorv1.CredentialsDeleteResponse{}, stdout: "credential c1 deleted\n",
		},
		"task get": {
			args: "task get t1", sent: &onedoorv1.TasksGetRequest{TaskId: "t1"}, answer: &onedoorv1.TasksGetResponse{Task: task},
			stdout: taskTable,
		},
		"task get of one's own": {
			args: "task get", sent: &onedoorv1.GetTaskRequest{}, answer: &onedoorv1.GetTaskResponse{Task: task}, stdout: taskTable,
		},
		"task list": {
			args: "task list --active", sent: &onedoorv1.TasksListRequest{ActiveOnly: true, PageSize: 500},
			answer: &onedoorv1.TasksListResponse{Tasks: []*onedoorv1.Task{task}},
			stdout: "ID  STATE   AGENT   USER   SANDBOX                          CREATED                    EXPIRES\n" +
				"t1  ACTIVE  mailer  alice  spiffe://test.example/sandbox/1  2026-11-23T13:00:00+01:00  2026-11-23T13:00:00+01:00\n",
		},
		"task list, of an issuer's user": {
			args: "task list", sent: &onedoorv1.TasksListRequest{PageSize: 500},
			answer: &onedoorv1.TasksListResponse{Tasks: []*onedoorv1.Task{{
				Id: "t1", State: onedoorv1.TaskState_TASK_STATE_ACTIVE, Agent: "mailer", UserSubject: "8f2c", UserIssuer: "https://idp.example",
			}}},
			stdout: "ID  STATE   AGENT   USER                         SANDBOX  CREATED  EXPIRES\n" +
				"t1  ACTIVE  mailer  8f2c of https://idp.example  -        -        -\n",
		},
		"task revoke": {
			args: "task revoke t1", sent: &onedoorv1.TasksRevokeRequest{TaskId: "t1"},
			answer: &onedoorv1.TasksRevokeResponse{Task: &onedoorv1.Task{Id: "t1", State: onedoorv1.TaskState_TASK_STATE_REVOKED}},
			stdout: "task t1 is revoked (REVOKED): its key works no more, nor does any of a task below it\n",
		},
		"task revoke by its orchestrator": {
			args: "task revoke t1", sent: &onedoorv1.TasksRevokeRequest{TaskId: "t1"},
			answer: &onedoorv1.TasksRevokeResponse{Task: &onedoorv1.Task{Id: "t1", State: onedoorv1.TaskState_TASK_STATE_ENDED}},
			stdout: "task t1 is ended (ENDED): its key works no more, nor does any of a task below it\n",
		},
		"task revoke too late": {
			args: "task revoke t1", sent: &onedoorv1.TasksRevokeRequest{TaskId: "t1"},
			answer: &onedoorv1.TasksRevokeResponse{Task: &onedoorv1.Task{Id: "t1", State: onedoorv1.TaskState_TASK_STATE_EXPIRED}},
			stdout: "task t1 had expired already (EXPIRED): its key works no more, nor does any of a task below it\n",
		},
		"task revoke, as nobody knows it": {
			args: "task revoke t1", sent: &onedoorv1.TasksRevokeRequest{TaskId: "t1"},
			answer: &onedoorv1.TasksRevokeResponse{Task: &onedoorv1.Task{Id: "t1", State: onedoorv1.TaskState_TASK_STATE_ACTIVE}},
			stdout: "task t1 ACTIVE\n",
		},
		"task end": {
			args: "task end t2", sent: &onedoorv1.EndDelegatedTaskRequest{TaskId: "t2"},
			answer: &onedoorv1.EndDelegatedTaskResponse{Task: &onedoorv1.Task{Id: "t2", State: onedoorv1.TaskState_TASK_STATE_ENDED}},
			stdout: "task t2 is ended (ENDED): its key works no more, nor does any of a task below it\n",
		},
		"tools": {
			args: "tools", sent: &onedoorv1.ListToolsRequest{},
			answer: &onedoorv1.ListToolsResponse{Tools: []*onedoorv1.Tool{{Connector: "crm", Name: "contacts.get", Description: "Reads\none",
				Severity: onedoorv1.Severity_SEVERITY_READ, Resources: []string{"contact:{id}"}, GrantedResources: []string{"contact:*"}}}},
			stdout: "CONNECTOR  TOOL          SEVERITY  RESOURCES     GRANTED    DESCRIPTION\n" +
				"crm        contacts.get  READ      contact:{id}  contact:*  Reads\uFFFDone\n",
		},
		"tools as JSON, lists there though empty": {
			args: "tools -o json", sent: &onedoorv1.ListToolsRequest{}, answer: &onedoorv1.ListToolsResponse{}, stdout: "{\n  \"tools\": []\n}\n",
		},
		"explain, allowed": {
			args: "explain crm contacts.get --arg id=42", sent: &onedoorv1.ExplainRequest{Connector: "crm", Tool: "contacts.get", ArgumentsJson: []byte(`{"id":"42"}`)},
			answer: &onedoorv1.ExplainResponse{Allowed: true, GrantId: "g1", Severity: onedoorv1.Severity_SEVERITY_READ, Resources: []string{"contact:42"}},
			stdout: "ALLOWED    yes\nGRANT      g1\nSEVERITY   READ\nRESOURCES  contact:42\n",
		},
		"explain, refused": {
			args: "explain crm contacts.get", sent: &onedoorv1.ExplainRequest{Connector: "crm", Tool: "contacts.get", ArgumentsJson: []byte(`{}`)},
			answer: &onedoorv1.ExplainResponse{Reason: "GRANT_MISSING", Explanation: "no grant", Severity: onedoorv1.Severity_SEVERITY_READ},
			stdout: "ALLOWED    no\nREASON     GRANT_MISSING\nBECAUSE    no grant\nSEVERITY   READ\nRESOURCES  -\n", code: 3,
		},
		"audit list, with an attacker's tool name": {
			args: "audit list --task t1 --system --limit 7", sent: &onedoorv1.AuditListRequest{TaskId: "t1", System: true, PageSize: 7},
			answer: &onedoorv1.AuditListResponse{Events: []*onedoorv1.AuditEvent{event}},
			stdout: "TIME                       KIND     WHO                      CALL                  RESOURCES  RESULT                    STATUS  INVOCATION\n" +
				"2026-11-23T13:00:00+01:00  REFUSAL  mailer @ test.example/s  crm contacts.get\uFFFD[2J  contact:1  REFUSED GRANT_MISSING ×3  -       -\n",
		},
		"keys list": {
			args: "keys list", sent: &onedoorv1.KeysListRequest{}, answer: &onedoorv1.KeysListResponse{Keys: []*onedoorv1.Key{key}},
			stdout: "ID  PURPOSE  STATE    CREATED                    ACTIVATED\nk1  KEK      PENDING  2026-11-23T13:00:00+01:00  -\n",
		},
		"keys rotate": {
			args: "keys rotate pepper", sent: &onedoorv1.KeysRotateRequest{Purpose: onedoorv1.KeyPurpose_KEY_PURPOSE_PEPPER},
			answer: &onedoorv1.KeysRotateResponse{Key: key},
			stdout: "ID  PURPOSE  STATE    CREATED                    ACTIVATED\nk1  KEK      PENDING  2026-11-23T13:00:00+01:00  -\n",
		},
		"keys rotate, emergency": {
			args: "keys rotate assertion --emergency", sent: &onedoorv1.KeysRotateRequest{Purpose: onedoorv1.KeyPurpose_KEY_PURPOSE_ASSERTION, Emergency: true},
			answer: &onedoorv1.KeysRotateResponse{Key: key},
			stdout: "ID  PURPOSE  STATE    CREATED                    ACTIVATED\nk1  KEK      PENDING  2026-11-23T13:00:00+01:00  -\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return tc.answer, nil }}
			stage(t, broker)
			code, stdout, stderr := onedoor(t, tc.stdin, strings.Fields(tc.args)...)
			require.Equal(t, tc.code, code, stderr)
			require.Equal(t, tc.stdout, stdout)
			require.Empty(t, stderr)
			calls := broker.Calls()
			require.Len(t, calls, 1)
			require.True(t, proto.Equal(tc.sent, calls[0].Request.(proto.Message)), "sent %v", calls[0].Request)
		})
	}
}

const taskTable = `TASK       t1
STATE      ACTIVE
WORKSPACE  default
AGENT      mailer
USER       alice
SANDBOX    spiffe://test.example/sandbox/1
KEY ID     k1
CREATED    2026-11-23T13:00:00+01:00
EXPIRES    2026-11-23T13:00:00+01:00
GRANT      crm@3: contacts.get READ contact:* calls=10 usd=1.500000
`

func TestListsAreReadToTheirEnd(t *testing.T) {
	broker := &brokertest.Broker{Answer: func(_ context.Context, _ int, call brokertest.Call) (any, error) {
		switch r := call.Request.(type) {
		case *onedoorv1.TasksListRequest:
			return &onedoorv1.TasksListResponse{Tasks: []*onedoorv1.Task{task}, NextPageToken: map[string]string{"": "2"}[r.GetPageToken()]}, nil
		default:
			return &onedoorv1.AuditListResponse{Events: []*onedoorv1.AuditEvent{event, event}, NextPageToken: "more"}, nil
		}
	}}
	stage(t, broker)
	code, stdout, stderr := onedoor(t, "", "task", "list")
	require.Zero(t, code, stderr)
	require.Equal(t, 3, strings.Count(stdout, "\n"))

	code, stdout, stderr = onedoor(t, "", "audit", "list", "--limit", "4", "-o", "json")
	require.Zero(t, code, stderr)
	require.Equal(t, 4, strings.Count(stdout, `"kind"`), "no more than the limit")
	calls := broker.Calls()
	require.EqualValues(t, 2, calls[len(calls)-1].Request.(*onedoorv1.AuditListRequest).GetPageSize())
	require.Equal(t, "more", calls[len(calls)-1].Request.(*onedoorv1.AuditListRequest).GetPageToken())
}

func TestHelpAndVersion(t *testing.T) {
	code, stdout, stderr := onedoor(t, "", "--help")
	require.Zero(t, code)
	require.Empty(t, stderr)
	for _, says := range []string{"ONEDOOR_BROKER_ID", "Exit codes:", "7  outcome unknown", "task create", "keys rotate"} {
		require.Contains(t, stdout, says)
	}
	code, stdout, _ = onedoor(t, "", "credential", "put", "--help")
	require.Zero(t, code)
	require.Contains(t, stdout, "One newline at the end")
	code, stdout, _ = onedoor(t, "", "version")
	require.Zero(t, code)
	require.Contains(t, stdout, "onedoor ")
	code, stdout, _ = onedoor(t, "", "version", "-o", "json")
	require.Zero(t, code)
	require.Contains(t, stdout, `"version"`)
}
