package attack_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A task that was stored incomplete, by a newer broker or by a hand in the database, can
// do nothing: what is empty, unknown or unreadable grants nothing, and a pattern that
// stands where a name belongs matches nothing.
func TestAttack30_StoredGaps(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
	b.Put(t, "things", "alice", canary)
	const grants, tasks = `UPDATE grants SET `, `UPDATE tasks SET `
	cases := map[string]string{
		"no severity":              grants + `max_severity = 0`,
		"an unknown severity":      grants + `max_severity = 99`,
		"a severity below all":     grants + `max_severity = -1`,
		"no tools":                 grants + `tools = '[]'`,
		"tools of nothing":         grants + `tools = ''`,
		"tools that are null":      grants + `tools = 'null'`,
		"every tool":               grants + `tools = '["*"]'`,
		"a pattern of tools":       grants + `tools = '["things.*"]'`,
		"an empty tool":            grants + `tools = '[""]'`,
		"no resources":             grants + `resources = '[]'`,
		"resources of nothing":     grants + `resources = ''`,
		"resources that are null":  grants + `resources = 'null'`,
		"every resource":           grants + `resources = '["*"]'`,
		"every type":               grants + `resources = '["*:*"]'`,
		"an empty resource":        grants + `resources = '[""]'`,
		"limits that are no limit": grants + `limits = 'none'`,
		"a limit below nothing":    grants + `limits = '{"calls":-1}'`,
		"every connector":          grants + `connector = '*'`,
		"no connector":             grants + `connector = ''`,
		"no revision":              grants + `revision = 0`,
		"an unknown revision":      grants + `revision = 99`,
		"an end long ago":          grants + `expires_us = 1`,
		"no grant":                 `DELETE FROM grants`,
		"not approved":             tasks + `state = 'PENDING'`,
		"no end":                   tasks + `expires_us = 0`,
		"no sandbox":               tasks + `sandbox = ''`,
		"a domain of sandboxes":    tasks + `sandbox = 'spiffe://site.test'`,
		"a sandbox and all below":  tasks + `sandbox = 'spiffe://site.test/sandbox/*'`,
	}
	whole := b.Mint(t, nil, readThings)
	keys := map[string]string{}
	var statements []string
	for name, statement := range cases {
		task := b.Mint(t, nil, readThings)
		keys[name] = task.Key
		where := ` WHERE task_id = '`
		if statement[:len(tasks)] == tasks {
			where = ` WHERE id = '`
		}
		statements = append(statements, statement+where+task.ID+`'`)
	}
	require.NoError(t, b.Stop())
	rewrite(t, site, statements...)
	b = site.Start(t)
	get := map[string]string{"id": "1"}
	for name, key := range keys {
		_, err := b.Client(t, testenv.Sandbox, key).Invoke(t.Context(), "things", "things.get", get)
		require.Error(t, err, name)
		require.Zero(t, upstream.Requests(), name)
	}
	_, err := b.Client(t, testenv.Sandbox, whole.Key).Invoke(t.Context(), "things", "things.get", get)
	require.NoError(t, err, "or all this would say nothing")

	// And what was granted on a connector that is withdrawn is granted no more.
	_, err = b.Client(t, testenv.Operator, "").Connectors().Delete(t.Context(), &onedoorv1.ConnectorsDeleteRequest{Name: "things"})
	require.NoError(t, err)
	_, err = b.Client(t, testenv.Sandbox, whole.Key).Invoke(t.Context(), "things", "things.get", get)
	require.Error(t, err)
	require.Equal(t, 1, upstream.Requests())
}
