package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// born is a child of parent that is not stored yet.
func born(t *testing.T, parent mint.Minted, change ...func(*mint.Minted)) mint.Minted {
	t.Helper()
	m := parent
	m.Task.ID, m.Task.KeyID, m.KeyDigest = id(), id(), []byte(id())
	m.Grants = []grant.Grant{aGrant(t)}
	child(parent)(&m)
	for _, c := range change {
		c(&m)
	}
	return m
}

func delegations(t *testing.T, b Backend) {
	ctx := t.Context()
	root := aTask(t, b, here)
	left := aTask(t, b, here, child(root))
	leaf := aTask(t, b, here, child(left))
	require.Len(t, leaf.Task.Above, 2)
	got, grants, err := b.Tasks.Task(ctx, here, leaf.Task.ID)
	require.NoError(t, err)
	require.Equal(t, leaf.Task, got, "the chain with it")
	require.Equal(t, leaf.Grants, grants)
	found, err := b.Tasks.TaskByKey(ctx, [][]byte{leaf.KeyDigest})
	require.NoError(t, err)
	require.Equal(t, leaf.Task.Above, found.Task.Above)

	aTask(t, b, here, func(m *mint.Minted) { m.Task.CreatedBy = "spiffe://example.org/other" })
	for name, c := range map[string]struct {
		filter mint.Filter
		want   int
	}{
		"the tree":                   {mint.Filter{Workspace: here, RootID: root.Task.ID}, 3},
		"of its orchestrator":        {mint.Filter{Workspace: here, RootID: root.Task.ID, CreatedBy: root.Task.CreatedBy}, 3},
		"of another orchestrator":    {mint.Filter{Workspace: here, RootID: root.Task.ID, CreatedBy: "spiffe://example.org/other"}, 0},
		"a child is no root":         {mint.Filter{Workspace: here, RootID: left.Task.ID}, 0},
		"from another workspace":     {mint.Filter{Workspace: there, RootID: root.Task.ID}, 0},
		"none is live after its end": {mint.Filter{Workspace: here, RootID: root.Task.ID, LiveAt: later}, 0},
	} {
		c.filter.Limit = 10
		listed, err := b.Tasks.Tasks(ctx, c.filter)
		require.NoError(t, err, name)
		require.Len(t, listed, c.want, name)
	}

	tree, err := b.Tasks.EndTask(ctx, here, left.Task.ID, task.Revoked, noon)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{left.Task.ID, leaf.Task.ID}, tree)
	tree, err = b.Tasks.EndTask(ctx, here, left.Task.ID, task.Ended, noon)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{left.Task.ID, leaf.Task.ID}, tree, "also of those that had ended before")
	delegationsRefused(t, b, root, left)
}

