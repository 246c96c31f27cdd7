package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestBadInputREST: what cannot be read gets an error that names the field, and is not
// acted on by half.
func TestBadInputREST(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, "crm: contacts.get READ contact:*")
	sandbox, operator, orchestrator := b.REST(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Operator, ""), b.REST(t, testenv.Orchestrator, "")
	mint := func(field, value string) string {
		all := map[string]string{
			"agent": `"a"`, "user": `"alice"`, "sandbox": `"` + b.SPIFFEID(testenv.Sandbox) + `"`, "grants": `["crm: contacts.get READ contact:*"]`, "ttl": `"60s"`,
		}
		all[field] = value
		var members []string
		for name, text := range all {
			members = append(members, fmt.Sprintf("%q:%s", name, text))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	manifest := func(text string) string { return fmt.Sprintf(`{"manifest":%q}`, text) }
	for _, one := range []struct {
		name       string
		as         *testenv.REST
		path, body string
		status     int
		field      string
	}{
		{"no JSON", sandbox, "/v1/invoke", `{"connector":`, 400, "body"},
		{"not an object", sandbox, "/v1/invoke", `[]`, 400, "body"},
		{"two objects", sandbox, "/v1/invoke", `{}{}`, 400, "body"},
		{"not UTF-8", sandbox, "/v1/invoke", "{\"connector\":\"\xff\"}", 400, "body"},
		{"no connector", sandbox, "/v1/invoke", `{"tool":"contacts.get"}`, 400, "connector"},
		{"no tool", sandbox, "/v1/invoke", `{"connector":"crm"}`, 400, "tool"},
		{"a field of a wrong type", sandbox, "/v1/invoke", `{"connector":1}`, 400, "connector"},
		{"an unknown field", sandbox, "/v1/invoke", `{"conector":"crm"}`, 400, "conector"},
		{"a field twice", sandbox, "/v1/invoke", `{"connector":"crm","connector":"crm"}`, 400, "connector"},
		{"arguments that are no object", sandbox, "/v1/invoke", `{"connector":"crm","tool":"contacts.get","arguments":"x"}`, 400, "arguments"},
		{"an idempotency key that is no UUID", sandbox, "/v1/invoke", `{"connector":"crm","tool":"contacts.get","idempotencyKey":"x"}`, 400, "idempotency_key"},
		{"arguments too large", sandbox, "/v1/invoke", `{"connector":"crm","tool":"contacts.get","arguments":{"id":"` + strings.Repeat("1", 5<<20) + `"}}`, 400, "arguments"},
		{"a body too large", sandbox, "/v1/invoke", `{"connector":"` + strings.Repeat("x", 9<<20) + `"}`, 413, ""},
		{"a SPIFFE ID that is none", orchestrator, "/v1/tasks", mint("sandbox", `"sandbox/one"`), 400, "sandbox"},
		{"an empty agent", orchestrator, "/v1/tasks", mint("agent", `""`), 400, "agent"},
		{"a life that is none", orchestrator, "/v1/tasks", mint("ttl", `"soon"`), 400, "ttl"},
		{"a life of nothing", orchestrator, "/v1/tasks", mint("ttl", `"0s"`), 400, "ttl"},
		{"a life too long", orchestrator, "/v1/tasks", mint("ttl", `"999999999s"`), 400, "ttl"},
		{"a grant that is none", orchestrator, "/v1/tasks", mint("grants", `["whatever"]`), 400, "grants[0]"},
		{"no YAML", operator, "/v1/connectors", manifest("connector: ["), 400, "manifest"},
		{"a manifest that is a list", operator, "/v1/connectors", manifest("- x"), 400, "manifest"},
		{"two documents", operator, "/v1/connectors", manifest("a: 1\n---\nb: 1"), 400, "manifest"},
		{"a manifest with an unknown field", operator, "/v1/connectors", manifest("connector: x\nurl: y"), 400, "manifest"},
		{"an empty manifest", operator, "/v1/connectors", `{"manifest":""}`, 400, "manifest"},
		{"a secret for no connector", operator, "/v1/credentials", `{"connector":"none","user":"alice","secret":"eA=="}`, 404, ""},
		{"an empty secret", operator, "/v1/credentials", `{"connector":"crm","user":"alice","secret":""}`, 400, "secret"},
		{"a secret that is no base64", operator, "/v1/credentials", `{"connector":"crm","user":"alice","secret":"***"}`, 400, "secret"},
		{"a secret of two owners", operator, "/v1/credentials", `{"connector":"crm","user":"alice","workspaceOwned":true,"secret":"eA=="}`, 400, "body"},
		{"an unknown slot", operator, "/v1/credentials", `{"connector":"crm","slot":"none","user":"alice","secret":"eA=="}`, 400, "slot"},
	} {
		t.Run(one.name, func(t *testing.T) {
			answer := one.as.Do(t, http.MethodPost, one.path, one.body)
			require.Equal(t, one.status, answer.Status, short(answer.Body))
			if one.field != "" {
				require.Equal(t, one.field, answer.Field(t), short(answer.Body))
			}
		})
	}
	for _, e := range b.Events(t, task.ID) {
		require.Equal(t, "REFUSAL", e.GetKind(), "nothing of it was a call")
	}
}

func short(text string) string { return text[:min(len(text), 500)] }

func TestBadInputGRPC(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, "crm: contacts.get READ contact:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key).Broker()
	operator := b.Client(t, testenv.Operator, "")
	call := func(arguments string) error {
		_, err := sandbox.Invoke(t.Context(), &onedoorv1.InvokeRequest{Connector: "crm", Tool: "contacts.get", ArgumentsJson: []byte(arguments)})
		return err
	}
	for _, one := range []struct {
		name  string
		err   error
		field string
	}{
		{"no JSON", call(`{"id":`), "arguments"},
		{"not an object", call(`"1"`), "arguments"},
		{"two values", call(`{"id":"1"} {}`), "arguments"},
		{"a key twice", call(`{"id":"1","id":"1"}`), "arguments"},
		{"not UTF-8", call("{\"id\":\"\xff\"}"), "arguments"},
		{"half a surrogate pair", call(`{"id":"\ud800"}`), "arguments"},
		{"depth", call(strings.Repeat(`{"id":`, 10000) + "1" + strings.Repeat("}", 10000)), "arguments"},
		{"a number with an exponent", call(`{"id":1e2}`), "id"},
		{"an unknown argument", call(`{"id":"1","x":1}`), "x"},
		{"a tail behind the number", call(`{"id":01}`), "arguments"},
		{"too large", call(`{"id":"` + strings.Repeat("1", 5<<20) + `"}`), "arguments_json"},
		{"a task id that is none", func() error {
			_, err := operator.Tasks().Get(t.Context(), &onedoorv1.TasksGetRequest{TaskId: "x"})
			return err
		}(), "task_id"},
		{"a page token that is none", func() error {
			_, err := operator.Audit().List(t.Context(), &onedoorv1.AuditListRequest{PageToken: "x"})
			return err
		}(), "page_token"},
		{"a page too large", func() error {
			_, err := operator.Audit().List(t.Context(), &onedoorv1.AuditListRequest{PageSize: 1e6})
			return err
		}(), "page_size"},
		{"no key purpose", func() error {
			_, err := operator.Keys().Rotate(t.Context(), &onedoorv1.KeysRotateRequest{})
			return err
		}(), "purpose"},
	} {
		t.Run(one.name, func(t *testing.T) {
			require.ErrorIs(t, one.err, client.ArgumentInvalid)
			var e *client.Error
			require.ErrorAs(t, one.err, &e)
			require.Equal(t, one.field, e.Metadata["field"], e.Message)
		})
	}
	t.Run("a message that is too large for the wire", func(t *testing.T) {
		err := call(`{"id":"` + strings.Repeat("1", 9<<20) + `"}`)
		require.Error(t, err)
	})
	t.Run("keys", func(t *testing.T) {
		for _, key := range []string{"x", "odk_", "odk_short", task.Key + "0", task.Key[:len(task.Key)-1], strings.ToUpper(task.Key), strings.Repeat("a", 10000)} {
			_, err := b.Client(t, testenv.Sandbox, key).Task(t.Context())
			require.ErrorIs(t, err, client.TaskKeyInvalid)
			require.NotContains(t, err.Error(), key)
		}
	})
}
