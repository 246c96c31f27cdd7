package mint_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

const (
	parentID = "spiffe://example.org/ns/a/1"
	subID    = "spiffe://example.org/ns/a/sub/1"
	twinID   = "spiffe://example.org/ns/a/twin"
)

// parentRequest is a task that may delegate to one workload and to all below a prefix.
func parentRequest(grants ...string) mint.Request {
	r := request(grants...)
	r.Delegates = []string{twinID, "spiffe://example.org/ns/a/sub/"}
	return r
}

func delegation(grants ...string) mint.DelegateRequest {
	if len(grants) == 0 {
		grants = []string{"crm: contacts.get READ contact:42"}
	}
	return mint.DelegateRequest{Agent: "sub-agent", Sandbox: subID, Grants: grants}
}

func (b *bench) delegate(t *testing.T, parent *mint.Created, r mint.DelegateRequest) *mint.Created {
	t.Helper()
	made, err := b.Delegate(t.Context(), &parent.Task, parent.Grants, r)
	require.NoError(t, err)
	return made
}

func TestDelegate(t *testing.T) {
	b := newBench(t)
	root := b.create(t, parentRequest("crm: contacts.* WRITE contact:* calls=10"))
	b.now = noon.Add(time.Minute)
	r := delegation("crm: contacts.* READ contact:42 calls=3")
	r.TTL, r.Delegates = 5*time.Minute, []string{"spiffe://example.org/ns/a/sub/deep/"}
	child := b.delegate(t, root, r)

	require.Equal(t, task.Task{
		Workspace: workspace, ID: child.Task.ID, Agent: "sub-agent", User: root.Task.User, Sandbox: id(subID), State: task.Active,
		CreatedAt: b.now, ExpiresAt: b.now.Add(5 * time.Minute), CreatedBy: root.Task.CreatedBy, KeyID: child.Task.KeyID,
		ParentID: root.Task.ID, RootID: root.Task.ID, Depth: 1, Delegates: r.Delegates,
		Above: []task.Ancestor{{TaskID: root.Task.ID, Agent: "agent"}},
	}, child.Task)
	require.Equal(t, []string{"contacts.get", "contacts.search", "contacts.update"}, child.Grants[0].Tools)
	require.Equal(t, root.Grants[0].Revision, child.Grants[0].Revision)
	require.NotEqual(t, root.Key.Reveal(), child.Key.Reveal())
	stored, grants, err := b.store.Tasks().Task(t.Context(), workspace, child.Task.ID)
	require.NoError(t, err)
	require.Equal(t, child.Task, stored)
	require.Equal(t, child.Grants, grants)

	deep := delegation("crm: contacts.get READ contact:42 calls=3")
	deep.Sandbox = "spiffe://example.org/ns/a/sub/deep/1"
	leaf := b.delegate(t, child, deep)
	require.Equal(t, child.Task.ExpiresAt, leaf.Task.ExpiresAt, "without a ttl: to its parent's end")
	require.Equal(t, []task.Ancestor{{TaskID: child.Task.ID, Agent: "sub-agent"}, {TaskID: root.Task.ID, Agent: "agent"}}, leaf.Task.Above)
	require.Equal(t, 2, leaf.Task.Depth)
}

func TestDelegationKeepsToTheParentsRevision(t *testing.T) {
	b := newBench(t)
	root := b.create(t, parentRequest("crm: contacts.get,contacts.search READ contact:*"))
	b.apply(t, workspace, strings.Replace(manifest, "name: contacts.update, severity: WRITE, method: POST", "name: contacts.purge, severity: READ, method: GET", 1))
	child := b.delegate(t, root, delegation("crm: contacts.* READ contact:42"))
	require.Equal(t, []string{"contacts.get", "contacts.search"}, child.Grants[0].Tools, "of the parent's, not of the manifest")
	require.EqualValues(t, 1, child.Grants[0].Revision)

	require.NoError(t, b.connectors.Withdraw(t.Context(), workspace, "crm", 1, noon))
	_, err := b.Delegate(t.Context(), &root.Task, root.Grants, delegation())
	require.True(t, fault.Is(err, fault.ConnectorChanged), "%v", err)
}

