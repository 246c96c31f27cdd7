package attack_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// What no grant names is denied: every tool of every connector, whatever its severity.
func TestAttack30_NoGrant(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	operator := b.Client(t, testenv.Operator, "")
	connectors, err := operator.Connectors().List(t.Context(), &onedoorv1.ConnectorsListRequest{})
	require.NoError(t, err)
	task := b.Mint(t, nil, "crm: contacts.get READ contact:1")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	tried := 0
	for _, c := range connectors.GetConnectors() {
		for _, tool := range c.GetTools() {
			if c.GetName() == "crm" && tool == "contacts.get" {
				continue
			}
			_, err := sandbox.Invoke(t.Context(), c.GetName(), tool, map[string]string{"id": "1", "q": "x", "user": "alice"})
			require.ErrorIs(t, err, client.GrantMissing, "%s %s", c.GetName(), tool)
			explained, err := sandbox.Explain(t.Context(), c.GetName(), tool, map[string]string{"id": "1"})
			require.NoError(t, err)
			require.False(t, explained.GetAllowed())
			tried++
		}
	}
	require.Equal(t, 5, tried)
	tools, err := sandbox.Tools(t.Context())
	require.NoError(t, err)
	require.Len(t, tools, 1, "what is not granted is not even shown")
	for _, e := range b.Events(t, task.ID) {
		require.Equal(t, "REFUSAL", e.GetKind())
	}
}

// A task without grants, or with one that could mean everything, is not made.
func TestAttack30_GrantsThatMeanEverything(t *testing.T) {
	b := testenv.Dev(t)
	orchestrator := b.Client(t, testenv.Orchestrator, "")
	for name, grants := range map[string][]string{
		"none":                 {},
		"empty":                {""},
		"bare tool":            {"crm: * READ contact:*"},
		"bare resource":        {"crm: contacts.get READ *"},
		"no resource":          {"crm: contacts.get READ"},
		"no tool":              {"crm: READ contact:*"},
		"no severity":          {"crm: contacts.get contact:*"},
		"unspecified severity": {"crm: contacts.get UNSPECIFIED contact:*"},
		"star in the middle":   {"crm: c*t.get READ contact:*"},
		"any connector":        {"*: contacts.get READ contact:*"},
		"unknown connector":    {"nothing: contacts.get READ contact:*"},
		"unknown tool":         {"crm: contacts.nothing READ contact:*"},
		"unknown limit":        {"crm: contacts.get READ contact:* forever=1"},
		"negative limit":       {"crm: contacts.get READ contact:* calls=-1"},
		"uncountable limit":    {"crm: contacts.get READ contact:* usd=1"},
		"two stars":            {"crm: contacts.get READ contact:**"},
		"a star and more":      {"crm: contacts.get READ contact:*1"},
		"a star among others":  {"crm: contacts.get READ contact:1,*"},
		"any type":             {"crm: contacts.get READ *:1"},
		"no type":              {"crm: contacts.get READ :1"},
		"no id":                {"crm: contacts.get READ contact:"},
		"a bare tool, hidden":  {"crm: contacts.get,* READ contact:*"},
		"an empty tool":        {"crm: contacts.get, READ contact:*"},
		"one character":        {"crm: contacts.ge? READ contact:*"},
		"a class":              {"crm: contacts.[a-z]et READ contact:*"},
		"an alternative":       {"crm: contacts.{get,delete} READ contact:*"},
		"everything that is":   {"crm: .* READ contact:*"},
		"another case":         {"crm: Contacts.Get READ contact:*"},
		"another script":       {"crm: cont\u0430cts.get READ contact:*"},
		"an invisible mark":    {"crm: contacts.get\u200b READ contact:*"},
		"a NUL":                {"crm: contacts.get\x00 READ contact:*"},
		"two severities":       {"crm: contacts.get READ,ADMIN contact:*"},
		"a severity by number": {"crm: contacts.get 4 contact:*"},
		"an unknown severity":  {"crm: contacts.get ROOT contact:*"},
		"no time":              {"crm: contacts.get READ contact:* until="},
		"a time that is past":  {"crm: contacts.get READ contact:* until=2020-01-01T00:00:00Z"},
		"the zero time":        {"crm: contacts.get READ contact:* until=0001-01-01T00:00:00Z"},
		"a limit of nothing":   {"crm: contacts.get READ contact:* calls=0"},
		"a limit too large":    {"crm: contacts.get READ contact:* calls=9223372036854775808"},
		"a limit twice":        {"crm: contacts.get READ contact:* calls=1 calls=9"},
		"two grants in one":    {"crm: contacts.get READ contact:1\ncrm: contacts.delete ADMIN contact:*"},
		"one good, one bad":    {"crm: contacts.get READ contact:*", "crm: * ADMIN *"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := orchestrator.Tasks().Create(t.Context(), &onedoorv1.TasksCreateRequest{
				Agent: "a30 " + name, User: "alice", Sandbox: b.SPIFFEID(testenv.Sandbox), Ttl: durationpb.New(time.Minute), Grants: grants,
			})
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Contains(t, []client.Reason{client.ArgumentInvalid, client.ConnectorUnknown, client.ToolUnknown}, e.Reason, e.Message)
		})
	}
	good := &onedoorv1.TasksCreateRequest{
		Agent: "a30 unset", User: "alice", Sandbox: b.SPIFFEID(testenv.Sandbox), Ttl: durationpb.New(time.Minute), Grants: []string{"crm: contacts.get READ contact:1"},
	}
	for name, unset := range map[string]func(*onedoorv1.TasksCreateRequest){
		"no agent":          func(r *onedoorv1.TasksCreateRequest) { r.Agent = "" },
		"no user":           func(r *onedoorv1.TasksCreateRequest) { r.User = "" },
		"no sandbox":        func(r *onedoorv1.TasksCreateRequest) { r.Sandbox = "" },
		"no life":           func(r *onedoorv1.TasksCreateRequest) { r.Ttl = nil },
		"a whole domain":    func(r *onedoorv1.TasksCreateRequest) { r.Sandbox = "spiffe://onedoor.dev" },
		"every sandbox":     func(r *onedoorv1.TasksCreateRequest) { r.Sandbox = "spiffe://onedoor.dev/sandbox/*" },
		"every delegate":    func(r *onedoorv1.TasksCreateRequest) { r.Delegates = []string{"spiffe://onedoor.dev/"} },
		"an empty delegate": func(r *onedoorv1.TasksCreateRequest) { r.Delegates = []string{""} },
		"another workspace": func(r *onedoorv1.TasksCreateRequest) { r.Workspace = "none" },
	} {
		request := proto.CloneOf(good)
		unset(request)
		_, err := orchestrator.Tasks().Create(t.Context(), request)
		require.Contains(t, []client.Reason{client.ArgumentInvalid, client.CallerNotAllowed}, client.ReasonOf(err), "%s: %v", name, err)
	}
	for _, purpose := range []onedoorv1.KeyPurpose{0, 99, -1} {
		_, err := b.Client(t, testenv.Operator, "").Keys().Rotate(t.Context(), &onedoorv1.KeysRotateRequest{Purpose: purpose})
		require.ErrorIs(t, err, client.ArgumentInvalid)
	}
	tasks, err := orchestrator.Tasks().List(t.Context(), &onedoorv1.TasksListRequest{PageSize: 500})
	require.NoError(t, err)
	for _, task := range tasks.GetTasks() {
		require.NotContains(t, task.GetAgent(), "a30 ", "nothing is half made")
	}
}
