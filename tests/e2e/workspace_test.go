package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestWorkspaces: nothing of one workspace is seen, used or ended from the other, even
// by somebody who has a role in both.
func TestWorkspaces(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	task := b.Mint(t, nil, readContacts)
	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"})
	require.NoError(t, err)

	operator := b.Client(t, testenv.Operator, "")
	connectors, err := operator.Connectors().List(t.Context(), &onedoorv1.ConnectorsListRequest{Workspace: "other"})
	require.NoError(t, err)
	require.Empty(t, connectors.GetConnectors())
	credentials, err := operator.Credentials().List(t.Context(), &onedoorv1.CredentialsListRequest{Workspace: "other"})
	require.NoError(t, err)
	require.Empty(t, credentials.GetCredentials())
	require.Empty(t, b.ListEvents(t, &onedoorv1.AuditListRequest{Workspace: "other", TaskId: task.ID}))
	_, err = operator.Tasks().Get(t.Context(), &onedoorv1.TasksGetRequest{Workspace: "other", TaskId: task.ID})
	require.ErrorIs(t, err, client.TaskUnknown)
	_, err = operator.Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{Workspace: "other", TaskId: task.ID})
	require.ErrorIs(t, err, client.TaskUnknown)
	_, err = operator.Tasks().Get(t.Context(), &onedoorv1.TasksGetRequest{Workspace: "none", TaskId: task.ID})
	require.ErrorIs(t, err, client.CallerNotAllowed)

	said := b.CLI(t, testenv.Orchestrator, "", "--workspace-name", "other", "task", "create", "--agent", "a", "--user", "alice",
		"--sandbox", b.SPIFFEID(testenv.Sandbox), "--grant", readContacts, "--ttl", "1m")
	require.NotZero(t, said.Code, "crm is no connector of the other workspace")
	_, err = operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
		Workspace: "other", Connector: "crm", Secret: []byte("x"), Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"},
	})
	require.ErrorIs(t, err, client.ConnectorUnknown)

	manifest, err := operator.Connectors().Get(t.Context(), &onedoorv1.ConnectorsGetRequest{Name: "crm"})
	require.NoError(t, err)
	_, err = operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Workspace: "other", Manifest: manifest.GetManifest()})
	require.NoError(t, err)
	twin := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Workspace = "other" }, readContacts)
	_, err = b.Client(t, testenv.Sandbox, twin.Key).Invoke(t.Context(), "crm", "contacts.get", map[string]string{"id": "1"})
	require.ErrorIs(t, err, client.CredentialMissing, "alice's credential is that of the other alice")
}