func TestDelegationsThatWiden(t *testing.T) {
	b := newBench(t)
	root := b.create(t, parentRequest(
		"crm: contacts.get,contacts.search READ contact:1,contact:eu-* calls=10 until=2026-11-23T12:10:00Z",
		"crm: contacts.update WRITE contact:1",
	))
	before := b.watched.writes
	own := parentRequest()
	own.Delegates = []string{"spiffe://example.org/ns/a/"}
	wide := b.create(t, own)
	before += 2
	at := func(change func(r *mint.DelegateRequest)) mint.DelegateRequest {
		r := delegation("crm: contacts.get READ contact:1 calls=1 until=2026-11-23T12:05:00Z")
		change(&r)
		return r
	}
	grants := func(texts ...string) mint.DelegateRequest {
		return at(func(r *mint.DelegateRequest) { r.Grants = texts })
	}
	const until = " until=2026-11-23T12:05:00Z"
	for name, c := range map[string]struct {
		parent *mint.Created
		r      mint.DelegateRequest
		reason fault.Reason
		says   string
	}{
		"a tool":                   {root, grants("crm: deals.get READ contact:1 calls=1" + until), fault.DelegationWidens, "grant 1: tool deals.get"},
		"a pattern over two":       {root, grants("crm: contacts.* READ contact:1 calls=1" + until), fault.DelegationWidens, "grant 1: tool contacts.update"},
		"a pattern of nothing":     {root, grants("crm: deals.* READ contact:1 calls=1" + until), fault.DelegationWidens, "grants[0]: tool deals.* matches none"},
		"a resource":               {root, grants("crm: contacts.get READ contact:2 calls=1" + until), fault.DelegationWidens, "resource contact:2"},
		"a wider pattern":          {root, grants("crm: contacts.get READ contact:e* calls=1" + until), fault.DelegationWidens, "resource contact:e*"},
		"a severity":               {root, grants("crm: contacts.get WRITE contact:1 calls=1" + until), fault.DelegationWidens, "severity WRITE"},
		"a limit":                  {root, grants("crm: contacts.get READ contact:1 calls=11" + until), fault.DelegationWidens, "calls=11"},
		"no limit":                 {root, grants("crm: contacts.get READ contact:1" + until), fault.DelegationWidens, "calls is not limited"},
		"an end":                   {root, grants("crm: contacts.get READ contact:1 calls=1 until=2026-11-23T12:11:00Z"), fault.DelegationWidens, "until="},
		"an end by leaving it out": {root, grants("crm: contacts.get READ contact:1 calls=1"), fault.DelegationWidens, "until="},
		"another connector":        {root, grants("erp: contacts.get READ contact:1 calls=1" + until), fault.DelegationWidens, "grants[0]: this task has no grant on erp"},
		"the second grant": {root, grants("crm: contacts.get READ contact:1 calls=1"+until, "crm: contacts.get ADMIN contact:1 calls=1"+until),
			fault.DelegationWidens, "grant 2: severity ADMIN"},
		"two parents together":     {root, grants("crm: contacts.get,contacts.update WRITE contact:1 calls=1" + until), fault.DelegationWidens, "grant 1"},
		"a longer life":            {root, at(func(r *mint.DelegateRequest) { r.TTL = 15*time.Minute + 1 }), fault.DelegationWidens, "ttl"},
		"a sandbox not named":      {root, at(func(r *mint.DelegateRequest) { r.Sandbox = "spiffe://example.org/ns/a/other" }), fault.DelegationWidens, "sandbox"},
		"beside the prefix":        {root, at(func(r *mint.DelegateRequest) { r.Sandbox = "spiffe://example.org/ns/a/sub-evil/1" }), fault.DelegationWidens, "sandbox"},
		"the prefix itself":        {root, at(func(r *mint.DelegateRequest) { r.Sandbox = "spiffe://example.org/ns/a/sub" }), fault.DelegationWidens, "sandbox"},
		"below an exact ID":        {root, at(func(r *mint.DelegateRequest) { r.Sandbox = twinID + "/1" }), fault.DelegationWidens, "sandbox"},
		"another trust domain":     {root, at(func(r *mint.DelegateRequest) { r.Sandbox = "spiffe://evil.example/ns/a/sub/1" }), fault.DelegationWidens, "sandbox"},
		"its own ID":               {root, at(func(r *mint.DelegateRequest) { r.Sandbox = parentID }), fault.DelegationWidens, "own ID"},
		"its own ID by a prefix":   {wide, at(func(r *mint.DelegateRequest) { r.Sandbox = parentID }), fault.DelegationWidens, "own ID"},
		"dots that lead out":       {root, at(func(r *mint.DelegateRequest) { r.Sandbox = "spiffe://example.org/ns/a/sub/../1" }), fault.ArgumentInvalid, "sandbox"},
		"capitals":                 {root, at(func(r *mint.DelegateRequest) { r.Sandbox = "SPIFFE://example.org/ns/a/sub/1" }), fault.ArgumentInvalid, "sandbox"},
		"a wider delegate":         {root, at(func(r *mint.DelegateRequest) { r.Delegates = []string{"spiffe://example.org/ns/a/"} }), fault.DelegationWidens, "delegates[0]"},
		"a prefix of an exact ID":  {root, at(func(r *mint.DelegateRequest) { r.Delegates = []string{subID, twinID + "/"} }), fault.DelegationWidens, "delegates[1]"},
		"the second delegate":      {root, at(func(r *mint.DelegateRequest) { r.Delegates = []string{twinID, "spiffe://example.org/x"} }), fault.DelegationWidens, "delegates[1]"},
		"a delegate that is none":  {root, at(func(r *mint.DelegateRequest) { r.Delegates = []string{"/"} }), fault.ArgumentInvalid, "delegates[0]"},
		"a delegate with dots":     {root, at(func(r *mint.DelegateRequest) { r.Delegates = []string{"spiffe://example.org/ns/a/sub/../"} }), fault.ArgumentInvalid, "delegates[0]"},
		"an empty delegate":        {root, at(func(r *mint.DelegateRequest) { r.Delegates = []string{""} }), fault.ArgumentInvalid, "delegates[0]"},
		"no grant":                 {root, grants(), fault.ArgumentInvalid, "grants"},
		"a grant that is none":     {root, grants("everything"), fault.ArgumentInvalid, "grants[0]"},
		"an end past its own task": {root, at(func(r *mint.DelegateRequest) { r.TTL = time.Minute }), fault.ArgumentInvalid, "grants[0]: until"},
		"an end in the past":       {root, grants("crm: contacts.get READ contact:1 calls=1 until=2026-11-23T12:00:00Z"), fault.ArgumentInvalid, "grants[0]: until"},
		"what cannot be counted":   {root, grants("crm: contacts.get READ contact:1 calls=1 rows=5" + until), fault.ArgumentInvalid, "grants[0]"},
		"no agent":                 {root, at(func(r *mint.DelegateRequest) { r.Agent = "" }), fault.ArgumentInvalid, "agent"},
		"an agent that hides":      {root, at(func(r *mint.DelegateRequest) { r.Agent = "a\u202eb" }), fault.ArgumentInvalid, "agent"},
		"a negative life":          {root, at(func(r *mint.DelegateRequest) { r.TTL = -1 }), fault.ArgumentInvalid, "ttl"},
		"without delegates":        {b.create(t, request()), delegation(), fault.CallerNotAllowed, "may not delegate"},
	} {
		_, err := b.Delegate(t.Context(), &c.parent.Task, c.parent.Grants, c.r)
		require.True(t, fault.Is(err, c.reason), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
	}
	require.Equal(t, before+2, b.watched.writes, "nothing was written, nor tried to")
	b.delegate(t, root, at(func(*mint.DelegateRequest) {}))
	b.delegate(t, root, at(func(r *mint.DelegateRequest) { r.Sandbox = twinID }))
	r := grants("crm: contacts.get READ contact:1 calls=1")
	r.TTL = 10 * time.Minute
	require.Equal(t, noon.Add(10*time.Minute), b.delegate(t, root, r).Grants[0].ExpiresAt, "no end of its own is the child's end, which is within")
}

func TestOwnIDWhereItIsNamed(t *testing.T) {
	b := newBench(t)
	r := request()
	r.Delegates = []string{parentID}
	root := b.create(t, r)
	d := delegation()
	d.Sandbox = parentID
	require.Equal(t, id(parentID), b.delegate(t, root, d).Task.Sandbox)
}

func TestDelegationIsBounded(t *testing.T) {
	b := newBench(t)
	b.bound(mint.Bounds{Depth: 2, Children: 2, Tree: 4})
	root := b.create(t, parentRequest())
	r := delegation()
	r.TTL, r.Delegates = time.Minute, []string{"spiffe://example.org/ns/a/sub/"}
	refused := func(parent *mint.Created, bound string) {
		t.Helper()
		_, err := b.Delegate(t.Context(), &parent.Task, parent.Grants, r)
		require.True(t, fault.Is(err, fault.LimitReached), "%v", err)
		require.Equal(t, "limits.delegation."+bound, fault.From(err).Metadata["raise"])
		require.Zero(t, fault.From(err).RetryAfter, "clients must not try it again by themselves")
	}
	left := b.delegate(t, root, r)
	b.delegate(t, root, r)
	refused(root, "children")
	r.Sandbox = subID + "/2"
	leaf := b.delegate(t, left, r)
	refused(leaf, "depth")
	refused(left, "tree")

	b.now = noon.Add(2 * time.Minute).Add(-time.Second)
	refused(root, "children")
	b.now = noon.Add(2 * time.Minute)
	b.delegate(t, root, r)
	_, err := b.Delegate(t.Context(), &left.Task, left.Grants, mint.DelegateRequest{Agent: "x", Sandbox: r.Sandbox, Grants: r.Grants})
	require.True(t, fault.Is(err, fault.TaskEnded), "%v", err)
}

func TestDelegationByWhatHasEnded(t *testing.T) {
	b := newBench(t)
	root := b.create(t, parentRequest())
	child := b.delegate(t, root, delegation())
	other := b.delegate(t, root, delegation())
	_, _, err := b.Revoke(t.Context(), orchestrator(), child.Task.ID)
	require.NoError(t, err)
	require.Equal(t, []string{workspace + " " + child.Task.ID}, b.forgotten, "its subtree alone")
	for _, k := range []*mint.Created{root, other} {
		got, _, err := b.Get(t.Context(), orchestrator(), k.Task.ID)
		require.NoError(t, err)
		require.Equal(t, task.Active, got.State)
	}
	_, _, err = b.Revoke(t.Context(), operator(), root.Task.ID)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{workspace + " " + child.Task.ID, workspace + " " + child.Task.ID, workspace + " " + other.Task.ID, workspace + " " + root.Task.ID}, b.forgotten)
	before := b.watched.writes
	_, err = b.Delegate(t.Context(), &root.Task, root.Grants, delegation())
	require.True(t, fault.Is(err, fault.TaskEnded), "what this broker remembers of the parent does not count: %v", err)
	require.Equal(t, before+1, b.watched.writes)

	b.watched.fail = store.ErrUnavailable
	_, err = b.Delegate(t.Context(), &other.Task, other.Grants, delegation())
	require.True(t, fault.Is(err, fault.CallerNotAllowed), "a child without delegates of its own: %v", err)
	require.Equal(t, "delegates", fault.From(err).Metadata["mend"])
	_, err = b.Delegate(t.Context(), &root.Task, root.Grants, delegation())
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
}

func TestWhoSeesATree(t *testing.T) {
	b := newBench(t)
	root := b.create(t, parentRequest())
	child := b.delegate(t, root, delegation())
	b.create(t, request())
	for name, c := range map[string]struct {
		by   authn.Identity
		want int
	}{
		"its orchestrator":             {orchestrator(), 2},
		"an operator":                  {operator(), 2},
		"another orchestrator":         {another(), 0},
		"another workspace's operator": {elsewhere(), 0},
	} {
		tree, err := b.List(t.Context(), c.by, mint.Listing{RootID: root.Task.ID, Limit: 10})
		require.NoError(t, err, name)
		require.Len(t, tree, c.want, name)
		_, _, err = b.Get(t.Context(), c.by, child.Task.ID)
		require.Equal(t, c.want > 0, err == nil, name)
		_, _, err = b.Revoke(t.Context(), c.by, child.Task.ID)
		require.Equal(t, c.want > 0, err == nil, name)
	}
}
