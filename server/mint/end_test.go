package mint_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// family is a tree of root, left and right below it, and a leaf below left.
type family struct{ root, left, right, leaf *mint.Created }

func newFamily(t *testing.T, b *bench) family {
	t.Helper()
	root := b.create(t, parentRequest())
	r := delegation()
	r.Delegates = []string{"spiffe://example.org/ns/a/sub/"}
	left := b.delegate(t, root, r)
	return family{root, left, b.delegate(t, root, delegation()), b.delegate(t, left, deeper())}
}

// deeper is what a child of newFamily may ask for.
func deeper() mint.DelegateRequest {
	r := delegation()
	r.Sandbox = subID + "/2"
	return r
}

// requireState: what the store says of tasks, whoever asks.
func (b *bench) requireState(t *testing.T, want task.State, tasks ...*mint.Created) {
	t.Helper()
	for _, k := range tasks {
		got, _, err := b.store.Tasks().Task(t.Context(), k.Task.Workspace, k.Task.ID)
		require.NoError(t, err)
		require.Equal(t, want, got.State)
	}
}

func TestEndDelegated(t *testing.T) {
	b := newBench(t)
	f := newFamily(t, b)
	b.now = noon.Add(time.Second)
	ended, grants, err := b.EndDelegated(t.Context(), &f.root.Task, f.left.Task.ID)
	require.NoError(t, err)
	require.Equal(t, []any{f.left.Task.ID, task.Ended, b.now}, []any{ended.ID, ended.State, ended.EndedAt})
	require.Equal(t, f.left.Grants, grants)
	b.requireState(t, task.Ended, f.left, f.leaf)
	b.requireState(t, task.Active, f.root, f.right)
	require.ElementsMatch(t, []string{workspace + " " + f.left.Task.ID, workspace + " " + f.leaf.Task.ID}, b.forgotten, "this broker forgets before it answers")
	changes, err := b.store.Feed().Changes(t.Context(), noon)
	require.NoError(t, err)
	for _, k := range []*mint.Created{f.left, f.leaf} {
		require.Contains(t, changes, store.Change{Workspace: workspace, Kind: store.TaskChanged, ID: k.Task.ID, At: b.now}, "and the others hear of it")
	}

	b.now = noon.Add(time.Minute)
	again, _, err := b.EndDelegated(t.Context(), &f.root.Task, f.left.Task.ID)
	require.NoError(t, err)
	require.Equal(t, ended, again, "what has ended stays as it is")
	_, _, err = b.EndDelegated(t.Context(), &f.root.Task, f.leaf.Task.ID)
	require.NoError(t, err, "whatever stands below it, however it ended")
}

// A grandchild is below as well, and a task needs no delegates of its own to end it.
func TestEndDelegatedFarBelow(t *testing.T) {
	b := newBench(t)
	f := newFamily(t, b)
	without := f.root.Task
	without.Delegates = nil
	_, _, err := b.EndDelegated(t.Context(), &without, f.leaf.Task.ID)
	require.NoError(t, err)
	b.requireState(t, task.Ended, f.leaf)
	b.requireState(t, task.Active, f.root, f.left, f.right)
}

