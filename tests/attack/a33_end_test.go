package attack_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

var anInvocation = regexp.MustCompile(`"invocation_?[iI]d":\s*"[^"]*"`)

// A captured task ends nothing but what stands below it: not itself, nor what is above or
// beside it, nor another tree. Nobody learns by trying whether there is such a task: all
// answers are the same, word for word, and each attempt is recorded.
func TestAttack33_EndsOnlyWhatIsBelow(t *testing.T) {
	t.Parallel()
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	root, stranger, gone := b.Mint(t, b.DelegatesToSandbox2, readThings), b.Mint(t, b.DelegatesToSandbox2, readThings), b.Mint(t, nil, readThings)
	left, right, far := b.Delegate(t, root, readThings), b.Delegate(t, root, readThings), b.Delegate(t, stranger, readThings)
	_, err := b.Client(t, testenv.Orchestrator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: gone.ID})
	require.NoError(t, err)

	answers := map[string]bool{}
	attempts := map[string]int{} // by who tried
	for name, c := range map[string]struct {
		as     testenv.Role
		caller testenv.Task
		id     string
	}{
		"itself":                   {testenv.Sandbox2, left, left.ID},
		"itself, a root":           {testenv.Sandbox, root, root.ID},
		"its parent":               {testenv.Sandbox2, left, root.ID},
		"its sibling":              {testenv.Sandbox2, left, right.ID},
		"another tree's root":      {testenv.Sandbox, root, stranger.ID},
		"another tree's child":     {testenv.Sandbox, root, far.ID},
		"another's that has ended": {testenv.Sandbox, root, gone.ID},
		"no such task":             {testenv.Sandbox, root, uuid.NewString()},
	} {
		_, err := b.Client(t, c.as, c.caller.Key).EndDelegated(t.Context(), c.id)
		require.ErrorIs(t, err, client.TaskUnknown, name)
		answer := b.REST(t, c.as, c.caller.Key).Do(t, http.MethodPost, "/v1/task:end", `{"taskId":"`+c.id+`"}`)
		require.Equal(t, http.StatusNotFound, answer.Status, name)
		answers[anInvocation.ReplaceAllString(answer.Body, "")] = true
		attempts[c.caller.ID] += 2
		requireAttempt(t, b.Events(t, c.caller.ID), c.id)
	}
	require.Len(t, answers, 1, "no answer tells more than another: %v", answers)
	require.Len(t, b.Tree(t, root.ID, true), 3)
	require.Len(t, b.Tree(t, stranger.ID, true), 2)
	for id, tried := range attempts {
		testenv.Eventually(t, "each attempt's outcome", func() bool {
			failed := 0
			for _, e := range b.Events(t, id) {
				if e.GetKind() == "ADMIN_OUTCOME" && e.GetReason() == "TASK_UNKNOWN" {
					failed++
				}
			}
			return failed == tried
		})
	}
	for name, answer := range map[string]testenv.Answer{
		"ARGUMENT_INVALID": b.REST(t, testenv.Sandbox, root.Key).Do(t, http.MethodPost, "/v1/task:end", `{"taskId":"../x"}`),
		"TASK_KEY_INVALID": b.REST(t, testenv.Sandbox2, root.Key).Do(t, http.MethodPost, "/v1/task:end", `{"taskId":"`+left.ID+`"}`),
		"TASK_ENDED":       b.REST(t, testenv.Sandbox, gone.Key).Do(t, http.MethodPost, "/v1/task:end", `{"taskId":"`+left.ID+`"}`),
	} {
		require.Equal(t, name, answer.Reason(t))
	}
	require.Len(t, b.Tree(t, root.ID, true), 3)
}

func requireAttempt(t *testing.T, events []*onedoorv1.AuditEvent, id string) {
	t.Helper()
	for _, e := range events {
		if e.GetKind() == "ADMIN_INTENT" && e.GetTool() == "Broker.EndDelegatedTask" && e.GetResources()[0] == "task:"+id {
			return
		}
	}
	t.Fatalf("the trail does not have that %s was to be ended", id)
}

