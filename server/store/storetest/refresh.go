package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/store"
)

// refreshes: one holder at a time, what was sent stays known until it is resolved, and
// what came of it is stored together with that.
func refreshes(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Credentials
	mine, foreign := aCredential(here, ""), aCredential(there, "")
	require.NoError(t, s.Put(ctx, mine))
	foreign.ID = mine.ID // the same id in another workspace is another credential
	require.NoError(t, s.Put(ctx, foreign))
	until := noon.Add(25 * time.Second)

	first, err := s.Take(ctx, here, mine.ID, "one", noon, until)
	require.NoError(t, err)
	require.Equal(t, credential.Lease{Workspace: here, CredentialID: mine.ID, Owner: "one", Fence: 1}, first)
	for name, now := range map[string]time.Time{"at once": noon, "just before its end": until.Add(-time.Microsecond)} {
		_, err = s.Take(ctx, here, mine.ID, "two", now, until.Add(time.Minute))
		require.ErrorIs(t, err, store.ErrConflict, name)
	}
	elsewhere, err := s.Take(ctx, there, mine.ID, "two", noon, until)
	require.NoError(t, err, "another workspace's lease is another")
	require.NoError(t, s.Attempt(ctx, elsewhere, []byte("of there")))

	digest := []byte{0, 1, 0xfe}
	for name, change := range map[string]func(*credential.Lease){
		"another owner":     func(l *credential.Lease) { l.Owner = "two" },
		"another fence":     func(l *credential.Lease) { l.Fence++ },
		"another id":        func(l *credential.Lease) { l.CredentialID = id() },
		"another workspace": func(l *credential.Lease) { l.Workspace = there },
	} {
		stale := first
		change(&stale)
		require.ErrorIs(t, s.Attempt(ctx, stale, digest), store.ErrConflict, name)
	}
	require.Error(t, s.Attempt(ctx, first, nil), "nothing is no mark")
	require.NoError(t, s.Attempt(ctx, first, digest))

	second, err := s.Take(ctx, here, mine.ID, "two", until, until.Add(25*time.Second))
	require.NoError(t, err, "a lease that has run out is anybody's")
	require.EqualValues(t, 2, second.Fence)
	require.Equal(t, digest, second.Unresolved, "what was sent is still known")
	require.ErrorIs(t, s.Attempt(ctx, first, digest), store.ErrConflict, "the first is not its holder any more")
	require.NoError(t, s.Release(ctx, first, credential.RefreshEnd{Resolved: true, Dead: 1, At: later}), "nor does it give back anything")
	require.Equal(t, state{}, stateOf(t, s, here))

	renewed := mine
	renewed.Version, renewed.CreatedAt, renewed.Sealed.Ciphertext = 2, later, []byte("sealed anew")
	for name, l := range map[string]credential.Lease{
		"one that sent nothing": second, "another workspace's": {Workspace: there, CredentialID: mine.ID, Owner: "two", Fence: 2},
		"nobody's": {Workspace: here, CredentialID: mine.ID},
	} {
		require.ErrorIs(t, s.Renew(ctx, l, renewed), store.ErrConflict, name)
	}
	gap := renewed
	gap.Version = 3
	require.ErrorIs(t, s.Renew(ctx, first, gap), store.ErrConflict)
	errs := parallel(8, func(int) error { return s.Renew(context.WithoutCancel(ctx), first, renewed) })
	require.Equal(t, 7, failures(errs), "it is stored once, late as it is: %v", errs)
	got, err := s.Active(ctx, here, "crm", "main", "")
	require.NoError(t, err)
	require.Equal(t, renewed, got)
	changes, err := b.Feed.Changes(ctx, later)
	require.NoError(t, err)
	require.Equal(t, []store.Change{{Workspace: here, Kind: store.CredentialChanged, ID: mine.ID, At: later}}, changes)
	_, err = s.Take(ctx, here, mine.ID, "three", until.Add(time.Second), until.Add(time.Minute))
	require.ErrorIs(t, err, store.ErrConflict, "the second's lease is not ended by that")
	refreshEnds(t, b, renewed, second)
	untouched, err := s.Take(ctx, there, mine.ID, "three", until, until.Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, []byte("of there"), untouched.Unresolved)
}