// delegationsRefused: a child that does not follow from its parent is not stored, nor
// any part of it.
func delegationsRefused(t *testing.T, b Backend, root, ended mint.Minted) {
	ctx := t.Context()
	tight := aTask(t, b, here, limited(grant.Limits{Calls: 1}))
	other := aTask(t, b, here)
	bounds := func(bounds mint.Bounds) func(*mint.Minted) {
		return func(m *mint.Minted) { m.Delegation.Bounds = bounds }
	}
	countFrom := func(at time.Time) func(*mint.Minted) {
		return func(m *mint.Minted) { m.Delegation.CountFrom = at }
	}
	for name, c := range map[string]struct {
		child mint.Minted
		want  error
	}{
		"a parent that ended":    {born(t, ended), mint.ErrParentEnded},
		"a longer life":          {born(t, root, func(m *mint.Minted) { m.Task.ExpiresAt = later.Add(time.Millisecond) }), mint.ErrParentEnded},
		"born after its end":     {born(t, root, func(m *mint.Minted) { m.Task.CreatedAt = later }), mint.ErrParentEnded},
		"no delegation":          {born(t, root, func(m *mint.Minted) { m.Delegation = nil }), store.ErrConflict},
		"another user":           {born(t, root, func(m *mint.Minted) { m.Task.User = other.Task.User }), store.ErrConflict},
		"a chain left out":       {born(t, root, func(m *mint.Minted) { m.Task.Above = nil }), store.ErrConflict},
		"a chain made up":        {born(t, root, func(m *mint.Minted) { m.Task.Above = []task.Ancestor{{TaskID: root.Task.ID, Agent: "x"}} }), store.ErrConflict},
		"a grant of nobody":      {born(t, root, func(m *mint.Minted) { m.Delegation.Within[0] = id() }), store.ErrConflict},
		"a grant of another":     {born(t, root, func(m *mint.Minted) { m.Delegation.Within[0] = other.Grants[0].ID }), store.ErrConflict},
		"a grant that lies in 0": {born(t, root, func(m *mint.Minted) { m.Delegation.Within = nil }), store.ErrConflict},
		"no limit under one":     {born(t, tight), store.ErrConflict},
		"no child allowed":       {born(t, root, bounds(mint.Bounds{})), mint.ErrTooManyChildren},
		"a full tree":            {born(t, root, bounds(mint.Bounds{Children: 9, Tree: 1})), mint.ErrTreeFull},
		"minted too fast":        {born(t, root, bounds(mint.Bounds{Children: 9, Tree: 2}), countFrom(noon.Add(-time.Microsecond))), mint.ErrTreeTooFast},
		"a root with a chain":    {born(t, root, func(m *mint.Minted) { m.Task.ParentID, m.Task.RootID, m.Task.Depth = "", m.Task.ID, 0 }), store.ErrConflict},
	} {
		require.ErrorIs(t, b.Tasks.CreateTask(ctx, c.child), c.want, name)
		_, _, err := b.Tasks.Task(ctx, here, c.child.Task.ID)
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
	require.NoError(t, b.Tasks.CreateTask(ctx, born(t, root, bounds(mint.Bounds{Children: 1, Tree: 2}))), "what has ended is not counted, once it was not minted of late")
	require.ErrorIs(t, b.Tasks.CreateTask(ctx, born(t, root, bounds(mint.Bounds{Children: 1, Tree: 9}))), mint.ErrTooManyChildren)
	require.NoError(t, b.Tasks.CreateTask(ctx, born(t, other, bounds(mint.Bounds{Children: 1, Tree: 2}))), "each tree is counted by itself")
}

// delegationsInParallel: however many are minted at once, the bounds hold.
func delegationsInParallel(t *testing.T, b Backend) {
	const most, tries = 5, 20
	root := aTask(t, b, here)
	children := make([]mint.Minted, tries)
	for i := range children {
		children[i] = born(t, root, func(m *mint.Minted) { m.Delegation.Bounds = mint.Bounds{Children: most, Tree: 99} })
	}
	errs := parallel(tries, func(i int) error { return b.Tasks.CreateTask(context.WithoutCancel(t.Context()), children[i]) })
	for _, err := range errs {
		if err != nil && !errors.Is(err, mint.ErrTooManyChildren) {
			require.ErrorIs(t, err, store.ErrUnavailable, "too much contention is the only other way to fail")
		}
	}
	listed, err := b.Tasks.Tasks(t.Context(), mint.Filter{Workspace: here, RootID: root.Task.ID, Limit: 99})
	require.NoError(t, err)
	require.Len(t, listed, 1+tries-failures(errs))
	require.LessOrEqual(t, len(listed)-1, most)
	require.Greater(t, len(listed), 1)
}

// delegatedCounters: what a child uses is used of its parent as well, and of the root.
func delegatedCounters(t *testing.T, b Backend) {
	root := aTask(t, b, here, limited(grant.Limits{Calls: 5, Bytes: 100}))
	left := aTask(t, b, here, limited(grant.Limits{Calls: 4, Bytes: 100, Rows: 7}), child(root))
	right := aTask(t, b, here, limited(grant.Limits{Calls: 5, Bytes: 50}), child(root))
	leaf := aTask(t, b, here, limited(grant.Limits{Calls: 4, Bytes: 60, Rows: 7}), child(left))
	free := aTask(t, b, here)
	own := aTask(t, b, here, limited(grant.Limits{Calls: 2}), child(free))

	take := func(m mint.Minted, amount grant.Limits, want bool) {
		t.Helper()
		write(t, b, func(ctx context.Context, tx audit.Tx) {
			ok, err := tx.Reserve(ctx, ref(m), m.Grants[0].ID, amount)
			require.NoError(t, err)
			require.Equal(t, want, ok)
		})
	}
	remains := func(m mint.Minted, want grant.Limits) {
		t.Helper()
		want.Tokens, want.MicroUSD = -1, -1
		write(t, b, func(ctx context.Context, tx audit.Tx) {
			got, err := tx.Remaining(ctx, ref(m), m.Grants[0].ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	take(leaf, grant.Limits{Calls: 2, Bytes: 60, Rows: 3}, true)
	remains(leaf, grant.Limits{Calls: 2, Bytes: 0, Rows: 4})
	remains(left, grant.Limits{Calls: 2, Bytes: 40, Rows: 4})
	remains(root, grant.Limits{Calls: 3, Bytes: 40, Rows: -1})
	remains(right, grant.Limits{Calls: 3, Bytes: 40, Rows: -1})
	take(right, grant.Limits{Calls: 2, Bytes: 41}, false)
	remains(right, grant.Limits{Calls: 3, Bytes: 40, Rows: -1})
	take(right, grant.Limits{Calls: 3, Bytes: 40}, true)
	remains(leaf, grant.Limits{Rows: 4})
	take(leaf, grant.Limits{Calls: 1}, false)

	write(t, b, func(ctx context.Context, tx audit.Tx) {
		require.NoError(t, tx.Settle(ctx, ref(leaf), leaf.Grants[0].ID, grant.Limits{Calls: -1, Bytes: -10}))
	})
	remains(root, grant.Limits{Calls: 1, Bytes: 10, Rows: -1})
	remains(right, grant.Limits{Calls: 1, Bytes: 10, Rows: -1})
	remains(leaf, grant.Limits{Calls: 1, Bytes: 10, Rows: 4})

	take(own, grant.Limits{Calls: 2}, true)
	take(own, grant.Limits{Calls: 1}, false)
	err := b.Audit.Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
		_, err := tx.Reserve(ctx, audit.TaskRef{Workspace: there, TaskID: own.Task.ID}, own.Grants[0].ID, grant.Limits{})
		return err
	})
	require.ErrorIs(t, err, store.ErrNotFound, "another workspace")
}

// delegatedCountersInParallel: whoever of a tree calls at once, all of it together stays
// within the root's limit.
func delegatedCountersInParallel(t *testing.T, b Backend) {
	const limit = 10
	root := aTask(t, b, here, limited(grant.Limits{Calls: limit}))
	tasks := []mint.Minted{root}
	for range 2 {
		c := aTask(t, b, here, limited(grant.Limits{Calls: 8}), child(root))
		tasks = append(tasks, c, aTask(t, b, here, limited(grant.Limits{Calls: 8}), child(c)))
	}
	taken, _ := takeAtOnce(t, b, 30, func(i int) mint.Minted { return tasks[i%len(tasks)] })
	require.LessOrEqual(t, taken, int64(limit))
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		left, err := tx.Remaining(ctx, ref(root), root.Grants[0].ID)
		require.NoError(t, err)
		require.Equal(t, limit-taken, left.Calls)
	})
}

// delegatedUsage: what is asked of a task is asked of what it delegated to as well.
func delegatedUsage(t *testing.T, b Backend) {
	root := aTask(t, b, here)
	left := aTask(t, b, here, child(root))
	leaf, right := aTask(t, b, here, child(left)), aTask(t, b, here, child(root))
	stranger := aTask(t, b, here)
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		for _, m := range []mint.Minted{root, left, leaf, right, stranger} {
			require.NoError(t, tx.AddUsage(ctx, used(here, root.Task.User.ID, "agent", m.Task.ID, "m-1", noon)))
		}
	})
	for m, want := range map[*mint.Minted]int64{&root: 4, &left: 2, &leaf: 1, &right: 1, &stranger: 1} {
		sums, err := b.Audit.Usage(t.Context(), audit.UsageQuery{Workspace: here, TaskID: m.Task.ID, Until: later, Limit: 9})
		require.NoError(t, err)
		require.Equal(t, want, sums[0].Calls)
	}
	sums, err := b.Audit.Usage(t.Context(), audit.UsageQuery{Workspace: there, TaskID: root.Task.ID, Until: later, Limit: 9})
	require.NoError(t, err)
	require.Empty(t, sums)
	sums, err = b.Audit.Usage(t.Context(), audit.UsageQuery{Workspace: here, TaskID: root.Task.ID, Until: later, Limit: 9, By: audit.UsageGroups{Task: true}})
	require.NoError(t, err)
	require.Len(t, sums, 4, "each by itself, where that is asked")
}
