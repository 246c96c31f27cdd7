package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestDelegation: a task hands a part of what it may do to a sub-agent, over REST; the
// sub-agent does that part and no more, at another broker; its upstream is told of both
// agents; and everybody who looks sees one tree.
func TestDelegation(t *testing.T) {
	assertions := make(chan string, 4)
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertions <- r.Header.Get("X-Onedoor-Jwt-Assertion")
		_, _ = w.Write([]byte(`{}`))
	}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	signing := testenv.Signing(time.Hour, time.Hour, time.Hour)
	here, there := site.Start(t, signing), site.Start(t, signing)
	here.Apply(t, strings.Replace(upstream.Manifest("things", "", testenv.Things), "tools:\n", "assertion: {audience: https://things.internal}\ntools:\n", 1))
	root := here.Mint(t, here.DelegatesToSandbox2, "things: things.get,things.find READ thing:* calls=10", "things: things.make WRITE thing:*")

	body := `{"agent":"searcher","sandbox":"` + here.SPIFFEID(testenv.Sandbox2) + `","ttl":"60s","grants":["things: things.g* READ thing:1 calls=2"]}`
	answer := here.REST(t, testenv.Sandbox, root.Key).Do(t, http.MethodPost, "/v1/task:delegate", body)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	var made struct{ TaskKey, TaskID, KeyID, ExpiresAt string }
	require.NoError(t, json.Unmarshal([]byte(strings.NewReplacer("taskId", "taskID", "keyId", "keyID").Replace(answer.Body)), &made))
	require.NotContains(t, here.Log(), made.TaskKey)

	child := there.Client(t, testenv.Sandbox2, made.TaskKey)
	own, err := child.Task(t.Context())
	require.NoError(t, err)
	require.Equal(t, []any{made.TaskID, root.ID, root.ID, int32(1), "searcher", "alice"},
		[]any{own.GetId(), own.GetParentId(), own.GetRootId(), own.GetDepth(), own.GetAgent(), own.GetUserSubject()})
	require.Equal(t, []string{"things.get"}, own.GetGrants()[0].GetTools())
	tools, err := child.Tools(t.Context())
	require.NoError(t, err)
	require.Len(t, tools, 1)
	get := map[string]string{"id": "1"}
	for range 2 {
		_, err = child.Invoke(t.Context(), "things", "things.get", get)
		require.NoError(t, err)
	}
	_, err = child.Invoke(t.Context(), "things", "things.get", get)
	require.ErrorIs(t, err, client.LimitReached, "its own limit")
	_, err = child.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
	require.ErrorIs(t, err, client.GrantMissing)
	require.Equal(t, map[string]any{"sub": "searcher", "sub_profile": "ai_agent", "act": map[string]any{"sub": "tester", "sub_profile": "ai_agent"}}, actOf(t, <-assertions))

	shown := here.CLI(t, testenv.Orchestrator, "", "task", "get", root.ID)
	require.Zero(t, shown.Code, shown.Stderr)
	require.Contains(t, shown.Stdout, "TREE")
	require.Contains(t, shown.Stdout, "  "+made.TaskID)
	trail := here.CLI(t, testenv.Operator, "", "audit", "list", "--task", made.TaskID)
	require.Contains(t, trail.Stdout, "searcher < tester @ ")
	require.NotContains(t, here.Log()+there.Log()+trail.Stdout, made.TaskKey)

	ended := here.CLI(t, testenv.Orchestrator, "", "task", "revoke", root.ID)
	require.Zero(t, ended.Code, ended.Stderr)
	testenv.Eventually(t, "the child's end at the other broker", func() bool {
		_, err := child.Task(t.Context())
		return client.ReasonOf(err) == client.TaskEnded
	})
	require.Empty(t, here.Tree(t, root.ID, true))
}

// TestDelegationInDepth: three below the root, each narrower, and none more; each ends no
// later than the one above.
func TestDelegationInDepth(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	at := map[bool]testenv.Role{true: testenv.Sandbox, false: testenv.Sandbox2}
	both := []string{b.SPIFFEID(testenv.Sandbox), b.SPIFFEID(testenv.Sandbox2)}
	parent := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Delegates = both }, "crm: contacts.* READ contact:* calls=9")
	root, first := parent, true
	for depth, grants := range []string{
		"crm: contacts.get READ contact:* calls=9", "crm: contacts.get READ contact:* calls=6", "crm: contacts.get READ contact:1 calls=3", "crm: contacts.get READ contact:1 calls=3",
	} {
		r := b.Delegation(grants)
		r.Sandbox, r.Delegates, r.Ttl = b.SPIFFEID(at[!first]), both, durationpb.New(time.Minute)
		if depth > 0 {
			r.Ttl = nil
		}
		next, err := testenv.TryDelegate(t, b.Client(t, at[first], parent.Key), r)
		require.NoError(t, err)
		parent, first = next, !first
	}
	_, err := testenv.TryDelegate(t, b.Client(t, at[first], parent.Key), b.Delegation("crm: contacts.get READ contact:1 calls=1"))
	require.ErrorIs(t, err, client.LimitReached)
	leaf := b.Client(t, at[first], parent.Key)
	for range 3 {
		_, err = leaf.Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"})
		require.NoError(t, err)
	}
	_, err = leaf.Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"})
	require.ErrorIs(t, err, client.LimitReached)
	tree := b.Tree(t, root.ID, true)
	require.Len(t, tree, 5)
	for i := 1; i < len(tree); i++ {
		require.False(t, tree[i-1].GetExpiresAt().AsTime().After(tree[i].GetExpiresAt().AsTime()), "the deeper, the newer")
	}
	own := b.Client(t, testenv.Sandbox, root.Key)
	for range 6 {
		_, err = own.Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"})
		require.NoError(t, err)
	}
	_, err = own.Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"})
	require.ErrorIs(t, err, client.LimitReached, "three of the nine were used below")
}

// actOf is the chain of actors that an assertion names.
func actOf(t *testing.T, token string) (act map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims struct {
		Act map[string]any `json:"act"`
	}
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims.Act
}
