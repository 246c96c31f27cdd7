package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A child's key works with the sub-agent's SPIFFE ID alone: not with its parent's, which
// has held it, and the parent's does not work for the child.
func TestAttack33_KeysAreApart(t *testing.T) {
	t.Parallel()
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	root := b.Mint(t, b.DelegatesToSandbox2, readThings)
	child := b.Delegate(t, root, "things: things.get READ thing:1")
	get := map[string]string{"id": "1"}
	for as, task := range map[testenv.Role]testenv.Task{testenv.Sandbox: child, testenv.Sandbox2: root} {
		_, err := b.Client(t, as, task.Key).Invoke(t.Context(), "things", "things.get", get)
		require.ErrorIs(t, err, client.TaskKeyInvalid)
		require.Contains(t, reasons(b.Events(t, task.ID)), "KEY_THEFT")
	}
	require.Zero(t, upstream.Requests())
	_, err := b.Client(t, testenv.Sandbox2, child.Key).Invoke(t.Context(), "things", "things.get", get)
	require.NoError(t, err)
	_, err = b.Client(t, testenv.Sandbox2, child.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "2"})
	require.ErrorIs(t, err, client.ResourceNotGranted, "its parent may, it may not")
	_, err = b.Client(t, testenv.Sandbox, root.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "2"})
	require.NoError(t, err)
}

// Whatever a captured task asks for beyond what it holds, in whichever part, is refused
// over gRPC and REST alike, is recorded, and mints nothing.
func TestAttack33_Widening(t *testing.T) {
	t.Parallel()
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	root := b.Mint(t, b.DelegatesToSandbox2, "things: things.get,things.find READ thing:1,thing:eu-* calls=5")
	alone := b.Mint(t, nil, readThings)
	two := b.SPIFFEID(testenv.Sandbox2)
	const within = "things: things.get READ thing:1 calls=1"
	cases := map[string]struct {
		task   testenv.Task
		change func(r *onedoorv1.DelegateTaskRequest)
		want   string
	}{
		"a tool":               {root, grantsOf("things: things.make READ thing:1 calls=1"), "DELEGATION_WIDENS"},
		"all tools":            {root, grantsOf("things: things.* WRITE thing:1 calls=1"), "DELEGATION_WIDENS"},
		"a resource":           {root, grantsOf("things: things.get READ thing:2 calls=1"), "DELEGATION_WIDENS"},
		"all resources":        {root, grantsOf("things: things.get READ thing:* calls=1"), "DELEGATION_WIDENS"},
		"a severity":           {root, grantsOf("things: things.get ADMIN thing:1 calls=1"), "DELEGATION_WIDENS"},
		"more calls":           {root, grantsOf("things: things.get READ thing:1 calls=6"), "DELEGATION_WIDENS"},
		"calls without end":    {root, grantsOf("things: things.get READ thing:1"), "DELEGATION_WIDENS"},
		"another connector":    {root, grantsOf("crm: things.get READ thing:1 calls=1"), "DELEGATION_WIDENS"},
		"hidden behind a good": {root, grantsOf(within, "things: things.make WRITE thing:* calls=1"), "DELEGATION_WIDENS"},
		"a longer life":        {root, func(r *onedoorv1.DelegateTaskRequest) { r.Ttl = durationpb.New(time.Hour) }, "DELEGATION_WIDENS"},
		"a stranger":           {root, func(r *onedoorv1.DelegateTaskRequest) { r.Sandbox = "spiffe://site.test/sandbox/three" }, "DELEGATION_WIDENS"},
		"a name that goes on":  {root, func(r *onedoorv1.DelegateTaskRequest) { r.Sandbox = two + "x" }, "DELEGATION_WIDENS"},
		"itself":               {root, func(r *onedoorv1.DelegateTaskRequest) { r.Sandbox = b.SPIFFEID(testenv.Sandbox) }, "DELEGATION_WIDENS"},
		"an operator":          {root, func(r *onedoorv1.DelegateTaskRequest) { r.Sandbox = "spiffe://site.test/operator" }, "DELEGATION_WIDENS"},
		"a prefix as sandbox":  {root, func(r *onedoorv1.DelegateTaskRequest) { r.Sandbox = two + "/" }, "ARGUMENT_INVALID"},
		"more delegates":       {root, func(r *onedoorv1.DelegateTaskRequest) { r.Delegates = []string{"spiffe://site.test/sandbox/"} }, "DELEGATION_WIDENS"},
		"no delegates":         {alone, func(*onedoorv1.DelegateTaskRequest) {}, "CALLER_NOT_ALLOWED"},
	}
	for name, c := range cases {
		r := b.Delegation(within)
		c.change(r)
		_, err := testenv.TryDelegate(t, b.Client(t, testenv.Sandbox, c.task.Key), r)
		require.Equal(t, c.want, string(client.ReasonOf(err)), "%s: %v", name, err)
		body, err := protojson.Marshal(r)
		require.NoError(t, err)
		require.Equal(t, c.want, b.REST(t, testenv.Sandbox, c.task.Key).Do(t, http.MethodPost, "/v1/task:delegate", string(body)).Reason(t), name)
	}
	for _, task := range []testenv.Task{root, alone} {
		require.Len(t, b.Tree(t, task.ID, false), 1, "nothing was minted")
	}
	testenv.Eventually(t, "each attempt's outcome", func() bool {
		failed := 0
		for _, e := range b.Events(t, root.ID) {
			require.Equal(t, "Broker.DelegateTask", e.GetTool())
			if e.GetKind() == "ADMIN_OUTCOME" {
				require.Equal(t, "FAILED", e.GetOutcome())
				failed++
			}
		}
		return failed == 2*(len(cases)-1)
	})
	_, err := testenv.TryDelegate(t, b.Client(t, testenv.Orchestrator, ""), b.Delegation(within))
	require.ErrorIs(t, err, client.TaskKeyInvalid, "who has no task delegates nothing")
}