// Who ended whom stands in the trail under the one that did it, before it took effect; and
// to end again changes nothing, neither state nor time.
func TestAttack33_EndIsRecordedAndFinal(t *testing.T) {
	t.Parallel()
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {})
	root := b.Mint(t, b.DelegatesToSandbox2, readThings)
	child := b.Delegate(t, root, readThings)
	as, sub := b.Client(t, testenv.Sandbox, root.Key), b.Client(t, testenv.Sandbox2, child.Key)
	_, err := sub.Task(t.Context())
	require.NoError(t, err, "and the broker remembers it")
	ended, err := as.EndDelegated(t.Context(), child.ID)
	require.NoError(t, err)
	require.Equal(t, onedoorv1.TaskState_TASK_STATE_ENDED, ended.GetState())
	_, err = sub.Task(t.Context())
	require.ErrorIs(t, err, client.TaskEnded, "at once")
	again, err := as.EndDelegated(t.Context(), child.ID)
	require.NoError(t, err)
	require.Equal(t, ended.GetEndedAt().AsTime(), again.GetEndedAt().AsTime())
	require.Equal(t, ended.GetState(), again.GetState())

	requireAttempt(t, b.Events(t, root.ID), child.ID)
	testenv.Eventually(t, "the end's outcome", func() bool {
		for _, e := range b.Events(t, root.ID) {
			if e.GetKind() != "ADMIN_OUTCOME" || e.GetTool() != "Broker.EndDelegatedTask" {
				continue
			}
			var done map[string]string
			require.NoError(t, json.Unmarshal([]byte(e.GetDetail()), &done))
			require.Equal(t, []string{child.ID, child.KeyID, root.ID}, []string{done["task_id"], done["key_id"], done["parent_id"]})
			require.Equal(t, []string{"OK", b.SPIFFEID(testenv.Sandbox)}, []string{e.GetOutcome(), e.GetSpiffeId()})
			return true
		}
		return false
	})
}

// A task that ends what it mints at once, at two brokers and from many sides, mints no more
// of them within a minute than its tree may hold; and of what it ended nothing lives.
func TestAttack33_MintAndEnd(t *testing.T) {
	t.Parallel()
	const most = 12
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	few := func(c *config.Config) {
		c.Limits.Delegation = config.Delegation{Depth: 3, Children: 8, Tree: most}
	}
	here, there := site.Start(t, few), site.Start(t, few)
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	here.Apply(t, upstream.Manifest("things", "", testenv.Things))
	root := here.Mint(t, here.DelegatesToSandbox2, readThings)
	var churn sync.WaitGroup
	var minted atomic.Int64
	for n := range 6 {
		b := []*testenv.Broker{here, there}[n%2]
		as := b.Client(t, testenv.Sandbox, root.Key)
		churn.Go(func() {
			for range 2 * most {
				child, err := testenv.TryDelegate(t, as, b.Delegation(readThings))
				switch client.ReasonOf(err) {
				case "":
				case client.LimitReached:
					return
				default:
					t.Errorf("%v", err)
					return
				}
				minted.Add(1)
				if _, err := as.EndDelegated(t.Context(), child.ID); err != nil {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	churn.Wait()
	require.GreaterOrEqual(t, minted.Load(), int64(most), "its places were free, each time")
	require.Equal(t, []string{root.ID}, idsOf(here.Tree(t, root.ID, true)))
	all := here.Tree(t, root.ID, false) // the newest first, the root last
	require.Len(t, all, 1+int(minted.Load()))
	for i := most; i < len(all)-1; i++ { // on a machine so slow that there were more
		apart := all[i-most].GetCreatedAt().AsTime().Sub(all[i].GetCreatedAt().AsTime())
		require.Greater(t, apart, 50*time.Second, "a minute, but for the clocks of the two")
	}
}
