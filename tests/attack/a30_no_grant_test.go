package attack_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	tasks, err := orchestrator.Tasks().List(t.Context(), &onedoorv1.TasksListRequest{PageSize: 500})
	require.NoError(t, err)
	for _, task := range tasks.GetTasks() {
		require.NotContains(t, task.GetAgent(), "a30 ", "nothing is half made")
	}
}
