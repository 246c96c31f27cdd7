package storetest

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/mint"
	"github.com/onedoor/onedoor/server/store"
)

func counters(t *testing.T, b Backend) {
	m := aTask(t, b, here, limited(grant.Limits{Calls: 3, Bytes: 100, Tokens: 10}))
	grantID := m.Grants[0].ID
	left := func() (l grant.Limits) {
		write(t, b, func(ctx context.Context, tx audit.Tx) {
			var err error
			l, err = tx.Remaining(ctx, ref(m), grantID)
			require.NoError(t, err)
		})
		return l
	}
	require.Equal(t, grant.Limits{Calls: 3, Bytes: 100, Rows: -1, Tokens: 10, MicroUSD: -1}, left())

	steps := []struct {
		name   string
		amount grant.Limits
		ok     bool
	}{
		{"fits", grant.Limits{Calls: 1, Bytes: 60, Rows: 1000, MicroUSD: 5}, true},
		{"one part does not fit: nothing is added", grant.Limits{Calls: 1, Bytes: 41}, false},
		{"exactly what is left", grant.Limits{Calls: 1, Bytes: 40, Tokens: 10}, true},
		{"nothing of what is used up", grant.Limits{Calls: 1}, true},
		{"used up", grant.Limits{Calls: 1}, false},
		{"more than a number holds", grant.Limits{Bytes: math.MaxInt64}, false},
	}
	for _, s := range steps {
		before := left()
		write(t, b, func(ctx context.Context, tx audit.Tx) {
			ok, err := tx.Reserve(ctx, ref(m), grantID, s.amount)
			require.NoError(t, err, s.name)
			require.Equal(t, s.ok, ok, s.name)
		})
		if !s.ok {
			require.Equal(t, before, left(), s.name)
		}
	}
	require.Equal(t, grant.Limits{Rows: -1, MicroUSD: -1}, left())

	settle := func(d grant.Limits) grant.Limits {
		write(t, b, func(ctx context.Context, tx audit.Tx) { require.NoError(t, tx.Settle(ctx, ref(m), grantID, d)) })
		return left()
	}
	require.Equal(t, grant.Limits{Calls: 1, Bytes: 30, Rows: -1, MicroUSD: -1}, settle(grant.Limits{Calls: -1, Bytes: -30}))
	require.Equal(t, grant.Limits{Calls: 1, Rows: -1, MicroUSD: -1}, settle(grant.Limits{Bytes: 5000}), "past the limit is nothing left")
	require.Equal(t, int64(3), settle(grant.Limits{Calls: -50}).Calls, "giving back never raises a limit")

	refusals := map[string]func(ctx context.Context, tx audit.Tx) error{
		"negative": func(ctx context.Context, tx audit.Tx) error {
			_, err := tx.Reserve(ctx, ref(m), grantID, grant.Limits{Calls: -1})
			return err
		},
		"another workspace": func(ctx context.Context, tx audit.Tx) error {
			_, err := tx.Reserve(ctx, audit.TaskRef{Workspace: there, TaskID: m.Task.ID}, grantID, grant.Limits{Calls: 1})
			return err
		},
		"another workspace settles": func(ctx context.Context, tx audit.Tx) error {
			return tx.Settle(ctx, audit.TaskRef{Workspace: there, TaskID: m.Task.ID}, grantID, grant.Limits{Calls: -1})
		},
		"another workspace looks": func(ctx context.Context, tx audit.Tx) error {
			_, err := tx.Remaining(ctx, audit.TaskRef{Workspace: there, TaskID: m.Task.ID}, grantID)
			return err
		},
	}
	for name, f := range refusals {
		err := b.Audit.Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
			require.Error(t, f(ctx, tx), name)
			return nil
		})
		require.Error(t, err, "%s: a failure cannot be committed", name)
		require.Equal(t, name != "negative", errors.Is(err, store.ErrNotFound), name)
	}
}

// countersInParallel: whatever runs at once, a limit is never exceeded, and what the
// caller was told is what is counted.
func countersInParallel(t *testing.T, b Backend) {
	const limit = 10
	m := aTask(t, b, here, limited(grant.Limits{Calls: limit}))
	taken, failed := takeAtOnce(t, b, 24, func(int) mint.Minted { return m })
	if failed == 0 {
		require.EqualValues(t, limit, taken)
	}
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		left, err := tx.Remaining(ctx, ref(m), m.Grants[0].ID)
		require.NoError(t, err)
		require.Equal(t, limit-taken, left.Calls)
	})
}

// takeAtOnce has n callers, each of the task that is its, reserve one call at the same time, and
// says how many were told that they have it, and how many could not be told.
func takeAtOnce(t *testing.T, b Backend, n int, task func(i int) mint.Minted) (taken int64, failed int) {
	t.Helper()
	var told atomic.Int64
	errs := parallel(n, func(i int) error {
		m := task(i)
		var ok bool
		err := b.Audit.Write(context.WithoutCancel(t.Context()), func(ctx context.Context, tx audit.Tx) error {
			var err error
			ok, err = tx.Reserve(ctx, ref(m), m.Grants[0].ID, grant.Limits{Calls: 1})
			return err
		})
		if err == nil && ok {
			told.Add(1)
		}
		return err
	})
	for _, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, store.ErrUnavailable, "too much contention is the only way to fail")
		}
	}
	return told.Load(), failures(errs)
}
