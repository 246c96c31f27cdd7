package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/onedoor/onedoor/server/store"
)

const versionOfSQLite = `SELECT sqlite_version()`

// Freed pages are overwritten (secure_delete): what was sealed in a version of a
// credential that has been replaced does not linger in the file.
var pragmas = []string{
	"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)", "trusted_schema(0)",
}

var readingPragmas = []string{"busy_timeout(5000)", "query_only(1)", "trusted_schema(0)"}

func openSQLite(ctx context.Context, path string, o Options) (_ *Store, err error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("store URL: sqlite: needs the path of a file")
	}
	path, lock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, now: func(context.Context) (time.Time, error) { return o.Now(), nil }}
	s.db = db{dialect: sqlite3, jitter: o.Jitter}
	if s.db.write, err = sql.Open("sqlite", dsn(path, "rw", pragmas)); err != nil {
		_ = lock.Close()
		return nil, failed("open the database", err)
	}
	// SQLite has one writer at a time anyway: waiting for a connection is cheaper
	// and fairer than waiting for the lock.
	s.db.write.SetMaxOpenConns(1)
	if s.db.read, err = sql.Open("sqlite", dsn(path, "ro", readingPragmas)); err != nil {
		return nil, errors.Join(failed("open the database", err), s.db.write.Close(), lock.Close())
	}
	s.db.read.SetMaxOpenConns(o.MaxConns)
	s.db.read.SetMaxIdleConns(o.MaxConns)
	version, err := text(ctx, s.db.write, "open the database", versionOfSQLite)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.version = "SQLite " + version
	return s, nil
}

// lockFile makes sure that the file is there, belongs to its owner alone, and that
// no other broker has it: that one would not hear of what this one remembers. The
// lock stands on the file's one true name, so that a link is no way around it.
func lockFile(path string) (string, io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return "", nil, fmt.Errorf("open the database: %w", err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return "", nil, fmt.Errorf("open the database: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", nil, fmt.Errorf("open the database: %s must be a file with mode 0600, not %v", path, info.Mode())
	}
	if path, err = filepath.EvalSymlinks(path); err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", nil, fmt.Errorf("open the database: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the file that the operator names
	if err != nil {
		return "", nil, fmt.Errorf("lock the database: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return "", nil, fmt.Errorf("lock the database: another process has %s open; SQLite serves one broker: %w", path, store.ErrUnavailable)
	}
	return path, lock, nil
}

func dsn(path, mode string, pragmas []string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas, "_dqs": {"0"}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}
