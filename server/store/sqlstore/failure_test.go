package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestDriverErrorsAreMapped(t *testing.T) {
	pg := func(code string) error {
		return &pgconn.PgError{Code: code, Message: "canary", Detail: "canary", Where: "canary", ConstraintName: "users_pkey"}
	}
	cases := map[string]struct {
		err  error
		kind error // nil: none of the store's
	}{
		"no rows":               {sql.ErrNoRows, store.ErrNotFound},
		"unique violation":      {pg("23505"), store.ErrConflict},
		"foreign key":           {pg("23503"), nil},
		"bad text":              {pg("22021"), nil},
		"serialization failure": {pg("40001"), store.ErrUnavailable},
		"deadlock":              {pg("40P01"), store.ErrUnavailable},
		"statement cancelled":   {pg("57014"), store.ErrUnavailable},
		"too many connections":  {pg("53300"), store.ErrUnavailable},
		"an odd code":           {pg("4"), nil},
		"broken connection":     {driver.ErrBadConn, store.ErrUnavailable},
		"transaction gone":      {sql.ErrTxDone, store.ErrUnavailable},
		"end of the stream":     {io.ErrUnexpectedEOF, store.ErrUnavailable},
		"network":               {&net.OpError{Op: "read", Err: errors.New("reset")}, store.ErrUnavailable},
		"deadline":              {context.DeadlineExceeded, store.ErrUnavailable},
		"gave up":               {context.Canceled, store.ErrUnavailable},
		"a scan":                {errors.New(`sql: Scan error on column index 0: converting "canary" to int64`), nil},
		"wrapped":               {fmt.Errorf("canary: %w", pg("23505")), store.ErrConflict},
	}
	classes := map[string]bool{"statement cancelled": true, "too many connections": true} // about the server, not about data
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			err := sqlstore.ErrorText(k.err)
			require.ErrorContains(t, err, "try: ", "it says what was attempted")
			for _, kind := range []error{store.ErrNotFound, store.ErrConflict, store.ErrUnavailable, store.ErrSchema} {
				require.Equal(t, errors.Is(k.kind, kind), errors.Is(err, kind), "%v: %v", kind, err)
			}
			if !classes[name] {
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)), "canary")
			}
		})
	}
	require.NoError(t, sqlstore.ErrorText(nil))
	require.ErrorIs(t, sqlstore.ErrorText(context.Canceled), context.Canceled, "a caller that gave up is told apart")
}

func TestUnavailable(t *testing.T) {
	both(t, func(t *testing.T, url func(testing.TB) string) {
		s, err := sqlstore.Open(t.Context(), url(t), sqlstore.Options{})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(t.Context()))
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		for name, ctx := range map[string]context.Context{"cancelled": cancelled, "late": late, "closed": t.Context()} {
			if name == "closed" {
				require.NoError(t, s.Close())
			}
			_, err = s.Tasks().TaskByKey(ctx, [][]byte{{1}})
			require.ErrorIs(t, err, store.ErrUnavailable, name)
			require.ErrorIs(t, s.Ping(ctx), store.ErrUnavailable, name)
			require.ErrorIs(t, s.CheckSchema(ctx), store.ErrUnavailable, name)
			require.ErrorIs(t, s.Audit().Write(ctx, func(context.Context, audit.Tx) error { return nil }), store.ErrUnavailable, name)
		}
	})
}

// TestLostCommitIsAnError cuts the connection between the last statement and the
// commit: whatever became of it, it must not be reported as done, nor tried again.
func TestLostCommitIsAnError(t *testing.T) {
	url := testenv.Postgres(t)
	s := migrated(t, url)
	db := raw(t, url)
	runs := 0
	err := s.Audit().Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
		runs++
		if err := tx.OpenChain(ctx, fmt.Sprint("chain ", runs), "b", "i", time.Now()); err != nil {
			return err
		}
		_, err := db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onedoor' AND datname = current_database() AND state = 'idle in transaction'")
		return err
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, 1, runs)
	seq, _, err := s.Audit().Head(t.Context(), "chain 1")
	require.NoError(t, err, "the next connection works")
	require.Zero(t, seq)
}

// TestRetryGivesUp: contention that does not end is reported and not waited for.
func TestRetryGivesUp(t *testing.T) {
	s := migrated(t, testenv.Postgres(t))
	runs := 0
	err := s.Audit().Write(t.Context(), func(context.Context, audit.Tx) error {
		runs++
		return sqlstore.ErrorText(&pgconn.PgError{Code: "40001"})
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, 10, runs)

	ctx, cancel := context.WithCancel(t.Context())
	runs = 0
	err = s.Audit().Write(ctx, func(context.Context, audit.Tx) error {
		runs++
		cancel()
		return sqlstore.ErrorText(&pgconn.PgError{Code: "40P01"})
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, runs)
}

// TestTransactionsOfCockroach runs the path of CockroachDB on PostgreSQL, which knows
// its statements too. What PostgreSQL makes of concurrent ones is not looked at.
func TestTransactionsOfCockroach(t *testing.T) {
	s := migrated(t, testenv.Postgres(t))
	sqlstore.AsCockroach(s)
	own := errors.New("own")
	open := func(end func(run int) error) (runs int, err error) {
		err = s.Audit().Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
			runs++
			if err := tx.OpenChain(ctx, "chain", "b", "i", time.Now()); err != nil {
				return err
			}
			return end(runs)
		})
		return runs, err
	}
	again := sqlstore.ErrorText(&pgconn.PgError{Code: "40001"})
	runs, err := open(func(int) error { return own })
	require.Equal(t, own, err)
	require.Equal(t, 1, runs)
	runs, err = open(func(int) error { return fmt.Errorf("wrapped: %w", again) })
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, 10, runs)
	require.PanicsWithValue(t, "boom", func() { _, _ = open(func(int) error { panic("boom") }) })
	runs, err = open(func(run int) error {
		if run < 3 {
			return again
		}
		return nil
	})
	require.NoError(t, err, "nothing of the tries before is in the way")
	require.Equal(t, 3, runs)
	_, err = open(func(int) error { return nil })
	require.ErrorIs(t, err, store.ErrConflict, "it was committed")
}

func TestPortions(t *testing.T) {
	for n := range 300 {
		sum := 0
		for _, p := range sqlstore.Portions(n, sqlstore.MostRows) {
			require.True(t, p <= sqlstore.MostRows && p&(p-1) == 0)
			sum += p
		}
		require.Equal(t, n, sum)
	}
}

func TestTimesAreExact(t *testing.T) {
	for name, at := range map[string]time.Time{
		"zero": {}, "now": time.Now().UTC().Truncate(time.Microsecond), "before 1970": time.Date(1950, 1, 1, 0, 0, 0, 1000, time.UTC),
	} {
		require.Equal(t, at, sqlstore.FromMicros(sqlstore.Micros(at)), name)
	}
	require.Zero(t, sqlstore.Micros(time.Time{}))
	elsewhere := time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("x", 3600))
	require.Equal(t, elsewhere.UTC(), sqlstore.FromMicros(sqlstore.Micros(elsewhere)))
}
