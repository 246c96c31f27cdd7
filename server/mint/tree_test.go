package mint_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/task"
)

// TestNothingOutlivesWhatIsAbove: whatever is delegated, ended by whomever and waited for, in
// whatever order, no task lives below one that does not; what was ended has been forgotten by this
// broker; and nothing ends that is not below what was ended.
func TestNothingOutlivesWhatIsAbove(t *testing.T) {
	b := newBench(t)
	b.bound(mint.Bounds{Depth: 4, Children: 3, Tree: 8})
	rapid.Check(t, func(t *rapid.T) {
		b.now, b.forgotten = noon, nil
		r := parentRequest()
		r.TTL, r.Delegates = 10*time.Minute, []string{"spiffe://example.org/ns/a/sub/", parentID}
		root, err := b.Create(t.Context(), orchestrator(), r)
		require.NoError(t, err)
		tree, ended := []*mint.Created{root}, map[string]bool{}
		for range rapid.IntRange(5, 12).Draw(t, "steps") {
			at := rapid.SampledFrom(tree).Draw(t, "at")
			switch rapid.SampledFrom([]string{"delegate", "delegate", "delegate", "revoke", "end", "end", "wait"}).Draw(t, "step") {
			case "delegate":
				if made := tryDelegate(t, b, at); made != nil {
					require.True(t, at.Task.Live(b.now) && !ended[at.Task.ID], "by one that has ended")
					tree = append(tree, made)
				}
			case "revoke":
				_, _, err := b.Revoke(t.Context(), orchestrator(), at.Task.ID)
				require.NoError(t, err)
				noteEnd(t, b, tree, ended, at.Task.ID)
			case "end":
				by := rapid.SampledFrom(tree).Draw(t, "by")
				_, _, err := b.EndDelegated(t.Context(), &by.Task, at.Task.ID)
				require.Equal(t, by != at && below(at, by.Task.ID), err == nil, "what stands below it, and nothing else: %v", err)
				if err == nil {
					noteEnd(t, b, tree, ended, at.Task.ID)
				}
			case "wait":
				b.now = b.now.Add(time.Duration(rapid.IntRange(1, 150).Draw(t, "seconds")) * time.Second)
			}
			requireTree(t, b, tree, ended)
		}
	})
}

// noteEnd notes that a task was ended, and all below it.
func noteEnd(t *rapid.T, b *bench, tree []*mint.Created, ended map[string]bool, id string) {
	for _, k := range tree {
		if below(k, id) {
			ended[k.Task.ID] = true
			require.True(t, !k.Task.Live(b.now) || contains(b.forgotten, k.Task.ID), "forgotten at once")
		}
	}
}

func tryDelegate(t *rapid.T, b *bench, at *mint.Created) *mint.Created {
	d := delegation("crm: contacts.get READ contact:*")
	d.Sandbox = parentID
	d.Delegates = []string{parentID}
	d.TTL = time.Duration(rapid.IntRange(0, 5).Draw(t, "minutes")) * time.Minute
	made, err := b.Delegate(t.Context(), &at.Task, at.Grants, d)
	if err != nil {
		require.True(t, fault.Is(err, fault.TaskEnded) || fault.Is(err, fault.LimitReached) || fault.Is(err, fault.DelegationWidens), "%v", err)
		return nil
	}
	return made
}

// requireTree compares the store with what is known of the tree.
func requireTree(t *rapid.T, b *bench, tree []*mint.Created, ended map[string]bool) {
	live := map[string]bool{}
	children := map[string]int{}
	for _, k := range tree {
		got, _, err := b.store.Tasks().Task(t.Context(), workspace, k.Task.ID)
		require.NoError(t, err)
		require.Equal(t, ended[k.Task.ID] && got.State != task.Active, got.State != task.Active, "nothing else ends")
		if live[got.ID] = got.Live(b.now); live[got.ID] {
			children[got.ParentID]++
			require.False(t, ended[got.ID])
			for _, above := range got.Above {
				require.True(t, live[above.TaskID], "it lives below one that does not")
			}
		}
	}
	for parent, n := range children {
		require.True(t, parent == "" || n <= 3, "no more children than there may be")
	}
}

func below(k *mint.Created, id string) bool {
	if k.Task.ID == id {
		return true
	}
	for _, above := range k.Task.Above {
		if above.TaskID == id {
			return true
		}
	}
	return false
}

func contains(forgotten []string, id string) bool {
	for _, f := range forgotten {
		if f == workspace+" "+id {
			return true
		}
	}
	return false
}
