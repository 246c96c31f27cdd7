package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/onedoor/onedoor/server/store"
)

// One set of files for all databases. A file's statements run one by one, each
// committed by itself, and can be run again.
//
//go:embed migrations/*.sql
var migrations embed.FS

const schemaVersion = `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied`

// Migrate brings the schema to the version that this binary needs. Several may be
// started at once on one server: they take turns.
func (s *Store) Migrate(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			return fmt.Errorf("migrate: %s: %w", partial.Failed.Source.Path, classify(partial.Err))
		}
		return failed("migrate", err)
	}
	return nil
}

// CheckSchema reports, without changing anything, whether the schema is the one that
// this binary needs; else store.ErrSchema.
func (s *Store) CheckSchema(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return fmt.Errorf("check the schema: %w", err)
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	var have *int64
	_, err = rows(ctx, s.db.read, "check the schema", func(scan scanner) error { return scan(&have) }, schemaVersion, nil)
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return err
	case err != nil || have == nil:
		return fmt.Errorf("%w: the database has no schema yet: run `onedoord migrate`", store.ErrSchema)
	case *have < want:
		return fmt.Errorf("%w: the database is at %d, this binary needs %d: run `onedoord migrate`", store.ErrSchema, *have, want)
	case *have > want:
		return fmt.Errorf("%w: the database is at %d, this binary knows only %d: use a newer one", store.ErrSchema, *have, want)
	}
	return nil
}

func (s *Store) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.db.dialect == sqlite3 {
		return goose.NewProvider(goose.DialectSQLite3, s.db.write, files, options...)
	}
	// A row and not an advisory lock: CockroachDB accepts those and locks nothing.
	turns, err := lock.NewPostgresTableLocker(
		lock.WithTableLockTimeout(500*time.Millisecond, 600), lock.WithTableLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, s.db.write, files, append(options, goose.WithLocker(turns))...)
}
