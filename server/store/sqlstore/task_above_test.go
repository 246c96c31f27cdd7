package sqlstore_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/task"
)

// TestATaskBelowOneThatEndedHasEnded: a broker that dies while it ends a tree has ended the
// task that was named, and perhaps nothing below it.
func TestATaskBelowOneThatEndedHasEnded(t *testing.T) {
	for _, end := range []task.State{task.Ended, task.Revoked, task.Expired, ""} {
		s := migrated(t, sqliteURL(t))
		at := time.Now().UTC().Truncate(time.Microsecond)
		user, err := s.Tasks().EnsureUser(t.Context(), "w", "local", "ann", uuid.NewString(), at)
		require.NoError(t, err)
		pattern, err := grant.ParsePattern("contact:*")
		require.NoError(t, err)
		var line []mint.Minted // the root first
		for range 3 {
			g := grant.Grant{ID: uuid.NewString(), Connector: "crm", Revision: 1, Tools: []string{"get"}, MaxSeverity: grant.Read, Resources: []grant.Pattern{pattern}}
			m := mint.Minted{KeyDigest: []byte(uuid.NewString()), PepperID: "p", Grants: []grant.Grant{g}, Task: task.Task{
				Workspace: "w", ID: uuid.NewString(), Agent: "a", User: user, Sandbox: spiffeid.RequireFromString("spiffe://example.org/s"),
				State: task.Active, CreatedAt: at, ExpiresAt: at.Add(time.Hour), CreatedBy: "o", KeyID: uuid.NewString(),
			}}
			m.Task.RootID = m.Task.ID
			if n := len(line); n > 0 {
				p := &line[n-1]
				m.Task.ParentID, m.Task.RootID, m.Task.Depth = p.Task.ID, p.Task.RootID, n
				m.Task.Above = append([]task.Ancestor{{TaskID: p.Task.ID, Agent: "a"}}, p.Task.Above...)
				m.Delegation = &mint.Delegation{Within: []string{p.Grants[0].ID}, Bounds: mint.Bounds{Depth: 9, Children: 9, Tree: 9}, CountFrom: at}
			}
			require.NoError(t, s.Tasks().CreateTask(t.Context(), m))
			line = append(line, m)
		}
		want := task.Active
		if end != "" {
			_, err := sqlstore.Writer(s).ExecContext(t.Context(), "UPDATE tasks SET state = $1 WHERE id = $2", string(end), line[0].Task.ID)
			require.NoError(t, err)
			want = end
		}
		for depth, m := range line {
			found, err := s.Tasks().TaskByKey(t.Context(), [][]byte{m.KeyDigest})
			require.NoError(t, err)
			require.Equal(t, want, found.Task.State, "%s at depth %d", end, depth)
		}
	}
}
