package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/onedoor/onedoor/client/internal/brokertest"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("CET", 3600) // golden tables show local times
	os.Exit(m.Run())
}

// stage sets the environment for a broker with a Workload API.
func stage(t *testing.T, broker *brokertest.Broker) *brokertest.WorkloadAPI {
	t.Helper()
	authority, err := brokertest.NewAuthority("test.example")
	require.NoError(t, err)
	brokerSource, err := authority.NewSource("/broker")
	require.NoError(t, err)
	require.NoError(t, brokertest.ServeBroker(broker, brokerSource))
	t.Cleanup(broker.Close)
	source, err := authority.NewSource("/operator")
	require.NoError(t, err)
	api, err := brokertest.ServeWorkloadAPI(t.TempDir(), source, 0)
	require.NoError(t, err)
	t.Cleanup(api.Close)
	t.Setenv("ONEDOOR_ADDR", broker.Addr)
	t.Setenv("ONEDOOR_BROKER_ID", "spiffe://test.example/broker")
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", api.Addr)
	t.Setenv("ONEDOOR_TASK_KEY", "od1t_key")
	return api
}

// onedoor runs one command line.
func onedoor(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errOut)
	return code, out.String(), errOut.String()
}

var (
	noon = timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	task = &onedoorv1.Task{
		Id: "t1", Workspace: "default", Agent: "mailer", UserSubject: "alice", Sandbox: "spiffe://test.example/sandbox/1",
		State: onedoorv1.TaskState_TASK_STATE_ACTIVE, CreatedAt: noon, ExpiresAt: noon, KeyId: "k1",
		Grants: []*onedoorv1.Grant{{
			Connector: "crm", Revision: 3, Tools: []string{"contacts.get"}, MaxSeverity: onedoorv1.Severity_SEVERITY_READ,
			Resources: []string{"contact:*"}, Limits: &onedoorv1.Limits{Calls: 10, MicroUsd: 1500000},
		}},
	}
	connector  = &onedoorv1.Connector{Name: "crm", Revision: 3, Kind: "http", Tools: []string{"a", "b"}, Origins: []string{"https://crm.example"}, AppliedAt: noon}
	credential = &onedoorv1.Credential{Id: "c1", Connector: "crm", Slot: "main", UserId: "u1", UserSubject: "alice", Kind: "bearer", Version: 2, CreatedAt: noon, State: onedoorv1.CredentialState_CREDENTIAL_STATE_CONNECTED}
	event      = &onedoorv1.AuditEvent{Time: noon, Kind: "REFUSAL", SpiffeId: "spiffe://test.example/s", Agent: "mailer", Connector: "crm",
		Tool: "contacts.get\x1b[2J", Resources: []string{"contact:1"}, Decision: "REFUSED", Reason: "GRANT_MISSING", Count: 3, TaskId: "t1"}
	key = &onedoorv1.Key{Id: "k1", Purpose: onedoorv1.KeyPurpose_KEY_PURPOSE_KEK, State: onedoorv1.KeyState_KEY_STATE_PENDING, CreatedAt: noon}
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

func TestInvoke(t *testing.T) {
	file := t.TempDir() + "/arguments.json"
	require.NoError(t, os.WriteFile(file, []byte(`{"from":"file"}`), 0o600))
	answer := func(status int32, media, body string) *onedoorv1.InvokeResponse {
		return &onedoorv1.InvokeResponse{InvocationId: "i1", Status: status, ContentType: media, Body: []byte(body), Headers: map[string]string{"etag": "1"}}
	}
	const front = `{"invocationId":"i1","status":200,"headers":{"etag":"1"},"contentType":`
	for name, tc := range map[string]struct {
		args   []string
		stdin  string
		answer *onedoorv1.InvokeResponse
		sent   string
		stdout string
		stderr string
	}{
		"body raw":             {answer: answer(200, "application/json", `{"n": 9007199254740993}`), sent: `{}`, stdout: `{"n": 9007199254740993}`},
		"the upstream said no": {answer: answer(404, "text/plain", "none"), sent: `{}`, stdout: "none", stderr: "onedoor: the upstream answered 404 (invocation i1)\n"},
		"the upstream does not take the credential": {answer: answer(401, "text/plain", "none"), sent: `{}`, stdout: "none",
			stderr: "onedoor: the upstream answered 401 (invocation i1)\n  That is about the credential that the broker attaches, not your task key. For operators: onedoor credential list\n"},
		"string and JSON arguments": {args: []string{"--arg", "id=42", "--arg", "n:=42", "--arg", "e=a=b:=c", "--arg", "x="}, answer: answer(204, "", ""),
			sent: `{"id":"42","n":42,"e":"a=b:=c","x":""}`},
		"a comma stays":          {args: []string{"--arg", "q=a,b"}, answer: answer(200, "", ""), sent: `{"q":"a,b"}`},
		"all as JSON, untouched": {args: []string{"--json", `{"a":1, "a":2}`}, answer: answer(200, "", ""), sent: `{"a":1, "a":2}`},
		"JSON of a file":         {args: []string{"--json", "@" + file}, answer: answer(200, "", ""), sent: `{"from":"file"}`},
		"JSON of stdin":          {args: []string{"--json", "-"}, stdin: `{"s":1}`, answer: answer(200, "", ""), sent: `{"s":1}`},
		"as JSON, body as received": {args: []string{"-o", "json"}, answer: answer(200, "application/json; charset=utf-8", `{"n": 9007199254740993}`), sent: `{}`,
			stdout: front + `"application/json; charset=utf-8","body":{"n": 9007199254740993}}` + "\n"},
		"as JSON, a +json type": {args: []string{"-o", "json"}, answer: answer(200, "application/problem+json", `[1]`), sent: `{}`,
			stdout: front + `"application/problem+json","body":[1]}` + "\n"},
		"as JSON, not JSON after all": {args: []string{"-o", "json"}, answer: answer(200, "application/json", `{"a":1}}`), sent: `{}`,
			stdout: front + `"application/json","bodyBase64":"eyJhIjoxfX0="}` + "\n"},
		"as JSON, binary": {args: []string{"-o", "json"}, answer: answer(200, "image/png", "\x89"), sent: `{}`,
			stdout: front + `"image/png","bodyBase64":"iQ=="}` + "\n"},
		"as JSON, no body": {args: []string{"-o", "json"}, answer: answer(200, "application/json", ""), sent: `{}`,
			stdout: front + `"application/json"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) { return tc.answer, nil }}
			stage(t, broker)
			code, stdout, stderr := onedoor(t, tc.stdin, append([]string{"invoke", "crm", "contacts.get"}, tc.args...)...)
			require.Zero(t, code, stderr)
			require.Equal(t, tc.stdout, stdout)
			require.Equal(t, tc.stderr, stderr)
			call := broker.Calls()[0]
			require.Equal(t, tc.sent, string(call.Request.(*onedoorv1.InvokeRequest).GetArgumentsJson()))
			require.Equal(t, []string{"Bearer od1t_key"}, call.Authorization)
		})
	}
}

func TestInvokeStream(t *testing.T) {
	events := []*onedoorv1.InvokeStreamResponse{
		{Event: &onedoorv1.InvokeStreamResponse_Head{Head: &onedoorv1.InvokeStreamHead{InvocationId: "i1", Status: 200, ContentType: "text/plain"}}},
		{Event: &onedoorv1.InvokeStreamResponse_Data{Data: []byte("ab")}},
		{Event: &onedoorv1.InvokeStreamResponse_End{End: &onedoorv1.InvokeStreamEnd{BodyBytes: 2}}},
	}
	send := events
	broker := &brokertest.Broker{Stream: func(_ int, _ brokertest.Call, stream grpc.ServerStream) error {
		for _, e := range send {
			if err := stream.SendMsg(e); err != nil {
				return err
			}
		}
		return nil
	}}
	stage(t, broker)
	code, stdout, stderr := onedoor(t, "", "invoke", "crm", "contacts.export", "--stream")
	require.Zero(t, code, stderr)
	require.Equal(t, "ab", stdout)

	code, stdout, stderr = onedoor(t, "", "invoke", "crm", "contacts.export", "--stream", "-o", "json")
	require.Zero(t, code, stderr)
	require.Equal(t, `{"head":{"invocationId":"i1","status":200,"headers":{},"contentType":"text/plain"}}`+"\n"+
		`{"text":"ab"}`+"\n"+`{"end":{"bodyBytes":2}}`+"\n", stdout)

	send = events[:2]
	code, stdout, stderr = onedoor(t, "", "invoke", "crm", "contacts.export", "--stream")
	require.Equal(t, 7, code)
	require.Equal(t, "ab", stdout)
	require.Contains(t, stderr, "onedoor: OUTCOME_UNKNOWN: the streamed answer is incomplete")
	require.Contains(t, stderr, "invocation i1")
}

func TestExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		code     codes.Code
		reason   string
		metadata []string
		exit     int
		says     string
	}{
		"refused":              {codes.PermissionDenied, "RESOURCE_NOT_GRANTED", nil, 3, "onedoor explain"},
		"task ended":           {codes.Unauthenticated, "TASK_ENDED", nil, 3, "onedoor task create"},
		"role":                 {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "role"}, 3, "SPIFFE_ENDPOINT_SOCKET that of the right role"},
		"workspace":            {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "workspace"}, 3, "Is --workspace-name right"},
		"denied":               {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "deny_list"}, 3, "spiffe.denied_ids_file"},
		"older broker":         {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "version"}, 3, "update it"},
		"no delegates":         {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"mend", "delegates"}, 3, "onedoor task create --delegate ID"},
		"bound":                {codes.PermissionDenied, "CALLER_NOT_ALLOWED", []string{"raise", "workspaces.orchestrators.max_severity"}, 3, "allows it with workspaces.orchestrators.max_severity in"},
		"invalid":              {codes.InvalidArgument, "ARGUMENT_INVALID", []string{"invocation_id", "i9"}, 4, "invocation i9"},
		"not found":            {codes.NotFound, "TOOL_UNKNOWN", nil, 4, "onedoor tools"},
		"credential of a user": {codes.FailedPrecondition, "CREDENTIAL_MISSING", []string{"connector", "crm", "user", "bob smith", "slot", "admin", "mend", "put"}, 5, "onedoor credential put crm --user 'bob smith' --slot admin --from-file FILE"},
		"credential of the workspace": {codes.FailedPrecondition, "CREDENTIAL_MISSING", []string{"connector", "crm", "owner", "workspace", "mend", "put"}, 5,
			"onedoor credential put crm --workspace --from-file FILE"},
		"account of a user": {codes.FailedPrecondition, "CREDENTIAL_MISSING", []string{"connector", "crm", "owner", "user", "slot", "main", "mend", "connect"}, 5,
			"onedoor credential connect crm --user USER"},
		"dead account": {codes.FailedPrecondition, "CREDENTIAL_NEEDS_RECONNECT", []string{"connector", "crm", "owner", "user", "slot", "second", "mend", "connect"}, 5,
			"onedoor credential connect crm --user USER --slot second"},
		"dead certificate of a user": {codes.FailedPrecondition, "CREDENTIAL_NEEDS_RECONNECT", []string{"connector", "crm", "owner", "user", "mend", "put"}, 5,
			"onedoor credential put crm --user USER --from-file FILE"},
		"conflict":              {codes.Aborted, "CONFLICT", []string{"invocation_id", "i9", "first_invocation_id", "i8", "first_outcome", "OK"}, 5, "outcome is OK. For operators: onedoor audit list --invocation i8"},
		"conflict of operators": {codes.Aborted, "CONFLICT", []string{"invocation_id", "i9"}, 5, "then try again"},
		"limit":                 {codes.FailedPrecondition, "LIMIT_REACHED", nil, 5, "mint a new task"},
		"limit of tokens":       {codes.FailedPrecondition, "LIMIT_REACHED", []string{"left", "7"}, 5, "Make the call smaller"},
		"too large":             {codes.OutOfRange, "RESPONSE_TOO_LARGE", nil, 5, ""},
		"dropped":               {codes.ResourceExhausted, "ANSWER_DROPPED", nil, 5, "The call was made: find out"},
		"no such proxy":         {codes.NotFound, "CONNECTOR_UNKNOWN", []string{"mend", "proxies"}, 4, "egress.proxies"},
		"no such connector":     {codes.NotFound, "CONNECTOR_UNKNOWN", nil, 4, "onedoor connector list"},
		"timeout":               {codes.DeadlineExceeded, "UPSTREAM_TIMEOUT", nil, 6, ""},
		"outcome unknown":       {codes.Unknown, "OUTCOME_UNKNOWN", nil, 7, "--idempotency-key"},
		"internal":              {codes.Internal, "INTERNAL", nil, 1, "broker's log"},
		"not the broker's own":  {codes.Unavailable, "", nil, 7, "handed to the broker"},
	} {
		t.Run(name, func(t *testing.T) {
			stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
				return nil, brokertest.Refusal(tc.code, tc.reason, "in words", 0, tc.metadata...)
			}})
			code, stdout, stderr := onedoor(t, "", "invoke", "crm", "contacts.get")
			require.Equal(t, tc.exit, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tc.says)
			if tc.reason != "" {
				require.True(t, strings.HasPrefix(stderr, "onedoor: "+tc.reason+": in words\n"), stderr)
			}
		})
	}
}

// Advice on roles is for those whose role is wrong, and for nobody else.
func TestAdviceOnRolesOnlyWhereRolesAreThePoint(t *testing.T) {
	for _, metadata := range [][]string{nil, {"mend", "deny_list"}, {"mend", "version"}, {"mend", "delegates"}, {"mend", "new"}, {"raise", "workspaces.orchestrators.connectors"}} {
		stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
			return nil, brokertest.Refusal(codes.PermissionDenied, "CALLER_NOT_ALLOWED", "in words", 0, metadata...)
		}})
		_, _, stderr := onedoor(t, "", "task", "list")
		require.NotContains(t, stderr, "SPIFFE_ENDPOINT_SOCKET", metadata)
		require.NotContains(t, stderr, "--workspace-name", metadata)
	}
}

// Where storing something does not help, nobody is told to.
func TestNoCommandWhereNoneHelps(t *testing.T) {
	stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return nil, brokertest.Refusal(codes.FailedPrecondition, "CREDENTIAL_MISSING", "assertions.issuer is not configured", 0, "connector", "crm")
	}})
	_, _, stderr := onedoor(t, "", "invoke", "crm", "contacts.get")
	require.Contains(t, stderr, "assertions.issuer")
	require.NotContains(t, stderr, "onedoor credential")
}

func TestMessagesOfSeveralLinesStayReadableAndHarmless(t *testing.T) {
	stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return nil, brokertest.Refusal(codes.InvalidArgument, "ARGUMENT_INVALID", "two faults:\ntools: none\x1b[2J\nname: bad", 0)
	}})
	code, _, stderr := onedoor(t, "x", "connector", "apply", "-f", "-")
	require.Equal(t, 4, code)
	require.Equal(t, "onedoor: ARGUMENT_INVALID: two faults:\n  tools: none\uFFFD[2J\n  name: bad\n", stderr)
}

// Text where the tool wants a number is the slip of whoever types --arg for the first time.
func TestAdviceOnTypesOfArguments(t *testing.T) {
	for message, advised := range map[string]bool{
		"id: want integer": true, "tags: want array or null": true,
		"id: want at least 3 characters": false, "severity: want READ, WRITE, DESTRUCTIVE or ADMIN": false,
	} {
		t.Run(message, func(t *testing.T) {
			stage(t, &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
				return nil, brokertest.Refusal(codes.InvalidArgument, "ARGUMENT_INVALID", message, 0, "field", "id")
			}})
			_, _, stderr := onedoor(t, "", "invoke", "crm", "contacts.get", "--arg", "id=42")
			require.Equal(t, advised, strings.Contains(stderr, "--arg NAME:=JSON"), stderr)
		})
	}
}

func TestBusyBrokerIsToldAsUnavailable(t *testing.T) {
	broker := &brokertest.Broker{Answer: func(context.Context, int, brokertest.Call) (any, error) {
		return nil, brokertest.Refusal(codes.ResourceExhausted, "RATE_LIMITED", "slow down", time.Hour, "raise", "limits.task.calls_per_second")
	}}
	stage(t, broker)
	code, _, stderr := onedoor(t, "", "tools")
	require.Equal(t, 6, code)
	require.Contains(t, stderr, "Nothing was sent. Try again later, in 1h0m0s. An operator raises it with limits.task.calls_per_second in")
	broker.Close()
	code, _, stderr = onedoor(t, "", "keys", "list")
	require.Equal(t, 6, code)
	require.Contains(t, stderr, "onedoor: UNAVAILABLE: ")
}

func TestUsage(t *testing.T) {
	for _, name := range []string{"ONEDOOR_ADDR", "ONEDOOR_BROKER_ID", "SPIFFE_ENDPOINT_SOCKET", "ONEDOOR_TASK_KEY"} {
		t.Setenv(name, "")
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"nothing":                {nil, "expected one of"},
		"unknown command":        {[]string{"frobnicate"}, "frobnicate"},
		"unknown output":         {[]string{"-o", "xml", "tools"}, "xml"},
		"no owner":               {[]string{"credential", "put", "crm", "--from-file", "-"}, "--user"},
		"two owners":             {[]string{"credential", "put", "crm", "--user", "u", "--workspace", "--from-file", "-"}, "--workspace"},
		"an empty secret":        {[]string{"credential", "put", "crm", "--user", "u", "--from-file", "-"}, "the secret is empty"},
		"a file that is not":     {[]string{"connector", "apply", "-f", "/nowhere/crm.yaml"}, "/nowhere/crm.yaml"},
		"no ttl":                 {[]string{"task", "create", "--agent", "a", "--user", "u", "--sandbox", "s", "--grant", "g"}, "--ttl"},
		"a bad ttl":              {[]string{"task", "create", "--agent", "a", "--user", "u", "--sandbox", "s", "--grant", "g", "--ttl", "soon"}, "--ttl"},
		"which task":             {[]string{"task", "get"}, "ONEDOOR_TASK_KEY"},
		"an argument without =":  {[]string{"invoke", "c", "t", "--arg", "hunter2"}, "--arg number 1"},
		"an argument twice":      {[]string{"invoke", "c", "t", "--arg", "a=1", "--arg", "a:=2"}, "--arg a is given twice"},
		"an argument no JSON":    {[]string{"invoke", "c", "t", "--arg", "a:=hunter2"}, "--arg a:= wants JSON"},
		"arguments in both ways": {[]string{"invoke", "c", "t", "--arg", "a=1", "--json", "{}"}, "--json"},
		"a purpose unknown":      {[]string{"keys", "rotate", "tls"}, "tls"},
		"no limit":               {[]string{"audit", "list", "--limit", "0"}, "--limit"},
		"no environment":         {[]string{"tools"}, "ONEDOOR_ADDR"},
		"no environment, again":  {[]string{"task", "delegate", "--agent", "a", "--sandbox", "s", "--grant", "g"}, "ONEDOOR_ADDR"},
		"no socket":              {[]string{"svid", "--write", "."}, "SPIFFE_ENDPOINT_SOCKET"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := onedoor(t, "", tc.args...)
			require.Equal(t, 2, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tc.says)
			require.NotContains(t, stderr, "hunter2", "values stay out of messages")
		})
	}
}

// What only a sandbox can do is not even tried without the key of its task.
func TestNoCallWithoutATaskKey(t *testing.T) {
	broker := &brokertest.Broker{}
	stage(t, broker)
	t.Setenv("ONEDOOR_TASK_KEY", "")
	for _, args := range [][]string{
		{"tools"}, {"invoke", "crm", "contacts.get"}, {"invoke", "crm", "contacts.get", "--stream"}, {"explain", "crm", "contacts.get"},
		{"task", "get"}, delegate, {"task", "end", "t2"},
	} {
		code, stdout, stderr := onedoor(t, "", args...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, stdout)
		require.Regexp(t, "^onedoor: USAGE: [a-z ]+ wants .*ONEDOOR_TASK_KEY", stderr)
	}
	require.Empty(t, broker.Calls())
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

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "a@b.example": "a@b.example", "": "''", "-rf": "'-rf'", "a b": "'a b'", "$(id)": "'$(id)'", "it's": `'it'\''s'`,
	} {
		require.Equal(t, want, shellWord(in))
	}
}

func FuzzParseArguments(f *testing.F) {
	f.Add("a=b")
	f.Add("a:=[1]")
	f.Add("\x00=\xff")
	f.Fuzz(func(t *testing.T, arg string) {
		text, err := parseArguments([]string{arg})
		if err != nil {
			require.ErrorAs(t, err, new(usageError))
			return
		}
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &object))
		require.Len(t, object, 1, "one argument never becomes several")
	})
}
