package sqlstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// What only a server is asked: who it is, and what time it has.
const (
	versionOfServer = `SELECT version()`
	timeOfServer    = `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`
)

func openServer(ctx context.Context, url string, wantCockroach bool, o Options) (*Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The driver's own words may repeat the URL, and with it the password.
		return nil, errors.New("store URL: not a valid postgres:// or cockroach:// URL")
	}
	if o.Verified {
		if err := verified(config); err != nil {
			return nil, err
		}
	}
	// PostgreSQL's own default is weaker; CockroachDB's is this.
	config.RuntimeParams["default_transaction_isolation"] = "serializable"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "onedoor"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	// So that connections spread again after a node has gone and come back.
	pool.SetConnMaxLifetime(15 * time.Minute)
	s := &Store{db: db{write: pool, read: pool, dialect: postgres, jitter: o.Jitter}}
	s.now = s.serverTime
	version, err := text(ctx, pool, "open the database", versionOfServer)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	words := strings.Fields(version)
	if words[0] == string(cockroach) {
		s.db.dialect = cockroach
	}
	if wantCockroach && s.db.dialect != cockroach {
		return nil, errors.Join(errors.New("store URL: it says cockroach, but the server is "+words[0]), s.Close())
	}
	s.version = versionIn(words)
	return s, nil
}

// versionIn reads "PostgreSQL 15.18 (Debian …) on …" and "CockroachDB CCL v26.3.1 (…".
func versionIn(words []string) string {
	for _, w := range words {
		if v := strings.TrimPrefix(w, "v"); v != "" && v[0] >= '0' && v[0] <= '9' {
			return words[0] + " " + v
		}
	}
	return words[0]
}

func (s *Store) serverTime(ctx context.Context) (time.Time, error) {
	var us int64
	_, err := rows(ctx, s.db.read, "ask the database for the time", func(scan scanner) error { return scan(&us) }, timeOfServer, nil)
	if err != nil {
		return time.Time{}, err
	}
	return fromMicros(us), nil
}
