package api_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// TestActsSayWhoseWordTheUserIs: a name says that it was asserted, a token says
// nothing yet and is never recorded.
func TestActsSayWhoseWordTheUserIs(t *testing.T) {
	put := func(user, issuer string) *onedoorv1.CredentialsPutRequest {
		return &onedoorv1.CredentialsPutRequest{Connector: "crm", Issuer: issuer, Owner: &onedoorv1.CredentialsPutRequest_User{User: user}, Secret: []byte("canary")}
	}
	for name, c := range map[string]struct {
		path, method string
		request      any
		want         []string
	}{
		"by name": {"/orchestrator", "/onedoor.v1.Tasks/Create", &onedoorv1.TasksCreateRequest{Agent: "a", User: "alice", Sandbox: "s", Grants: []string{"g"}},
			[]string{"agent:a", "user:alice (asserted)", "sandbox:s", "g"}},
		"by token": {"/orchestrator", "/onedoor.v1.Tasks/Create", &onedoorv1.TasksCreateRequest{Agent: "a", IdToken: "canary", IdTokenNonce: "canary", Sandbox: "s"},
			[]string{"agent:a", "user by id token", "sandbox:s"}},
		"credential of a local user":    {"/operator", "/onedoor.v1.Credentials/Put", put("alice", ""), []string{"connector:crm", "user:alice (local)"}},
		"credential of an issuer's one": {"/operator", "/onedoor.v1.Credentials/Put", put("8f2c", "https://idp.example"), []string{"connector:crm", "user:8f2c (https://idp.example)"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			require.NoError(t, w.send(as(spiffe(c.path)), c.method, c.request, func(context.Context) error { return nil }))
			require.Len(t, w.trail.admin, 1)
			require.Equal(t, c.want, w.trail.admin[0].Resources)
			require.NotContains(t, fmt.Sprintf("%+v", w.trail), "canary")
		})
	}
}
