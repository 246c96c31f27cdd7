package mint_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/task"
)

// The small world in which everything is drawn: every combination of it is asked.
var (
	worldTools     = []string{"contacts.get", "contacts.search", "contacts.update", "deals.get"}
	worldPatterns  = []string{"contact:*", "contact:1", "contact:eu-*", "contact:eu-1", "deal:*", "deal:7"}
	worldResources = []string{"contact:*", "contact:1", "contact:2", "contact:eu-1", "contact:eu-2", "deal:*", "deal:7", "deal:8"}
)

// grantText draws a grant in its text form; ends are minutes after noon.
func grantText(t *rapid.T, label string) string {
	tools := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"contacts.get", "contacts.search", "contacts.update", "deals.get", "contacts.*", "deals.*"}), 1, 3, rapid.ID).Draw(t, label+" tools")
	resources := rapid.SliceOfNDistinct(rapid.SampledFrom(worldPatterns), 1, 3, rapid.ID).Draw(t, label+" resources")
	text := fmt.Sprintf("crm: %s %s %s", strings.Join(tools, ","), rapid.SampledFrom([]string{"READ", "WRITE"}).Draw(t, label+" severity"), strings.Join(resources, ","))
	if n := rapid.IntRange(0, 3).Draw(t, label+" calls"); n > 0 {
		text += fmt.Sprintf(" calls=%d", n)
	}
	if n := rapid.IntRange(0, 3).Draw(t, label+" until"); n > 0 {
		text += " until=" + noon.Add(time.Duration(n)*time.Minute).Format(time.RFC3339)
	}
	return text
}

func grantTexts(t *rapid.T, label string) []string {
	texts := make([]string, rapid.IntRange(1, 2).Draw(t, label))
	for i := range texts {
		texts[i] = grantText(t, fmt.Sprintf("%s %d", label, i))
	}
	return texts
}

// near draws a grant that lies within g or just beside it: what is drawn freely mostly
// widens, and a property of what is refused says little.
func near(t *rapid.T, label string, g grant.Grant) string {
	free, err := grant.Parse(grantText(t, label))
	require.NoError(t, err)
	same := func(part string) bool { return rapid.IntRange(0, 7).Draw(t, label+" keeps "+part) > 0 }
	if same("tools") {
		free.Tools = rapid.SliceOfNDistinct(rapid.SampledFrom(g.Tools), 1, len(g.Tools), rapid.ID).Draw(t, label+" of its tools")
	}
	if same("resources") {
		free.Resources = rapid.SliceOfNDistinct(rapid.SampledFrom(g.Resources), 1, len(g.Resources), rapid.ID).Draw(t, label+" of its resources")
	}
	if same("severity") {
		free.MaxSeverity = min(free.MaxSeverity, g.MaxSeverity)
	}
	if g.Limits.Calls > 0 && same("calls") {
		free.Limits.Calls = rapid.Int64Range(1, g.Limits.Calls).Draw(t, label+" of its calls")
	}
	if same("until") {
		free.ExpiresAt = g.ExpiresAt
	}
	return free.String()
}

// may asks what a task may do with one call at one time: its life and its grants.
func may(k *mint.Created, set *grant.Set, r grant.Request) bool {
	return k.Task.Live(r.Now) && set.Evaluate(r).Allowed
}

// TestNobodyDelegatesMoreThanTheyHold: for any parent, child and grandchild that can be
// minted at all, and any call at any time: what the lower one may do the upper one may.
func TestNobodyDelegatesMoreThanTheyHold(t *testing.T) {
	b := newBench(t)
	b.options.Bounds = mint.Bounds{Depth: 3, Children: 1 << 20, Tree: 1 << 21}
	b.Mint = mint.New(b.options)
	minted := 0
	rapid.Check(t, func(t *rapid.T) {
		r := parentRequest(grantTexts(t, "root")...)
		r.TTL = time.Duration(rapid.IntRange(1, 4).Draw(t, "root life")) * time.Minute
		root, err := b.Create(t.Context(), orchestrator(), r)
		if err != nil {
			return // a grant that outlives its task
		}
		above := root
		for level := 1; level <= 2; level++ {
			label := fmt.Sprintf("level %d", level)
			d := delegation(near(t, label, rapid.SampledFrom(above.Grants).Draw(t, label+" grant")))
			d.Sandbox = fmt.Sprintf("spiffe://example.org/ns/a/sub/%d", level)
			d.Delegates = []string{"spiffe://example.org/ns/a/sub/"}
			d.TTL = time.Duration(rapid.IntRange(0, 4).Draw(t, label+" life")) * time.Minute
			child, err := b.Delegate(t.Context(), &above.Task, above.Grants, d)
			if err != nil {
				require.True(t, fault.Is(err, fault.DelegationWidens) || fault.Is(err, fault.ArgumentInvalid), "%v", err)
				return
			}
			minted++
			_, err = grant.Within(child.Grants, above.Grants)
			require.NoError(t, err, "as the subset is defined too")
			requireNarrower(t, child, above)
			above = child
		}
	})
	require.Greater(t, minted, 10, "the property is not empty")
}

// requireNarrower asks every call of the small world.
func requireNarrower(t require.TestingT, child, parent *mint.Created) {
	lower, upper := grant.NewSet(child.Grants), grant.NewSet(parent.Grants)
	for minute := range 6 {
		for _, tool := range worldTools {
			for severity := grant.Read; severity <= grant.Admin; severity++ {
				for i, one := range worldResources {
					for _, other := range worldResources[i:] {
						r := grant.Request{Connector: "crm", Tool: tool, Severity: severity, Now: noon.Add(time.Duration(minute) * time.Minute)}
						for _, text := range []string{one, other} {
							resource, err := grant.ParseResource(text)
							require.NoError(t, err)
							r.Resources = append(r.Resources, resource)
						}
						if may(child, lower, r) && !may(parent, upper, r) {
							require.Fail(t, "the child may what its parent may not", "%v", r)
						}
					}
				}
			}
		}
	}
}

// TestWhoeverIsNamedByAChildIsNamedByItsParent is the same for the workloads to which a
// task may delegate.
func TestWhoeverIsNamedByAChildIsNamedByItsParent(t *testing.T) {
	ids := []string{"spiffe://a/x", "spiffe://a/x/y", "spiffe://a/x/y/z", "spiffe://a/xy", "spiffe://b/x", "spiffe://a/x/yz", "spiffe://a"}
	delegates := append([]string{"spiffe://a/", "spiffe://a/x/", "spiffe://a/x/y/", "spiffe://a/xy/", "/", "", "spiffe://", "spiffe://a/x//"}, ids...)
	passed := 0
	for mask := range 1 << len(delegates) {
		parent := &task.Task{}
		for i, d := range delegates {
			if mask>>i&1 == 1 {
				parent.Delegates = append(parent.Delegates, d)
			}
		}
		if len(parent.Delegates) > 2 {
			continue
		}
		for _, d := range delegates {
			if !parent.MayPassOn(d) {
				continue
			}
			passed++
			child := &task.Task{Delegates: []string{d}}
			for _, text := range ids {
				if workload := id(text); child.MayDelegateTo(workload) {
					require.True(t, parent.MayDelegateTo(workload), "%v passes on %s, which names %s", parent.Delegates, d, text)
				}
			}
		}
	}
	require.Positive(t, passed)
}
