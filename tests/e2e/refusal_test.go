package e2e_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestRefusals: every refusal has the same reason over gRPC, REST and the CLI, a
// status and an exit code of its kind, and stands in the trail.
func TestRefusals(t *testing.T) {
	// A broker of its own: from the tenth a minute on, like refusals of one peer are
	// counted in one row, and here each is looked for.
	b := testenv.StartDev(t, testenv.ShortDir(t))
	wrong := "odk_" + "0000000000000000000000000000000000000000000000000000"
	for _, one := range []struct {
		name      string
		grant     string
		user      string
		key       string // instead of the task's
		connector string
		tool      string
		arguments string
		reason    client.Reason
		status    int
		exit      int
	}{
		{"not granted connector", readContacts, "alice", "", "payroll", "payslip.get", `{"user":"alice"}`, client.GrantMissing, 403, 3},
		{"unknown connector is told like an ungranted one", readContacts, "alice", "", "nothing", "x", `{}`, client.GrantMissing, 403, 3},
		{"other resource", "crm: contacts.get READ contact:1", "alice", "", "crm", "contacts.get", `{"id":"2"}`, client.ResourceNotGranted, 403, 3},
		{"a search needs the whole type", "crm: contacts.* READ contact:1", "alice", "", "crm", "contacts.search", `{"q":"a"}`, client.ResourceNotGranted, 403, 3},
		{"unknown tool of a held connector", readContacts, "alice", "", "crm", "contacts.nothing", `{}`, client.ToolUnknown, 404, 4},
		{"argument of a wrong form", readContacts, "alice", "", "crm", "contacts.get", `{"id":"../1"}`, client.ArgumentInvalid, 400, 4},
		{"argument missing", readContacts, "alice", "", "crm", "contacts.get", `{}`, client.ArgumentInvalid, 400, 4},
		{"argument twice", readContacts, "alice", "", "crm", "contacts.get", `{"id":"1","id":"2"}`, client.ArgumentInvalid, 400, 4},
		{"no credential", readContacts, "bob", "", "crm", "contacts.get", `{"id":"1"}`, client.CredentialMissing, 400, 5},
		{"no such key", readContacts, "alice", wrong, "crm", "contacts.get", `{"id":"1"}`, client.TaskKeyInvalid, 401, 3},
	} {
		t.Run(one.name, func(t *testing.T) {
			task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.User = one.user }, one.grant)
			key := task.Key
			if one.key != "" {
				key = one.key
			}
			_, err := b.Client(t, testenv.Sandbox, key).Invoke(t.Context(), one.connector, one.tool, []byte(one.arguments))
			require.ErrorIs(t, err, one.reason)
			answer := b.REST(t, testenv.Sandbox, key).Do(t, http.MethodPost, "/v1/invoke",
				`{"connector":"`+one.connector+`","tool":"`+one.tool+`","arguments":`+one.arguments+`}`)
			require.Equal(t, one.status, answer.Status, answer.Body)
			require.Equal(t, string(one.reason), answer.Reason(t))
			result := b.CLI(t, testenv.Sandbox, key, "invoke", one.connector, one.tool, "--json", one.arguments)
			require.Equal(t, one.exit, result.Code, result.Stderr)
			require.Contains(t, result.Stderr, string(one.reason))
			if one.key == "" {
				refusal := "REFUSAL " + string(one.reason)
				require.Equal(t, []string{refusal, refusal, refusal}, settled(t, b, task.ID, 3))
			}
		})
	}
}

// A severity above the grant's is refused even where the tool is named.
func TestSeverity(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, "crm: contacts.update,contacts.get WRITE contact:7")
	rest := b.REST(t, testenv.Sandbox, task.Key)
	changed := rest.Do(t, http.MethodPost, "/v1/invoke", `{"connector":"crm","tool":"contacts.update","arguments":{"id":"7","company":"New"}}`)
	require.Equal(t, http.StatusOK, changed.Status, changed.Body)
	require.Contains(t, changed.Body, `"company":"New"`)
	low := b.Mint(t, nil, "crm: contacts.delete READ contact:7")
	_, err := b.Client(t, testenv.Sandbox, low.Key).Invoke(t.Context(), "crm", "contacts.delete", map[string]string{"id": "7"})
	require.ErrorIs(t, err, client.SeverityExceeded)
}

