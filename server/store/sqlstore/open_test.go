package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestOpenRefusesAndKeepsPasswordsBack(t *testing.T) {
	for name, url := range map[string]string{
		"nothing":         "",
		"a path":          "/tmp/onedoor.db",
		"another kind":    "mysql://user:canary@host/db",
		"not a URL":       "postgres://user:canary@host:port%zz/db",
		"a bad setting":   "postgres://user:canary@host/db?sslmode=canary",
		"nobody there":    "postgres://user:canary@127.0.0.1:1/db?sslmode=disable",
		"nobody there 2":  "cockroach://user:canary@127.0.0.1:1/db?sslmode=disable",
		"missing file":    "sqlite:/nonexistent/canary-free.db",
		"no name at all":  "sqlite:",
		"unreadable host": "postgres://user:canary@/db?host=/nonexistent",
	} {
		_, err := sqlstore.Open(t.Context(), url, sqlstore.Options{})
		require.Error(t, err, name)
		require.NotContains(t, strings.ReplaceAll(err.Error(), "canary-free", ""), "canary", name)
		require.Equal(t, strings.HasPrefix(name, "nobody") || strings.HasPrefix(name, "unreadable"), errors.Is(err, store.ErrUnavailable), name)
	}
	_, err := sqlstore.Open(t.Context(), "cockroach"+strings.TrimPrefix(testenv.Postgres(t), "postgres"), sqlstore.Options{})
	require.ErrorContains(t, err, "the server is PostgreSQL")
}

func TestSchemaIsCheckedAndNotMade(t *testing.T) {
	both(t, func(t *testing.T, url func(testing.TB) string) {
		u := url(t)
		s := opened(t, u)
		for range 2 {
			err := s.CheckSchema(t.Context())
			require.ErrorIs(t, err, store.ErrSchema)
			require.ErrorContains(t, err, "run `onedoord migrate`")
		}
		require.NoError(t, s.Migrate(t.Context()))
		require.NoError(t, s.Migrate(t.Context()), "migrating again changes nothing")
		require.NoError(t, s.CheckSchema(t.Context()))

		db := raw(t, u)
		_, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)")
		require.NoError(t, err)
		require.ErrorIs(t, s.CheckSchema(t.Context()), store.ErrSchema, "a newer schema is not ours either")
		_, err = db.Exec("DELETE FROM goose_db_version WHERE version_id > 2")
		require.NoError(t, err)
		require.ErrorIs(t, s.CheckSchema(t.Context()), store.ErrSchema)
		require.NoError(t, s.Migrate(t.Context()), "a migration that was cut off is finished by the next run")
		require.NoError(t, s.CheckSchema(t.Context()))
	})
}

// raw opens the same database without the store.
func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", path
	}
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestMigrationsTakeTurns(t *testing.T) {
	url := testenv.Postgres(t)
	errs := make(chan error, 3)
	for range cap(errs) {
		s := opened(t, url)
		go func() { errs <- s.Migrate(context.Background()) }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.NoError(t, opened(t, url).CheckSchema(t.Context()))
}

func TestIsolationIsSerializable(t *testing.T) {
	url := testenv.Postgres(t)
	db := raw(t, url)
	_, err := db.Exec("ALTER ROLE postgres SET default_transaction_isolation = 'read committed'")
	require.NoError(t, err)
	defer func() { _, _ = db.Exec("ALTER ROLE postgres RESET default_transaction_isolation") }()
	s := opened(t, url)
	var isolation string
	require.NoError(t, sqlstore.Writer(s).QueryRow("SHOW transaction_isolation").Scan(&isolation))
	require.Equal(t, "serializable", isolation, "whatever the server's own default is")
}

func TestSQLiteIsDurableAndItsReadersOnlyRead(t *testing.T) {
	s := migrated(t, sqliteURL(t))
	for pragma, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "secure_delete": "1", "locking_mode": "normal", "busy_timeout": "5000",
	} {
		var got string
		require.NoError(t, sqlstore.Writer(s).QueryRow("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := sqlstore.Reader(s).Exec("DELETE FROM tasks")
	require.Error(t, err)
}

func TestTimeOfTheDatabase(t *testing.T) {
	fixed := time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	lite, err := sqlstore.Open(t.Context(), sqliteURL(t), sqlstore.Options{Now: func() time.Time { return fixed }})
	require.NoError(t, err)
	defer func() { require.NoError(t, lite.Close()) }()
	now, err := lite.Now(t.Context())
	require.NoError(t, err)
	require.Equal(t, fixed, now)

	server := opened(t, testenv.Postgres(t))
	first, err := server.Now(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), first, 5*time.Second)
	second, err := server.Now(t.Context())
	require.NoError(t, err)
	require.True(t, second.After(first), "it runs, within a transaction and between them")
	clock, err := store.NewClock(t.Context(), server.Now, time.Now)
	require.NoError(t, err)
	require.NoError(t, clock.Healthy())
}
