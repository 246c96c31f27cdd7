package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/store"
)

func connectors(t *testing.T, b Backend) {
	ctx := t.Context()
	s := b.Connectors
	revision := func(workspace, name string, number int64) connector.Revision {
		return connector.Revision{
			Workspace: workspace, Name: name, Number: number, SHA256: id(), Manifest: "name: " + name + "\n# é\n",
			AppliedAt: noon, AppliedBy: "spiffe://example.org/operator",
		}
	}
	_, err := s.Current(ctx, here, "crm")
	require.ErrorIs(t, err, store.ErrNotFound)

	first, second := revision(here, "crm", 1), revision(here, "crm", 2)
	for _, r := range []connector.Revision{first, second, revision(here, "Billing", 1), revision(there, "crm", 1)} {
		require.NoError(t, s.Add(ctx, r))
	}
	for name, r := range map[string]connector.Revision{
		"the first again":             revision(here, "crm", 1),
		"the second again":            revision(here, "crm", 2),
		"a gap":                       revision(here, "crm", 4),
		"none to follow":              revision(here, "mail", 2),
		"following another workspace": revision(there, "crm", 3),
		"number 0":                    revision(here, "mail", 0),
	} {
		require.ErrorIs(t, s.Add(ctx, r), store.ErrConflict, name)
	}
	got, err := s.Current(ctx, here, "crm")
	require.NoError(t, err)
	require.Equal(t, second, got)
	got, err = s.Revision(ctx, here, "crm", 1)
	require.NoError(t, err)
	require.Equal(t, first, got)
	_, err = s.Revision(ctx, there, "crm", 2)
	require.ErrorIs(t, err, store.ErrNotFound)
	names := func(workspace string) (names []string) {
		listed, err := s.List(ctx, workspace)
		require.NoError(t, err)
		for _, r := range listed {
			names = append(names, r.Name)
		}
		return names
	}
	require.Equal(t, []string{"Billing", "crm"}, names(here))
	require.Equal(t, []string{"crm"}, names(there))

	errs := parallel(8, func(int) error { return s.Add(context.WithoutCancel(ctx), revision(here, "crm", 3)) })
	require.Equal(t, 7, failures(errs), "one is first: %v", errs)

	require.ErrorIs(t, s.Withdraw(ctx, there, "crm", 2, noon), store.ErrNotFound)
	require.ErrorIs(t, s.Withdraw(ctx, here, "mail", 0, noon), store.ErrNotFound)
	require.ErrorIs(t, s.Withdraw(ctx, here, "crm", 4, noon), store.ErrNotFound)
	require.Error(t, s.Withdraw(ctx, here, "crm", 1, time.Time{}))
	changes, err := b.Feed.Changes(ctx, time.Time{})
	require.NoError(t, err)
	require.Empty(t, changes)

	require.NoError(t, s.Withdraw(ctx, here, "crm", 1, noon))
	require.ErrorIs(t, s.Withdraw(ctx, here, "crm", 1, later), store.ErrNotFound, "nothing left to withdraw")
	changes, err = b.Feed.Changes(ctx, time.Time{})
	require.NoError(t, err)
	require.Equal(t, []store.Change{{Workspace: here, Kind: store.ConnectorChanged, ID: "crm", At: noon}}, changes)
	got, err = s.Revision(ctx, here, "crm", 1)
	require.NoError(t, err)
	require.True(t, got.Withdrawn)
	require.Equal(t, []string{"Billing", "crm"}, names(here), "the newest one stands")

	require.NoError(t, s.Withdraw(ctx, here, "crm", 0, later))
	require.Equal(t, []string{"Billing"}, names(here))
	require.Equal(t, []string{"crm"}, names(there))
	got, err = s.Current(ctx, here, "crm")
	require.NoError(t, err)
	require.True(t, got.Withdrawn)
	require.NoError(t, s.Add(ctx, revision(here, "crm", 4)))
	require.Equal(t, []string{"Billing", "crm"}, names(here), "a new revision brings it back")
}
