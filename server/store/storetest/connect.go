package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
)

// aRun offers a user of its own something to connect.
func aRun(t *testing.T, b Backend, workspace string) connect.Run {
	t.Helper()
	u, err := b.Tasks.EnsureUser(t.Context(), workspace, task.LocalIssuer, "user-"+id(), id(), noon)
	require.NoError(t, err)
	r := connect.Run{
		Workspace: workspace, ID: id(), Connector: "crm", Revision: 3, Slot: "main", User: u, Step: connect.Offered,
		LinkDigest: []byte("link " + id()), CreatedAt: noon, CreatedBy: "spiffe://example.org/operator", ExpiresAt: later,
	}
	require.NoError(t, b.Connects.AddRun(t.Context(), r))
	return r
}

// atProvider is the run one step further.
func atProvider(r connect.Run) connect.Run {
	r.Step, r.StateDigest, r.BrowserDigest = connect.AtProvider, []byte("state "+id()), []byte("browser "+id())
	r.Challenge, r.SignedIn, r.ExpiresAt = "challenge", true, later.Add(time.Minute)
	return r
}

func connecting(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Connects
	own, foreign := aRun(t, b, here), aRun(t, b, there)
	none := [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e")} // more than one read takes
	for _, r := range []connect.Run{own, foreign} {
		got, err := s.RunByLink(ctx, append(none, r.LinkDigest))
		require.NoError(t, err)
		require.Equal(t, r, got)
		_, err = s.RunByState(ctx, [][]byte{r.LinkDigest})
		require.ErrorIs(t, err, store.ErrNotFound, "a link is no state")
	}
	for name, digests := range map[string][][]byte{"none": nil, "unknown": none} {
		_, err := s.RunByLink(ctx, digests)
		require.ErrorIs(t, err, store.ErrNotFound, name)
		_, err = s.RunByState(ctx, digests)
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
	again := own
	again.ID = id()
	require.Error(t, s.AddRun(ctx, again), "a link is of one run")
	again.LinkDigest = nil
	require.Error(t, s.AddRun(ctx, again), "there is no run without a link")

	next := atProvider(own)
	for name, refused := range map[string]struct {
		change func(r *connect.Run)
		from   connect.Step
		now    time.Time
	}{
		"another workspace": {func(r *connect.Run) { r.Workspace = there }, connect.Offered, noon},
		"another run":       {func(r *connect.Run) { r.ID = id() }, connect.Offered, noon},
		"another step":      {func(*connect.Run) {}, connect.AtIssuer, noon},
		"expired":           {func(*connect.Run) {}, connect.Offered, later},
	} {
		r := next
		refused.change(&r)
		require.ErrorIs(t, s.Advance(ctx, r, refused.from, refused.now), store.ErrConflict, name)
	}
	unbound := next
	unbound.BrowserDigest = nil
	require.Error(t, s.Advance(ctx, unbound, connect.Offered, noon), "bound to no browser")
	unknown := next
	unknown.Step = "HALFWAY"
	require.Error(t, s.Advance(ctx, unknown, connect.Offered, noon), "a step that there is not")

	require.NoError(t, s.Advance(ctx, next, connect.Offered, noon))
	got, err := s.RunByState(ctx, [][]byte{next.StateDigest})
	require.NoError(t, err)
	require.Equal(t, next, got)
	got, err = s.RunByLink(ctx, [][]byte{own.LinkDigest})
	require.NoError(t, err)
	require.Equal(t, next, got, "a link that was used is known as such")
	got, err = s.RunByLink(ctx, [][]byte{foreign.LinkDigest})
	require.NoError(t, err)
	require.Equal(t, foreign, got, "nobody else's has moved")

	ended := next
	ended.Step, ended.StateDigest, ended.Challenge = connect.Connected, []byte("done "+id()), ""
	ended.Renews, ended.Ends, ended.Missing = true, later.Add(time.Hour), []string{"a.b", "c"}
	// What was chosen cannot be changed on the way.
	bent := ended
	bent.Connector, bent.Slot, bent.Revision, bent.User.ID, bent.CreatedBy, bent.LinkDigest = "mail", "x", 4, id(), "x", []byte("x")
	require.NoError(t, s.Advance(ctx, bent, connect.AtProvider, noon))
	got, err = s.RunByState(ctx, [][]byte{ended.StateDigest})
	require.NoError(t, err)
	require.Equal(t, ended, got)
	_, err = s.RunByState(ctx, [][]byte{next.StateDigest})
	require.ErrorIs(t, err, store.ErrNotFound, "a state that was used is gone")

	require.NoError(t, s.PruneRuns(ctx, later))
	_, err = s.RunByLink(ctx, [][]byte{foreign.LinkDigest})
	require.NoError(t, err, "it expired at that very moment, and not before")
	require.NoError(t, s.PruneRuns(ctx, later.Add(time.Second)))
	_, err = s.RunByLink(ctx, [][]byte{foreign.LinkDigest})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.RunByLink(ctx, [][]byte{own.LinkDigest})
	require.NoError(t, err, "this one lives longer")
}

// connectingInParallel: of many who take one step, one does.
func connectingInParallel(t *testing.T, b Backend) {
	r := aRun(t, b, here)
	errs := parallel(8, func(int) error {
		return b.Connects.Advance(context.WithoutCancel(t.Context()), atProvider(r), connect.Offered, noon)
	})
	require.Equal(t, 7, failures(errs), "%v", errs)
}