func grantsOf(texts ...string) func(*onedoorv1.DelegateTaskRequest) {
	return func(r *onedoorv1.DelegateTaskRequest) { r.Grants = texts }
}

// The trail says of each call who let it happen: its row names the tasks above, and the
// delegation stands under the parent before the child can call.
func TestAttack33_TheTrailShowsTheChain(t *testing.T) {
	t.Parallel()
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	root := b.Mint(t, b.DelegatesToSandbox2, readThings)
	child := b.Delegate(t, root, "things: things.get READ thing:1")
	_, err := b.Client(t, testenv.Sandbox2, child.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	var detail struct {
		ParentID string                         `json:"parent_id"`
		RootID   string                         `json:"root_id"`
		Above    []struct{ Task, Agent string } `json:"above"`
	}
	calls := b.Events(t, child.ID)
	require.Equal(t, "INTENT", calls[0].GetKind())
	require.NoError(t, json.Unmarshal([]byte(calls[0].GetDetail()), &detail))
	require.Equal(t, root.ID, detail.ParentID)
	require.Equal(t, root.ID, detail.RootID)
	require.Equal(t, []struct{ Task, Agent string }{{root.ID, "tester"}}, detail.Above)

	act := b.Events(t, root.ID)[0]
	require.Equal(t, []string{"ADMIN_INTENT", "Broker.DelegateTask"}, []string{act.GetKind(), act.GetTool()})
	require.Equal(t, []string{"agent:sub-agent", "sandbox:" + b.SPIFFEID(testenv.Sandbox2), "things: things.get READ thing:1"}, act.GetResources())
	require.Equal(t, b.SPIFFEID(testenv.Sandbox), act.GetSpiffeId())
	testenv.Eventually(t, "the delegation's outcome", func() bool {
		for _, e := range b.Events(t, root.ID) {
			if e.GetKind() == "ADMIN_OUTCOME" {
				var made map[string]string
				require.NoError(t, json.Unmarshal([]byte(e.GetDetail()), &made))
				require.Equal(t, []string{child.ID, child.KeyID, root.ID}, []string{made["task_id"], made["key_id"], made["parent_id"]})
				return true
			}
		}
		return false
	})
}

// A task that may not even delegate asks for megabytes of grants: what the trail keeps of
// it is bounded, since nobody can ever take it out again.
func TestAttack33_TheTrailIsNotFilled(t *testing.T) {
	t.Parallel()
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	resources := make([]string, 300)
	for i := range resources {
		resources[i] = fmt.Sprintf("thing:%d", i)
	}
	r := b.Delegation(slices.Repeat([]string{"things: things.get READ " + strings.Join(resources, ",")}, 1000)...)
	for delegates, want := range map[bool]string{false: "CALLER_NOT_ALLOWED", true: "ARGUMENT_INVALID"} {
		task := b.Mint(t, nil, readThings)
		if delegates {
			task = b.Mint(t, b.DelegatesToSandbox2, readThings)
		}
		_, err := testenv.TryDelegate(t, b.Client(t, testenv.Sandbox, task.Key), r)
		require.ErrorContains(t, err, want)
		acts := 0
		for _, e := range b.Events(t, task.ID) {
			if e.GetTool() != "Broker.DelegateTask" || len(e.GetResources()) == 0 {
				continue
			}
			acts++
			require.Less(t, len(strings.Join(e.GetResources(), " ")), 1<<17)
			require.Contains(t, e.GetResources()[len(e.GetResources())-1], "grants more")
		}
		require.Positive(t, acts)
	}
}
