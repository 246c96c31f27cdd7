package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/store/storetest"
	"github.com/onedoor/onedoor/tests/testenv"
)

// ran notes which databases took part, so that nobody takes silence for a pass.
var ran struct {
	sync.Mutex
	versions []string
}

func TestMain(m *testing.M) {
	code := m.Run()
	parts := absent()
	if len(ran.versions) > 0 {
		parts = append([]string{strings.Join(ran.versions, ", ")}, parts...)
	}
	line := "stores: " + strings.Join(parts, "; ")
	fmt.Println(line)
	if path := os.Getenv("ONEDOOR_STORES_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o644); err != nil {
			fmt.Println("stores report:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

func absent() (names []string) {
	for _, k := range []struct{ name, how string }{
		{"SQLite", "not selected by -run"},
		{"PostgreSQL", "not selected by -run, or ONEDOOR_NO_POSTGRES=1"},
		{"CockroachDB", "set COCKROACH_URL or COCKROACH_BINARY"},
	} {
		if !slices.ContainsFunc(ran.versions, func(v string) bool { return strings.HasPrefix(v, k.name+" ") }) {
			names = append(names, k.name+": not run ("+k.how+")")
		}
	}
	return names
}

func TestSQLite(t *testing.T) { conform(t, sqliteURL) }

func TestPostgres(t *testing.T) { conform(t, testenv.Postgres) }

func TestCockroach(t *testing.T) {
	database, ok := testenv.Cockroach(t)
	if !ok {
		t.Skip("CockroachDB: not run (set COCKROACH_URL or COCKROACH_BINARY)")
	}
	conform(t, database)
}

func conform(t *testing.T, url func(testing.TB) string) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		s := migrated(t, url(t))
		note(s.Version())
		return storetest.Backend{
			Tasks: s.Tasks(), Connectors: s.Connectors(), Credentials: s.Credentials(), Connects: s.Connects(), Keys: s.Keys(),
			Audit: s.Audit(), Brokers: s.Brokers(), Feed: s.Feed(),
		}
	})
}

func note(version string) {
	ran.Lock()
	defer ran.Unlock()
	if !slices.Contains(ran.versions, version) {
		ran.versions = append(ran.versions, version)
	}
}

func sqliteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "onedoor.db")
}

func opened(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), url, sqlstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func migrated(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	s := opened(t, url)
	require.NoError(t, s.Migrate(context.Background()))
	require.NoError(t, s.CheckSchema(t.Context()))
	return s
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, url func(testing.TB) string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteURL) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, testenv.Postgres) })
}
