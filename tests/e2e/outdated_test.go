package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestOutdatedCredentialsAreTold: where another revision of the manifest wants something
// else, the list says so, and as soon as it fits again nothing is said any more.
func TestOutdatedCredentialsAreTold(t *testing.T) {
	t.Parallel()
	b := testenv.NewSite(t, "", 0).Start(t)
	u := testenv.NewUpstream(t, http.NotFoundHandler())
	fitting := u.Manifest("things", "{main: {owner: user, attach: bearer}}", testenv.Things)
	b.Apply(t, fitting)
	b.Put(t, "things", "alice", "canary-of-alice")
	operator := b.Client(t, testenv.Operator, "")
	state := func() onedoorv1.CredentialState {
		list, err := operator.Credentials().List(t.Context(), &onedoorv1.CredentialsListRequest{})
		require.NoError(t, err)
		require.Len(t, list.GetCredentials(), 1)
		return list.GetCredentials()[0].GetState()
	}
	const connected, outdated = onedoorv1.CredentialState_CREDENTIAL_STATE_CONNECTED, onedoorv1.CredentialState_CREDENTIAL_STATE_OUTDATED
	require.Equal(t, connected, state())
	old := b.Mint(t, nil, getThings)

	for name, other := range map[string]string{
		"another place": "{main: {owner: user, attach: {header: X-Key}}}", "another owner": "{main: {owner: workspace, attach: bearer}}",
		"another slot": "{second: {owner: user, attach: bearer}}", "none": "",
	} {
		t.Run(name, func(t *testing.T) {
			b.Apply(t, u.Manifest("things", other, testenv.Things))
			require.Equal(t, outdated, state())
			said := b.CLI(t, testenv.Operator, "", "credential", "list")
			require.Contains(t, said.Stdout, "OUTDATED: it was stored for another origin or attachment")
			b.Apply(t, fitting)
			require.Equal(t, connected, state())
		})
	}
	b.Apply(t, strings.Replace(fitting, "attach: bearer", "attach: {header: X-Key}", 1))
	_, err := b.Client(t, testenv.Sandbox, old.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err, "a task on the revision before goes on")
	_, err = b.Client(t, testenv.Sandbox, b.Mint(t, nil, getThings).Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.ErrorIs(t, err, client.CredentialMissing)

	_, err = operator.Connectors().Delete(t.Context(), &onedoorv1.ConnectorsDeleteRequest{Name: "things"})
	require.NoError(t, err)
	require.Equal(t, outdated, state())
}
