package sqlstore_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/server/vault"
)

func TestSQLiteServesOneBroker(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "onedoor.db")
	s := migrated(t, "sqlite:"+path)
	link := filepath.Join(dir, "link.db")
	require.NoError(t, os.Symlink(path, link))
	for _, name := range []string{path, link, filepath.Join(dir, "..", filepath.Base(dir), "onedoor.db")} {
		_, err := sqlstore.Open(t.Context(), "sqlite:"+name, sqlstore.Options{})
		require.ErrorIs(t, err, store.ErrUnavailable, name)
		require.ErrorContains(t, err, "another process has "+path+" open")
	}
	looked, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, looked.Close()) }()
	require.NoError(t, looked.QueryRow("SELECT COUNT(*) FROM tasks").Scan(new(int)), "an operator can look inside meanwhile")
	require.NoError(t, s.Ping(t.Context()))

	other := migrated(t, sqliteURL(t))
	require.NoError(t, other.Ping(t.Context()))
}

func TestSQLiteFileBelongsToItsOwner(t *testing.T) {
	url := sqliteURL(t)
	path := strings.TrimPrefix(url, "sqlite:")
	s := migrated(t, url)
	_, err := s.Tasks().EnsureUser(t.Context(), "w", "local", "ann", "1", time.Now())
	require.NoError(t, err)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}

	open := filepath.Join(t.TempDir(), "open.db")
	require.NoError(t, os.WriteFile(open, nil, 0o600))
	require.NoError(t, os.Chmod(open, 0o640))
	for _, bad := range []string{open, t.TempDir(), filepath.Join(t.TempDir(), "no", "folder.db"), "", ":memory:"} {
		_, err := sqlstore.Open(t.Context(), "sqlite:"+bad, sqlstore.Options{})
		require.Error(t, err, bad)
	}
}

func TestSQLiteOddPaths(t *testing.T) {
	for _, name := range []string{"a b?mode=memory#x%41&_pragma=foreign_keys(0).db", "ünï.db"} {
		path := filepath.Join(t.TempDir(), name)
		migrated(t, "sqlite:"+path)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NotZero(t, info.Size(), "the file is the one that was named")
	}
	t.Chdir(t.TempDir())
	migrated(t, "sqlite:relative.db")
	require.FileExists(t, "relative.db")
}

// TestSQLiteKeepsNothingOfOldVersions looks for replaced and deleted sealed bytes in
// the files themselves.
func TestSQLiteKeepsNothingOfOldVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onedoor.db")
	s, err := sqlstore.Open(t.Context(), "sqlite:"+path, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	sealed := func(i byte) []byte { return bytes.Repeat([]byte{'c', 'a', 'n', 'a', 'r', 'y', i}, 100) }
	r := credential.Record{
		Workspace: "w", ID: "1", Connector: "crm", Slot: "main", Kind: "bearer", Version: 1,
		Sealed: vault.Sealed{KEKID: "k", WrappedDEK: []byte("w"), Ciphertext: sealed('1')}, CreatedAt: time.Now(),
	}
	require.NoError(t, s.Credentials().Put(t.Context(), r))
	r.Version, r.Sealed.Ciphertext = 2, sealed('2')
	require.NoError(t, s.Credentials().Put(t.Context(), r))
	gone := r
	gone.ID, gone.Slot, gone.Version, gone.Sealed.Ciphertext = "2", "other", 1, sealed('3')
	require.NoError(t, s.Credentials().Put(t.Context(), gone))
	require.NoError(t, s.Credentials().Delete(t.Context(), "w", "2", time.Now()))
	require.NoError(t, s.Close())

	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		all = append(all, b...)
	}
	require.Contains(t, string(all), string(sealed('2')))
	require.NotContains(t, string(all), "canary1")
	require.NotContains(t, string(all), "canary3")
}