// state is what a record says of its refreshes.
type state struct {
	dead   bool
	reason string
	retry  time.Time
}

func stateOf(t *testing.T, s credential.Store, workspace string) state {
	r, err := s.Active(t.Context(), workspace, "crm", "main", "")
	require.NoError(t, err)
	listed, err := s.List(t.Context(), workspace, "crm")
	require.NoError(t, err)
	require.Equal(t, r.Dead, listed[0].Dead)
	require.Equal(t, r.Reason, listed[0].Reason)
	return state{r.Dead, r.Reason, r.RetryAt}
}

func refreshEnds(t *testing.T, b Backend, r credential.Record, l credential.Lease) {
	ctx := t.Context()
	s := b.Credentials
	after := later.Add(time.Hour)
	require.NoError(t, s.Attempt(ctx, l, []byte("sent")))
	require.NoError(t, s.Release(ctx, l, credential.RefreshEnd{Resolved: true, Reason: "busy", Failures: 3, RetryAt: after, At: after}))
	require.Equal(t, state{reason: "busy", retry: after}, stateOf(t, s, here))
	changes, err := b.Feed.Changes(ctx, after)
	require.NoError(t, err)
	require.Len(t, changes, 1, "others must hear when it is tried again")

	l, err = s.Take(ctx, here, r.ID, "three", noon, later)
	require.NoError(t, err, "it was given back")
	require.EqualValues(t, 3, l.Failures)
	require.Nil(t, l.Unresolved)
	require.NoError(t, s.Attempt(ctx, l, []byte("sent again")))
	require.NoError(t, s.Release(ctx, l, credential.RefreshEnd{Dead: r.Version, Reason: "gone", At: after.Add(time.Second)}))
	require.Equal(t, state{dead: true, reason: "gone"}, stateOf(t, s, here))
	require.Equal(t, state{}, stateOf(t, s, there))

	r.Version, r.CreatedAt = r.Version+1, after
	require.NoError(t, s.Put(ctx, r))
	require.Equal(t, state{}, stateOf(t, s, here), "a new version lives")
	l, err = s.Take(ctx, here, r.ID, "four", noon, later)
	require.NoError(t, err)
	require.Equal(t, []byte("sent again"), l.Unresolved, "but what was sent is not forgotten")
	require.NoError(t, s.Delete(ctx, here, r.ID, after))
	l, err = s.Take(ctx, here, r.ID, "five", noon, later)
	require.NoError(t, err, "what was deleted has left no lease")
	require.Equal(t, credential.Lease{Workspace: here, CredentialID: r.ID, Owner: "five", Fence: 1}, l, "nor anything else")
	require.NoError(t, s.Put(ctx, aCredential(here, "")))
	require.Equal(t, state{}, stateOf(t, s, here))
}

// mendedClients: where the secret of a connector's client is put anew, its accounts are
// tried at once, and those of no other connector or workspace.
func mendedClients(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Credentials
	busy := func(workspace, connector string) {
		r := aCredential(workspace, "")
		r.Connector = connector
		require.NoError(t, s.Put(ctx, r))
		l, err := s.Take(ctx, workspace, r.ID, "one", noon, later)
		require.NoError(t, err)
		require.NoError(t, s.Release(ctx, l, credential.RefreshEnd{Resolved: true, Reason: "refused", Failures: 1, RetryAt: later, At: noon}))
	}
	busy(here, "crm")
	busy(here, "mail")
	busy(there, "crm")
	client := aCredential(here, "")
	client.Slot, client.Kind = "client", "token-endpoint"
	for range 2 { // the first, and one that takes its place
		require.NoError(t, s.Put(ctx, client))
		for _, k := range []struct {
			workspace, connector string
			retry                time.Time
		}{{here, "crm", time.Time{}}, {here, "mail", later}, {there, "crm", later}} {
			r, err := s.Active(ctx, k.workspace, k.connector, "main", "")
			require.NoError(t, err)
			require.Equal(t, k.retry, r.RetryAt, "%s in %s", k.connector, k.workspace)
		}
		client.Version++
	}
}
