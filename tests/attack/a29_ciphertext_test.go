package attack_test

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// Whoever can write into the database still cannot make the broker use a secret for
// what it was not sealed for.
func TestAttack29_CiphertextMoved(t *testing.T) {
	t.Parallel()
	evil := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for name, one := range map[string]struct {
		statements []string
		want       client.Reason
	}{
		"bob's into alice's row": {[]string{
			`CREATE TEMP TABLE b AS SELECT wrapped_dek, ciphertext, kek_id FROM credentials WHERE user_id <> (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
			`UPDATE credentials SET wrapped_dek = (SELECT wrapped_dek FROM b), ciphertext = (SELECT ciphertext FROM b), kek_id = (SELECT kek_id FROM b)`,
		}, client.Internal},
		"bob's ciphertext under alice's key": {[]string{
			`CREATE TEMP TABLE b AS SELECT ciphertext FROM credentials WHERE user_id <> (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
			`UPDATE credentials SET ciphertext = (SELECT ciphertext FROM b)`,
		}, client.Internal},
		"bob's whole row made alice's": {[]string{
			`DELETE FROM credentials WHERE user_id = (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
			`UPDATE credentials SET user_id = (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
		}, client.CredentialMissing},
		"bob's row made alice's, by its destination as well": {[]string{
			`DELETE FROM credentials WHERE user_id = (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
			`UPDATE credentials SET destination = replace(destination, user_id, (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice'))`,
			`UPDATE credentials SET user_id = (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
		}, client.Internal},
		"an older version": {[]string{`UPDATE credentials SET version = version + 1`}, client.Internal},
		"another credential of the same place": {[]string{
			`UPDATE credentials SET id = '00000000-0000-4000-8000-000000000029' WHERE user_id = (SELECT id FROM users WHERE workspace_id = 'default' AND subject = 'alice')`,
		}, client.Internal},
		"another kind": {[]string{`UPDATE credentials SET kind = 'header'`}, client.CredentialMissing},
		"one bit":      {[]string{`UPDATE credentials SET ciphertext = substr(ciphertext, 1, length(ciphertext) - 1) || x'00'`}, client.Internal},
		"another origin": {[]string{
			`UPDATE credentials SET destination = replace(destination, 'ORIGIN', 'EVIL'), origins = replace(origins, 'ORIGIN', 'EVIL')`,
			`UPDATE connector_revisions SET manifest = replace(manifest, 'ORIGIN', 'EVIL')`,
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			site := testenv.NewSite(t, "", 0)
			b := site.Start(t)
			b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
			b.Put(t, "things", "alice", canary)
			b.Put(t, "things", "bob", "of-bob")
			task := b.Mint(t, nil, readThings)
			require.NoError(t, b.Stop())
			var statements []string
			for _, statement := range one.statements {
				statements = append(statements, strings.NewReplacer("ORIGIN", upstream.Origin, "EVIL", evil.Origin).Replace(statement))
			}
			rewrite(t, site, statements...)

			b = site.Start(t)
			_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			require.Error(t, err)
			if one.want != "" {
				require.ErrorIs(t, err, one.want)
			}
			require.Zero(t, upstream.Requests(), "nothing was sent")
			testenv.Eventually(t, "the record", func() bool {
				events := b.ListEvents(t, &onedoorv1.AuditListRequest{TaskId: task.ID})
				return len(events) > 0 && (events[len(events)-1].GetOutcome() == "NOT_SENT" || events[len(events)-1].GetKind() == "REFUSAL")
			})
		})
	}
	require.Zero(t, evil.Requests())
}

// A tenant's credential does not open in another tenant's row, though everything else in
// the two rows is the same: connector, origin, slot, owner, id and version.
func TestAttack29_CiphertextOfAnotherTenant(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	operator := b.Client(t, testenv.Operator, "")
	for workspace, secret := range map[string]string{"default": canary, "other": "of-the-other"} {
		_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{
			Workspace: workspace, Manifest: upstream.Manifest("things", "{main: {owner: workspace, attach: bearer}}", testenv.Things),
		})
		require.NoError(t, err)
		_, err = operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
			Workspace: workspace, Connector: "things", Secret: []byte(secret), Owner: &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true},
		})
		require.NoError(t, err)
	}
	task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Workspace = "other" }, readThings)
	require.NoError(t, b.Stop())
	rewrite(t, site,
		`CREATE TEMP TABLE d AS SELECT id, wrapped_dek, ciphertext, kek_id FROM credentials WHERE workspace_id = 'default'`,
		`UPDATE credentials SET id = (SELECT id FROM d), wrapped_dek = (SELECT wrapped_dek FROM d), ciphertext = (SELECT ciphertext FROM d), kek_id = (SELECT kek_id FROM d)
			WHERE workspace_id = 'other'`,
	)
	b = site.Start(t)
	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.ErrorIs(t, err, client.Internal)
	require.Zero(t, upstream.Requests(), "nothing was sent")
}

// rewrite changes the SQLite database of a broker that has ended. Each statement but a
// CREATE must change something.
func rewrite(t *testing.T, site *testenv.Site, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(site.Store, "sqlite:"))
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		done, err := db.Exec(statement)
		require.NoError(t, err)
		if !strings.HasPrefix(statement, "CREATE") {
			changed, err := done.RowsAffected()
			require.NoError(t, err)
			require.NotZero(t, changed)
		}
	}
	require.NoError(t, db.Close())
}