func TestExplain(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, "crm: contacts.get READ contact:1")
	for name, one := range map[string]struct {
		id   string
		exit int
		word string
	}{
		"allowed": {"1", 0, "yes"},
		"refused": {"2", 3, "RESOURCE_NOT_GRANTED"},
	} {
		t.Run(name, func(t *testing.T) {
			said := b.CLI(t, testenv.Sandbox, task.Key, "explain", "crm", "contacts.get", "--arg", "id="+one.id)
			require.Equal(t, one.exit, said.Code, said.Stderr)
			require.Contains(t, said.Stdout, one.word)
		})
	}
	require.Empty(t, b.Events(t, task.ID), "to ask is not to act")
}

// A task ends by its time and by revocation, at once.
func TestTaskEnds(t *testing.T) {
	b := testenv.Dev(t)
	get := map[string]string{"id": "1"}
	t.Run("revoked", func(t *testing.T) {
		task := b.Mint(t, nil, readContacts)
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		_, err := sandbox.Invoke(t.Context(), "crm", "contacts.get", get)
		require.NoError(t, err)
		require.Zero(t, b.CLI(t, testenv.Orchestrator, "", "task", "revoke", task.ID).Code)
		_, err = sandbox.Invoke(t.Context(), "crm", "contacts.get", get)
		require.ErrorIs(t, err, client.TaskEnded)
	})
	t.Run("expired", func(t *testing.T) {
		task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Ttl = durationpb.New(time.Second) }, readContacts)
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		testenv.Eventually(t, "the task's end", func() bool {
			_, err := sandbox.Invoke(t.Context(), "crm", "contacts.get", get)
			return errors.Is(err, client.TaskEnded)
		})
	})
}

// An idempotency key that was used gets CONFLICT with the first call's id, and nothing
// is sent again.
func TestIdempotencyKey(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, readContacts)
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	const key = "7b6ed4a6-6f3c-4fd8-9d26-1c1f6c1b4a11"
	first, err := sandbox.Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"}, client.WithIdempotencyKey(key))
	require.NoError(t, err)
	_, err = sandbox.Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"}, client.WithIdempotencyKey(key))
	require.ErrorIs(t, err, client.Conflict)
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, first.InvocationID, e.Metadata["first_invocation_id"])
	again := b.CLI(t, testenv.Sandbox, task.Key, "invoke", "crm", "contacts.get", "--arg", "id=1", "--idempotency-key", key)
	require.Equal(t, 5, again.Code, again.Stderr)
}

// Every kind of caller may call what is theirs and nothing else, with a sandbox's key or
// without.
func TestRoles(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, readContacts)
	for name, one := range map[string]struct {
		as   testenv.Role
		args []string
	}{
		"a sandbox mints no task":              {testenv.Sandbox, []string{"task", "list"}},
		"a sandbox sees no trail":              {testenv.Sandbox, []string{"audit", "list"}},
		"an orchestrator puts no credential":   {testenv.Orchestrator, []string{"credential", "list"}},
		"an orchestrator sees no connectors":   {testenv.Orchestrator, []string{"connector", "list"}},
		"an orchestrator sees no keys":         {testenv.Orchestrator, []string{"keys", "list"}},
		"an operator has no tools of a task's": {testenv.Operator, []string{"tools"}},
	} {
		t.Run(name, func(t *testing.T) {
			said := b.CLI(t, one.as, task.Key, one.args...)
			require.Equal(t, 3, said.Code, said.Stderr)
		})
	}
}
