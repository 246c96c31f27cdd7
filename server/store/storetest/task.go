package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

func users(t *testing.T, b Backend) {
	ctx := t.Context()
	_, err := b.Tasks.FindUser(ctx, here, "local", "ann")
	require.ErrorIs(t, err, store.ErrNotFound)

	ids := make([]string, 16)
	errs := parallel(len(ids), func(i int) error {
		u, err := b.Tasks.EnsureUser(ctx, here, "local", "ann", id(), noon)
		ids[i] = u.ID
		return err
	})
	require.Zero(t, failures(errs), "%v", errs)
	require.Len(t, slices.Compact(slices.Clone(ids)), 1, "all got the same user")

	found, err := b.Tasks.FindUser(ctx, here, "local", "ann")
	require.NoError(t, err)
	require.Equal(t, task.User{ID: ids[0], Issuer: "local", Subject: "ann"}, found)

	for name, k := range map[string]struct{ workspace, issuer, subject string }{
		"other workspace": {there, "local", "ann"},
		"other issuer":    {here, "https://idp.example", "ann"},
		"other subject":   {here, "local", "Ann"},
	} {
		_, err := b.Tasks.FindUser(ctx, k.workspace, k.issuer, k.subject)
		require.ErrorIs(t, err, store.ErrNotFound, name)
		u, err := b.Tasks.EnsureUser(ctx, k.workspace, k.issuer, k.subject, id(), noon)
		require.NoError(t, err)
		require.NotEqual(t, ids[0], u.ID, name)
	}
}

