package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

func aCredential(workspace, userID string) credential.Record {
	return credential.Record{
		Workspace: workspace, ID: id(), Connector: "crm", Slot: "main", UserID: userID, Kind: "bearer", Version: 1,
		Destination: `{"origins":["https://crm.example"]}`, Origins: []string{"https://crm.example"},
		Sealed:    vault.Sealed{KEKID: "kek 1", WrappedDEK: []byte{0, 1, 0xfe}, Ciphertext: []byte("sealed " + id())},
		CreatedAt: noon, CreatedBy: "spiffe://example.org/operator",
	}
}

func credentials(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Credentials
	ann, err := b.Tasks.EnsureUser(ctx, here, task.LocalIssuer, "ann", id(), noon)
	require.NoError(t, err)
	own, shared := aCredential(here, ann.ID), aCredential(here, "")
	foreign := aCredential(there, "")
	for _, r := range []credential.Record{own, shared, foreign} {
		require.NoError(t, s.Put(ctx, r))
	}
	own.UserIssuer, own.UserSubject = task.LocalIssuer, "ann"
	active := func(workspace, userID string) credential.Record {
		r, err := s.Active(ctx, workspace, "crm", "main", userID)
		require.NoError(t, err)
		return r
	}
	require.Equal(t, own, active(here, ann.ID))
	require.Equal(t, shared, active(here, ""), "no fallback from one owner to the other")
	require.Equal(t, foreign, active(there, ""))
	for name, k := range map[string][4]string{
		"another workspace": {there, "crm", "main", ann.ID}, "another slot": {here, "crm", "other", ""},
		"another connector": {here, "mail", "main", ""}, "another user": {here, "crm", "main", id()},
	} {
		_, err := s.Active(ctx, k[0], k[1], k[2], k[3])
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}

	next := own
	next.UserIssuer, next.UserSubject, next.Version, next.CreatedAt = "", "", 2, later
	next.Sealed.Ciphertext = []byte("sealed anew")
	for name, change := range map[string]func(*credential.Record){
		"version 1 again":   func(r *credential.Record) { r.Version = 1 },
		"another id":        func(r *credential.Record) { r.ID = id() },
		"another id, again": func(r *credential.Record) { r.ID, r.Version = id(), 1 },
		"a gap":             func(r *credential.Record) { r.Version = 3 },
		"version 0":         func(r *credential.Record) { r.Version = 0 },
		"another owner":     func(r *credential.Record) { r.UserID = "" },
		"another workspace": func(r *credential.Record) { r.Workspace = there },
	} {
		r := next
		change(&r)
		require.ErrorIs(t, s.Put(ctx, r), store.ErrConflict, name)
	}
	open := next
	open.Sealed.WrappedDEK = nil
	require.Error(t, s.Put(ctx, open), "not sealed")
	require.Equal(t, own, active(here, ann.ID))

	errs := parallel(8, func(int) error { return s.Put(context.WithoutCancel(ctx), next) })
	require.Equal(t, 7, failures(errs), "one is first: %v", errs)
	next.UserIssuer, next.UserSubject = task.LocalIssuer, "ann"
	require.Equal(t, next, active(here, ann.ID))
	changes, err := b.Feed.Changes(ctx, later)
	require.NoError(t, err)
	require.Equal(t, []store.Change{{Workspace: here, Kind: store.CredentialChanged, ID: own.ID, At: later}}, changes)

	listed, err := s.List(ctx, here, "")
	require.NoError(t, err)
	require.Len(t, listed, 2)
	for _, r := range listed {
		require.Zero(t, r.Sealed, "a listing holds nothing sealed")
		require.Equal(t, here, r.Workspace)
	}
	listed, err = s.List(ctx, here, "mail")
	require.NoError(t, err)
	require.Empty(t, listed)
	rewrap(t, b, next, shared, foreign)

	require.ErrorIs(t, s.Delete(ctx, there, own.ID, later), store.ErrNotFound)
	require.NoError(t, s.Delete(ctx, here, own.ID, later.Add(time.Second)))
	require.ErrorIs(t, s.Delete(ctx, here, own.ID, later), store.ErrNotFound)
	_, err = s.Active(ctx, here, "crm", "main", ann.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
	changes, err = b.Feed.Changes(ctx, later.Add(time.Second))
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.NoError(t, s.Put(ctx, aCredential(here, ann.ID)), "a new one may take its place")
}

func rewrap(t *testing.T, b Backend, records ...credential.Record) {
	ctx := t.Context()
	s := b.Credentials
	old, err := s.SealedWithout(ctx, "kek 2", 100)
	require.NoError(t, err)
	require.ElementsMatch(t, records, old, "of every workspace")
	old, err = s.SealedWithout(ctx, "kek 2", 2)
	require.NoError(t, err)
	require.Len(t, old, 2)
	old, err = s.SealedWithout(ctx, "kek 1", 100)
	require.NoError(t, err)
	require.Empty(t, old)

	r := records[0]
	r.Sealed.KEKID, r.Sealed.WrappedDEK = "kek 2", []byte("wrapped anew")
	stale := r
	stale.Version--
	require.ErrorIs(t, s.Rewrap(ctx, stale, "kek 1"), store.ErrConflict)
	require.ErrorIs(t, s.Rewrap(ctx, r, "kek 0"), store.ErrConflict)
	foreign := r
	foreign.Workspace = there
	require.ErrorIs(t, s.Rewrap(ctx, foreign, "kek 1"), store.ErrConflict)
	require.NoError(t, s.Rewrap(ctx, r, "kek 1"))
	got, err := s.Active(ctx, r.Workspace, r.Connector, r.Slot, r.UserID)
	require.NoError(t, err)
	require.Equal(t, r, got, "only the wrapped DEK is another")
}