// Whatever does not stand below is answered in the same words as what there is not, in
// whichever state it is, and stays as it is.
func TestEndDelegatedEndsNothingElse(t *testing.T) {
	b := newBench(t)
	f := newFamily(t, b)
	stranger := newFamily(t, b)
	_, _, err := b.Revoke(t.Context(), operator(), stranger.right.Task.ID)
	require.NoError(t, err)
	foreign := f.root.Task
	foreign.Workspace = "other"
	before, forgotten := b.watched.writes, len(b.forgotten)
	said := map[string]bool{}
	for name, c := range map[string]struct {
		caller *task.Task
		id     string
	}{
		"itself":                   {&f.left.Task, f.left.Task.ID},
		"itself, a root":           {&f.root.Task, f.root.Task.ID},
		"its parent":               {&f.left.Task, f.root.Task.ID},
		"its grandparent":          {&f.leaf.Task, f.root.Task.ID},
		"its sibling":              {&f.right.Task, f.left.Task.ID},
		"its sibling's child":      {&f.right.Task, f.leaf.Task.ID},
		"another tree's root":      {&f.root.Task, stranger.root.Task.ID},
		"another tree's child":     {&f.root.Task, stranger.left.Task.ID},
		"another's that has ended": {&f.root.Task, stranger.right.Task.ID},
		"another workspace's":      {&foreign, f.left.Task.ID},
		"no such task":             {&f.root.Task, "nobody"},
		"none":                     {&f.root.Task, ""},
	} {
		_, _, err := b.EndDelegated(t.Context(), c.caller, c.id)
		require.True(t, fault.Is(err, fault.TaskUnknown), "%s: %v", name, err)
		said[fmt.Sprintf("%s %v", fault.From(err).Public, fault.From(err).Metadata)] = true
	}
	require.Len(t, said, 1, "no answer tells more than another: %v", said)
	require.Equal(t, before, b.watched.writes, "nothing was written, nor tried to")
	require.Len(t, b.forgotten, forgotten)
	b.requireState(t, task.Active, f.root, f.left, f.right, f.leaf, stranger.root, stranger.left)
}

func TestEndDelegatedThatFails(t *testing.T) {
	b := newBench(t)
	f := newFamily(t, b)
	b.watched.fail = store.ErrUnavailable
	_, _, err := b.EndDelegated(t.Context(), &f.root.Task, f.left.Task.ID)
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	require.Empty(t, b.forgotten)
	b.requireState(t, task.Active, f.left)
}

// The places of what was ended are free at once, both the parent's and the tree's.
func TestEndDelegatedFreesPlaces(t *testing.T) {
	b := newBench(t)
	b.bound(mint.Bounds{Depth: 4, Children: 2, Tree: 4})
	f := newFamily(t, b)
	refused := func(parent *mint.Created) {
		t.Helper()
		_, err := b.Delegate(t.Context(), &parent.Task, parent.Grants, deeper())
		require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
	}
	refused(f.root)
	refused(f.left)
	_, _, err := b.EndDelegated(t.Context(), &f.root.Task, f.leaf.Task.ID)
	require.NoError(t, err)
	b.delegate(t, f.left, deeper())
	refused(f.left)
	b.now = noon.Add(time.Minute)
	_, _, err = b.EndDelegated(t.Context(), &f.root.Task, f.left.Task.ID)
	require.NoError(t, err)
	b.delegate(t, f.root, delegation())
	refused(f.root)
}

// A task that ends what it mints at once, over and over, mints no more in a minute than
// its tree may hold: each is a row that stays.
func TestEndingDoesNotMakeMintingFree(t *testing.T) {
	b := newBench(t)
	const most = 5
	b.bound(mint.Bounds{Depth: 4, Children: 2, Tree: most})
	root := b.create(t, parentRequest())
	churn := func(times int) {
		t.Helper()
		for range times {
			child := b.delegate(t, root, delegation())
			_, _, err := b.EndDelegated(t.Context(), &root.Task, child.Task.ID)
			require.NoError(t, err)
		}
	}
	refused := func() {
		t.Helper()
		_, err := b.Delegate(t.Context(), &root.Task, root.Grants, delegation())
		require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
		require.ErrorContains(t, err, "within a minute")
		require.Equal(t, "limits.delegation.tree", fault.From(err).Metadata["raise"])
	}
	churn(most - 1)
	b.now = noon.Add(30 * time.Second)
	churn(1)
	refused()
	b.now = noon.Add(time.Minute - time.Millisecond)
	refused()
	b.now = noon.Add(time.Minute)
	churn(most - 1)
	refused()
}