func tasks(t *testing.T, b Backend) {
	ctx := t.Context()
	m := aTask(t, b, here, func(m *mint.Minted) {
		second := aGrant(t)
		second.Limits, second.ExpiresAt, second.Resources = grant.Limits{Calls: 5, MicroUSD: 7}, time.Time{}, second.Resources[:1]
		m.Grants = append(m.Grants, second)
		m.Task.Delegates = []string{"spiffe://example.org/sub/"}
		m.Task.ApprovedBy, m.Task.ApprovedDigest = "spiffe://example.org/operator", []byte{1, 0, 2}
	})

	gotTask, gotGrants, err := b.Tasks.Task(ctx, here, m.Task.ID)
	require.NoError(t, err)
	require.Equal(t, m.Task, gotTask)
	require.Equal(t, m.Grants, gotGrants)

	found, err := b.Tasks.TaskByKey(ctx, [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e"), m.KeyDigest})
	require.NoError(t, err)
	require.Equal(t, m.Task, found.Task)
	require.Equal(t, m.Grants, found.Grants)
	require.Equal(t, m.KeyDigest, found.KeyDigest)

	bare := aTask(t, b, here, func(m *mint.Minted) { m.Grants, m.Task.State = nil, task.Pending })
	found, err = b.Tasks.TaskByKey(ctx, [][]byte{bare.KeyDigest})
	require.NoError(t, err)
	require.Equal(t, bare.Task, found.Task)
	require.Empty(t, found.Grants)

	for name, digests := range map[string][][]byte{"none": nil, "empty": {{}}, "unknown": {[]byte("x")}, "a prefix": {m.KeyDigest[:8]}} {
		_, err := b.Tasks.TaskByKey(ctx, digests)
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
	_, _, err = b.Tasks.Task(ctx, there, m.Task.ID)
	require.ErrorIs(t, err, store.ErrNotFound)

	for name, change := range map[string]func(*mint.Minted){
		"the same id":     func(n *mint.Minted) { n.Task.ID, n.Task.RootID = m.Task.ID, m.Task.ID },
		"the same digest": func(n *mint.Minted) { n.KeyDigest = m.KeyDigest },
		"the same digest in another workspace": func(n *mint.Minted) {
			n.Task.Workspace, n.KeyDigest = there, m.KeyDigest
			n.Task.User, _ = b.Tasks.EnsureUser(ctx, there, "local", "ann", id(), noon)
		},
		"a root that is not its own": func(n *mint.Minted) { n.Task.RootID = m.Task.ID },
	} {
		n := m
		n.Task.ID, n.Task.KeyID, n.KeyDigest, n.Grants = id(), id(), []byte(id()), nil
		n.Task.RootID = n.Task.ID
		change(&n)
		require.ErrorIs(t, b.Tasks.CreateTask(ctx, n), store.ErrConflict, name)
		if n.Task.ID != m.Task.ID {
			_, _, err = b.Tasks.Task(ctx, n.Task.Workspace, n.Task.ID)
			require.ErrorIs(t, err, store.ErrNotFound, "%s: nothing of it stays", name)
		}
	}
	stranger := m
	stranger.Task.Workspace, stranger.Task.ID, stranger.Task.KeyID, stranger.KeyDigest = there, id(), id(), []byte(id())
	stranger.Task.RootID = stranger.Task.ID
	require.Error(t, b.Tasks.CreateTask(ctx, stranger), "a user of another workspace")

	errs := parallel(8, func(int) error {
		n := m
		n.Task.ID, n.Task.KeyID, n.KeyDigest, n.Grants = id(), id(), []byte("wanted by all"), nil
		n.Task.RootID = n.Task.ID
		return b.Tasks.CreateTask(context.WithoutCancel(ctx), n)
	})
	require.Equal(t, 7, failures(errs), "one key, one task: %v", errs)
}

func tasksListed(t *testing.T, b Backend) {
	ctx := t.Context()
	var want []string // newest first
	for i := range 7 {
		m := aTask(t, b, here, func(m *mint.Minted) {
			m.Task.CreatedAt = noon.Add(time.Duration(i/2) * time.Second) // pairs of one moment
			m.Task.CreatedBy = fmt.Sprintf("orchestrator %d", i%2)
			m.Task.ExpiresAt = noon.Add(time.Duration(i+1) * time.Minute)
			m.Grants = append(m.Grants, aGrant(t))
		})
		want = append(want, m.Task.ID)
	}
	other := aTask(t, b, there)

	var got []string
	page := mint.Filter{Workspace: here, Limit: 2}
	for {
		listed, err := b.Tasks.Tasks(ctx, page)
		require.NoError(t, err)
		if len(listed) == 0 {
			break
		}
		require.LessOrEqual(t, len(listed), 2)
		for _, l := range listed {
			require.Len(t, l.Grants, 2)
			if n := len(got); n > 0 {
				require.False(t, l.Task.CreatedAt.After(page.AfterTime) && !page.AfterTime.IsZero())
			}
			got = append(got, l.Task.ID)
			page.AfterTime, page.AfterID = l.Task.CreatedAt, l.Task.ID
		}
	}
	require.ElementsMatch(t, want, got, "every one once")
	require.NotContains(t, got, other.Task.ID)

	count := func(f mint.Filter) int {
		f.Workspace, f.Limit = here, 100
		listed, err := b.Tasks.Tasks(ctx, f)
		require.NoError(t, err)
		return len(listed)
	}
	require.Equal(t, 4, count(mint.Filter{CreatedBy: "orchestrator 0"}))
	require.Equal(t, 7, count(mint.Filter{LiveAt: noon}))
	require.Equal(t, 4, count(mint.Filter{LiveAt: noon.Add(3 * time.Minute)}), "a task is not live at its very end")
	require.NoError(t, end(ctx, b, here, want[6], task.Ended, noon))
	require.Equal(t, 6, count(mint.Filter{LiveAt: noon}))
	none, err := b.Tasks.Tasks(ctx, mint.Filter{Workspace: here})
	require.NoError(t, err)
	require.Empty(t, none, "no limit, nothing listed")
}

func taskTrees(t *testing.T, b Backend) {
	ctx := t.Context()
	root := aTask(t, b, here)
	left, right := aTask(t, b, here, child(root)), aTask(t, b, here, child(root))
	leaf := aTask(t, b, here, child(left))
	bystander := aTask(t, b, here)
	stateOf := func(m mint.Minted) task.State {
		k, _, err := b.Tasks.Task(ctx, here, m.Task.ID)
		require.NoError(t, err)
		require.Equal(t, k.State == task.Active, k.EndedAt.IsZero())
		return k.State
	}

	require.ErrorIs(t, end(ctx, b, there, left.Task.ID, task.Revoked, noon), store.ErrNotFound)
	require.ErrorIs(t, end(ctx, b, here, id(), task.Revoked, noon), store.ErrNotFound)
	require.Error(t, end(ctx, b, here, left.Task.ID, task.Active, noon), "no final state")
	require.Error(t, end(ctx, b, here, left.Task.ID, task.Revoked, time.Time{}), "no time")
	require.Equal(t, task.Active, stateOf(left))

	require.NoError(t, end(ctx, b, here, left.Task.ID, task.Revoked, noon))
	for m, want := range map[*mint.Minted]task.State{
		&root: task.Active, &left: task.Revoked, &leaf: task.Revoked, &right: task.Active, &bystander: task.Active,
	} {
		require.Equal(t, want, stateOf(*m))
	}
	changes, err := b.Feed.Changes(ctx, noon)
	require.NoError(t, err)
	require.ElementsMatch(t, []store.Change{
		{Workspace: here, Kind: store.TaskChanged, ID: left.Task.ID, At: noon},
		{Workspace: here, Kind: store.TaskChanged, ID: leaf.Task.ID, At: noon},
	}, changes)

	require.NoError(t, end(ctx, b, here, root.Task.ID, task.Ended, later))
	require.Equal(t, task.Revoked, stateOf(left), "what has ended stays as it is")
	require.Equal(t, task.Ended, stateOf(right))
	require.NoError(t, end(ctx, b, here, root.Task.ID, task.Revoked, later))
	require.Equal(t, task.Ended, stateOf(root))

	for name, change := range map[string]func(*mint.Minted){
		"an unknown parent":  func(m *mint.Minted) { child(bystander)(m); m.Task.ParentID = id() },
		"a wrong root":       func(m *mint.Minted) { child(bystander)(m); m.Task.RootID = root.Task.ID },
		"a wrong depth":      func(m *mint.Minted) { child(bystander)(m); m.Task.Depth = 2 },
		"a foreign parent":   func(m *mint.Minted) { child(aTask(t, b, there))(m) },
		"a depth of a child": func(m *mint.Minted) { m.Task.Depth = 1 },
	} {
		m := bystander
		m.Task.ID, m.Task.KeyID, m.KeyDigest, m.Grants = id(), id(), []byte(id()), nil
		m.Task.RootID = m.Task.ID
		change(&m)
		require.ErrorIs(t, b.Tasks.CreateTask(ctx, m), store.ErrConflict, name)
	}
	endWhileBorn(t, b)
}

// endWhileBorn: a child that is minted while its parent ends is either ended too or
// not born.
func endWhileBorn(t *testing.T, b Backend) {
	ctx := t.Context()
	for range 5 {
		parent := aTask(t, b, here)
		born := parent
		born.Task.ID, born.Task.KeyID, born.KeyDigest, born.Grants = id(), id(), []byte(id()), nil
		child(parent)(&born)
		errs := parallel(2, func(i int) error {
			if i == 0 {
				return end(ctx, b, here, parent.Task.ID, task.Revoked, noon)
			}
			return b.Tasks.CreateTask(ctx, born)
		})
		require.NoError(t, errs[0])
		if errs[1] != nil {
			require.ErrorIs(t, errs[1], mint.ErrParentEnded)
			continue
		}
		k, _, err := b.Tasks.Task(ctx, here, born.Task.ID)
		require.NoError(t, err)
		require.Equal(t, task.Revoked, k.State)
	}
}

func liveTasks(t *testing.T, b Backend) {
	ctx := t.Context()
	want := map[audit.TaskRef]bool{}
	var asked []audit.TaskRef
	for i := range 40 {
		m := aTask(t, b, []string{here, there}[i%2], func(m *mint.Minted) { m.Grants = nil })
		asked = append(asked, ref(m))
		want[ref(m)] = true
	}
	ended := aTask(t, b, here)
	require.NoError(t, end(ctx, b, here, ended.Task.ID, task.Ended, noon))
	pending := aTask(t, b, here, func(m *mint.Minted) { m.Task.State = task.Pending })
	expired := aTask(t, b, here, func(m *mint.Minted) { m.Task.ExpiresAt = noon })
	swapped := audit.TaskRef{Workspace: there, TaskID: asked[0].TaskID}
	asked = append(asked, ref(ended), ref(pending), ref(expired), swapped, audit.TaskRef{Workspace: here, TaskID: id()})
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		live, err := tx.LiveTasks(ctx, asked, noon)
		require.NoError(t, err)
		require.Equal(t, want, live)
		live, err = tx.LiveTasks(ctx, nil, noon)
		require.NoError(t, err)
		require.Empty(t, live)
	})
}
