package testenv

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store/sqlstore"
)

// migrated is an empty SQLite database with all migrations, as a file's bytes. To migrate
// takes a good part of a second under the race detector, and hundreds of tests want one.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "onedoor-store-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "onedoor.db")
	s, err := sqlstore.Open(context.Background(), "sqlite:"+path, sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(context.Background()); err != nil {
		_ = s.Close()
		return nil, err
	}
	if err := s.Close(); err != nil { // the log goes into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// SQLite opens a new, empty database with all migrations, until the test ends. It is the
// file onedoor.db in dir; in a folder of its own where dir is empty.
func SQLite(t testing.TB, dir string) *sqlstore.Store {
	t.Helper()
	file, err := migrated()
	require.NoError(t, err)
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, "onedoor.db")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	s, err := sqlstore.Open(t.Context(), "sqlite:"+path, sqlstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
