package mint_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

func another() authn.Identity {
	return orchestrator(func(o *authn.Orchestrator) { o.ID = id("spiffe://example.org/other-orchestrator") })
}

func elsewhere() authn.Identity {
	return authn.Identity{Role: authn.OperatorRole, Workspace: "other"}
}

func TestWhoSeesATask(t *testing.T) {
	b := newBench(t)
	made := b.create(t, request())
	cases := map[string]struct {
		by   authn.Identity
		id   string
		sees bool
	}{
		"its orchestrator":             {orchestrator(), made.Task.ID, true},
		"an operator":                  {operator(), made.Task.ID, true},
		"another orchestrator":         {another(), made.Task.ID, false},
		"another workspace's operator": {elsewhere(), made.Task.ID, false},
		"no such task":                 {operator(), "nobody", false},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			got, grants, err := b.Get(t.Context(), k.by, k.id)
			list, lerr := b.List(t.Context(), k.by, mint.Listing{Limit: 10})
			require.NoError(t, lerr)
			if k.sees {
				require.NoError(t, err)
				require.Equal(t, made.Task, got)
				require.Equal(t, made.Grants, grants)
				require.Equal(t, []mint.Listed{{Task: made.Task, Grants: made.Grants}}, list)
				return
			}
			require.True(t, fault.Is(err, fault.TaskUnknown), "whether it exists is not told: %v", err)
			if k.id == made.Task.ID {
				require.Empty(t, list)
			}
			_, _, err = b.Revoke(t.Context(), k.by, k.id)
			require.True(t, fault.Is(err, fault.TaskUnknown), "%v", err)
			require.Empty(t, b.forgotten)
			got, _, err = b.Get(t.Context(), operator(), made.Task.ID)
			require.NoError(t, err)
			require.Equal(t, task.Active, got.State, "nobody else ends it")
		})
	}
}

func TestRevoke(t *testing.T) {
	for name, k := range map[string]struct {
		by    authn.Identity
		state task.State
	}{
		"by its orchestrator": {orchestrator(), task.Ended},
		"by an operator":      {operator(), task.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			made := b.create(t, request())
			other := b.create(t, request())
			b.now = noon.Add(time.Minute)
			ended, grants, err := b.Revoke(t.Context(), k.by, made.Task.ID)
			require.NoError(t, err)
			require.Equal(t, k.state, ended.State)
			require.Equal(t, b.now, ended.EndedAt)
			require.Equal(t, made.Grants, grants)
			require.Equal(t, []string{workspace + " " + made.Task.ID}, b.forgotten, "this broker forgets before it answers")
			changes, err := b.store.Feed().Changes(t.Context(), noon)
			require.NoError(t, err)
			require.Contains(t, changes, store.Change{Workspace: workspace, Kind: store.TaskChanged, ID: made.Task.ID, At: b.now})

			b.now = noon.Add(2 * time.Minute)
			for _, by := range []authn.Identity{orchestrator(), operator()} {
				again, _, err := b.Revoke(t.Context(), by, made.Task.ID)
				require.NoError(t, err)
				require.Equal(t, ended, again, "what has ended stays as it is")
			}
			got, _, err := b.Get(t.Context(), operator(), other.Task.ID)
			require.NoError(t, err)
			require.Equal(t, task.Active, got.State)
			live, err := b.List(t.Context(), operator(), mint.Listing{ActiveOnly: true, Limit: 10})
			require.NoError(t, err)
			require.Len(t, live, 1)
			require.Equal(t, other.Task.ID, live[0].Task.ID)
		})
	}
}

func TestRevokeThatFails(t *testing.T) {
	b := newBench(t)
	made := b.create(t, request())
	b.watched.fail = store.ErrUnavailable
	_, _, err := b.Revoke(t.Context(), operator(), made.Task.ID)
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	_, err = b.List(t.Context(), operator(), mint.Listing{Limit: 10})
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	b.watched.fail = errors.New("canary")
	_, _, err = b.Revoke(t.Context(), operator(), made.Task.ID)
	require.True(t, fault.Is(err, fault.Internal), "%v", err)
	require.NotContains(t, err.Error(), "canary")
}

func TestListLeavesOutWhatHasExpired(t *testing.T) {
	b := newBench(t)
	short := request()
	short.TTL = time.Minute
	b.create(t, short)
	long := b.create(t, request())
	b.now = noon.Add(time.Minute)
	list, err := b.List(t.Context(), orchestrator(), mint.Listing{ActiveOnly: true, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, long.Task.ID, list[0].Task.ID)
	list, err = b.List(t.Context(), orchestrator(), mint.Listing{Limit: 1})
	require.NoError(t, err)
	require.Len(t, list, 1, "no more than asked for")
	rest, err := b.List(t.Context(), orchestrator(), mint.Listing{Limit: 10, AfterTime: list[0].Task.CreatedAt, AfterID: list[0].Task.ID})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.NotEqual(t, list[0].Task.ID, rest[0].Task.ID)
}
