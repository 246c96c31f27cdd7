package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// Two users, and one of the same name in another workspace, call the same tool of the same
// connector at once, while one of them gets a new credential: each call bears its own
// user's, over its own connections, and those with the old one are closed.
func TestAttack19_TwoUsers(t *testing.T) {
	t.Parallel()
	who := map[string]string{"Bearer a1": "alice", "Bearer a2": "alice", "Bearer b1": "bob", "Bearer o1": "the other alice"}
	var mu sync.Mutex
	byConnection := map[string]map[string]bool{}
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential := r.Header.Get("Authorization")
		mu.Lock()
		if byConnection[r.RemoteAddr] == nil {
			byConnection[r.RemoteAddr] = map[string]bool{}
		}
		byConnection[r.RemoteAddr][credential] = true
		mu.Unlock()
		_, _ = fmt.Fprint(w, who[credential])
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
	b.Put(t, "things", "alice", "a1")
	b.Put(t, "things", "bob", "b1")
	operator := b.Client(t, testenv.Operator, "")
	_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Workspace: "other", Manifest: upstream.Manifest("things", bearer, testenv.Things)})
	require.NoError(t, err)
	_, err = operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
		Workspace: "other", Connector: "things", Secret: []byte("o1"), Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"},
	})
	require.NoError(t, err)
	var load sync.WaitGroup
	const each = 300
	for _, user := range []string{"alice", "bob", "the other alice"} {
		task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) {
			if r.User = user; user == "the other alice" {
				r.User, r.Workspace = "alice", "other"
			}
		}, readThings)
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		for range 4 {
			load.Go(func() {
				for range each {
					answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
					if err != nil || string(answer.Body) != user {
						t.Errorf("%s's call: %v, answered as somebody else's: %v", user, err, err == nil)
						return
					}
				}
			})
		}
	}
	testenv.Eventually(t, "a call with the old one", func() bool { return strings.Contains(upstream.Wire(), "Bearer a1") })
	b.Put(t, "things", "alice", "a2")
	load.Wait()
	old := map[string]bool{}
	for connection, credentials := range byConnection {
		if credentials["Bearer a1"] {
			old[connection] = true
		}
		require.Len(t, credentials, 1, "a connection bears one credential's version")
	}
	alice := b.Mint(t, nil, readThings)
	_, err = b.Client(t, testenv.Sandbox, alice.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	require.Contains(t, upstream.Wire(), "Bearer a2")
	require.NotEmpty(t, old)
	testenv.Eventually(t, "the end of the connections with the old one", func() bool {
		for _, connection := range upstream.Open() {
			if old[connection] {
				return false
			}
		}
		return true
	})
}

// A user without a credential gets nobody else's, and not the workspace's either.
func TestAttack19_NoFallback(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	bob := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.User = "bob" }, readThings)
	_, err := b.Client(t, testenv.Sandbox, bob.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.ErrorIs(t, err, client.CredentialMissing)
	_, err = b.Client(t, testenv.Operator, "").Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
		Connector: "things", Secret: []byte("w"), Owner: &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true},
	})
	require.ErrorIs(t, err, client.ArgumentInvalid, "the slot is the user's")
	require.Zero(t, upstream.Requests())
}

// A credential goes to the origin, and into the place, for which it was put. Whoever
// can edit a manifest cannot read it by pointing it at a host of theirs.
func TestAttack11_CredentialStaysWithItsOrigin(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	evil := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	before := b.Mint(t, nil, readThings)
	get := map[string]string{"id": "1"}
	for name, manifest := range map[string]string{
		"another origin": evil.Manifest("things", bearer, testenv.Things),
		"another header": upstream.Manifest("things", "{main: {owner: user, attach: {header: X-Token}}}", testenv.Things),
		"the query":      upstream.Manifest("things", "{main: {owner: user, attach: {query: token}}}", testenv.Things),
	} {
		t.Run(name, func(t *testing.T) {
			b.Apply(t, manifest)
			task := b.Mint(t, nil, readThings)
			_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", get)
			require.ErrorIs(t, err, client.CredentialMissing)
			require.Equal(t, []string{"CREDENTIAL_MISSING"}, reasons(b.Events(t, task.ID)))
		})
	}
	require.Zero(t, upstream.Requests()+evil.Requests())
	_, err := b.Client(t, testenv.Sandbox, before.Key).Invoke(t.Context(), "things", "things.get", get)
	require.NoError(t, err, "a running task stays on the revision that it was minted with")
	require.Zero(t, evil.Requests())
}
