// Package sqlstore is every store of the broker on one portable SQL: SQLite for a
// single broker, PostgreSQL and CockroachDB for any number.
//
//	Open ─ dialect ─┬─ SQLite       one writing connection, one reading pool
//	                ├─ PostgreSQL   a failed transaction is run again as a whole
//	                └─ CockroachDB  cockroach-go runs it again
//
//	user, task, counter    Tasks        authn.Tasks, mint.Store
//	audit                  Audit        audit.Store
//	connector, credential  Connectors, Credentials
//	connect                Connects       connect.Store
//	key, broker, feed      Keys, Brokers, Feed
//
// Every statement is a constant beside its use and runs unchanged on all three; a
// test holds them to the constructs that all three know. Ids are TEXT, times are
// microseconds, lists are JSON. All transactions are serializable. An error names
// what was attempted and never a value.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/store"
)

// Options of Open. The zero value is sensible.
type Options struct {
	// MaxConns bounds the connections to the database, on SQLite those that read;
	// 0 means 16.
	MaxConns int
	// Verified refuses a URL by which a server elsewhere would be reached without TLS, or
	// without verifying its certificate.
	Verified bool
	// Now is this machine's clock, which SQLite tells the time by; nil means time.Now.
	Now func() time.Time
	// Jitter gives numbers in [0, 1) that spread retries; nil means math/rand.
	Jitter func() float64
}

// Store is an open database. Its methods give the stores of each role.
type Store struct {
	db      db
	now     func(ctx context.Context) (time.Time, error)
	version string
	lock    io.Closer // nil where several brokers may share the database
}

// Open opens the database that url names: sqlite:PATH, postgres://… or
// cockroach://…. A postgres URL that leads to CockroachDB is served as CockroachDB.
// It does not create or check the schema: see Migrate and CheckSchema.
//
// A database that cannot be reached, and an SQLite file that another broker has
// open, are store.ErrUnavailable.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if o.MaxConns <= 0 {
		o.MaxConns = 16
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		return openServer(ctx, url, false, o)
	case "cockroach", "cockroachdb":
		return openServer(ctx, "postgres:"+rest, true, o)
	}
	return nil, errors.New("store URL: want sqlite:PATH, postgres://… or cockroach://…") // not repeated: it may hold a password
}

// Audit keeps the trail.
func (s *Store) Audit() Audit { return Audit{&s.db} }

// Tasks keeps users, tasks, keys of tasks and grants.
func (s *Store) Tasks() Tasks { return Tasks{&s.db} }

// Connectors keeps manifests.
func (s *Store) Connectors() Connectors { return Connectors{&s.db} }

// Credentials keeps sealed credentials.
func (s *Store) Credentials() Credentials { return Credentials{&s.db} }

// Connects keeps users on their way to connect an account.
func (s *Store) Connects() Connects { return Connects{&s.db} }

// Keys keeps wrapped keys.
func (s *Store) Keys() Keys { return Keys{&s.db} }

// Feed tells caches what they must forget.
func (s *Store) Feed() Feed { return Feed{&s.db} }

// Brokers keeps the leases of brokers.
func (s *Store) Brokers() Brokers { return Brokers{&s.db} }

// Version names the database and its version, for instance "PostgreSQL 15.18".
func (s *Store) Version() string { return s.version }

// Now asks the database for the time; it is the source of store.Clock. SQLite has
// this machine's.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.now(ctx) }

// Ping reports whether the database answers; else store.ErrUnavailable.
func (s *Store) Ping(ctx context.Context) error {
	return failed("ping the database", errors.Join(s.db.read.PingContext(ctx), s.db.write.PingContext(ctx)))
}

// Close closes all connections.
func (s *Store) Close() error {
	errs := []error{s.db.write.Close()}
	if s.db.read != s.db.write {
		errs = append(errs, s.db.read.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// text reads one text, for questions about the database itself.
func text(ctx context.Context, on *sql.DB, what, query string) (s string, err error) {
	n, err := rows(ctx, on, what, func(scan scanner) error { return scan(&s) }, query, nil)
	if err == nil && n != 1 {
		return "", &failure{kind: store.ErrUnavailable, text: what + ": no answer"}
	}
	return s, err
}
