package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
)

// dialect names a database where its own ways matter: how it is opened, how its
// transactions are retried, and how it tells the time. The SQL is one.
type dialect string

const (
	sqlite3   dialect = "SQLite"
	postgres  dialect = "PostgreSQL"
	cockroach dialect = "CockroachDB"
)

// db is an open database. On SQLite the reading pool is one of its own, because a
// transaction of the writing pool takes the write lock when it begins.
type db struct {
	write, read *sql.DB
	dialect     dialect
	jitter      func() float64 // in [0, 1)
}

// maxTries bounds how often a transaction is run; with the growing pauses in between
// that is about a second and a half.
const (
	maxTries   = 10
	firstPause = 4 * time.Millisecond
	mostPause  = 250 * time.Millisecond
)

// scanner reads the columns of one row.
type scanner func(into ...any) error

// runner is what a statement runs on: a pool or a transaction.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tx is a transaction that remembers whether a statement failed in it. Such a
// transaction is never committed, even if the function that runs in it goes on as
// if nothing had happened: PostgreSQL would roll it back, and SQLite must not differ.
type tx struct {
	sql      *sql.Tx
	on       runner
	oneByOne bool // rows are best inserted one by one; see many
	fault    error
}

func (d *db) begun(s *sql.Tx) *tx { return &tx{sql: s, on: s, oneByOne: d.dialect == sqlite3} }

// transact runs f in one serializable transaction, several times if need be: f must
// have no effect outside of it. A commit whose acknowledgement was lost is an error.
func (d *db) transact(ctx context.Context, what string, f func(ctx context.Context, t *tx) error) error {
	if d.dialect == cockroach {
		return d.executeTx(ctx, what, f)
	}
	return d.retry(ctx, func() error { return d.once(ctx, what, f) })
}

func (d *db) executeTx(ctx context.Context, what string, f func(ctx context.Context, t *tx) error) error {
	var inside error
	err := crdb.ExecuteTx(crdb.WithMaxRetries(ctx, maxTries-1), d.write, nil, func(s *sql.Tx) error {
		inside = d.begun(s).run(ctx, f)
		return inside
	})
	if err != nil && inside != nil {
		return inside // as f gave it, without what cockroach-go puts around it
	}
	return failed(what+": commit", err)
}

// once is one try on PostgreSQL and SQLite. ExecuteTx of cockroach-go would not do:
// it takes the release of a savepoint for the commit, and PostgreSQL can still
// refuse the commit after that.
func (d *db) once(ctx context.Context, what string, f func(ctx context.Context, t *tx) error) error {
	s, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return failed(what, err)
	}
	// After a commit this does nothing; it also runs when f panics.
	defer func() { _ = s.Rollback() }()
	if err := d.begun(s).run(ctx, f); err != nil {
		return err
	}
	err = s.Commit()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // database/sql may only say that the transaction is gone
	}
	return failed(what+": commit", err)
}

func (t *tx) run(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	if err := f(ctx, t); err != nil {
		return err
	}
	return t.fault
}

// fail notes err, so that the transaction cannot be committed any more.
func (t *tx) fail(err error) error {
	if t.fault == nil {
		t.fault = err
	}
	return err
}

func (t *tx) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	n, err := exec(ctx, t.on, what, query, args)
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

func (t *tx) query(ctx context.Context, what string, each func(scan scanner) error, query string, args ...any) (int, error) {
	n, err := rows(ctx, t.on, what, each, query, args)
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

// exec runs one writing statement by itself and gives the number of rows it touched.
func (d *db) exec(ctx context.Context, what, query string, args ...any) (n int64, err error) {
	err = d.retry(ctx, func() error {
		n, err = exec(ctx, d.write, what, query, args)
		return err
	})
	return n, err
}

// query runs one reading statement by itself. Where the database makes it start
// again, reset forgets the rows that were read already.
func (d *db) query(ctx context.Context, what string, reset func(), each func(scan scanner) error, query string, args ...any) error {
	return d.retry(ctx, func() error {
		reset()
		_, err := rows(ctx, d.read, what, each, query, args)
		return err
	})
}

// one is query for exactly one row; none is store.ErrNotFound.
func (d *db) one(ctx context.Context, what string, read func(scan scanner) error, query string, args ...any) error {
	return d.retry(ctx, func() error {
		n, err := rows(ctx, d.read, what, read, query, args)
		if err == nil && n == 0 {
			return notFound(what)
		}
		return err
	})
}

func exec(ctx context.Context, on runner, what, query string, args []any) (int64, error) {
	if err := checkArgs(args); err != nil {
		return 0, failed(what, err)
	}
	result, err := on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, failed(what, err)
	}
	n, err := result.RowsAffected()
	return n, failed(what, err)
}

func rows(ctx context.Context, on runner, what string, each func(scan scanner) error, query string, args []any) (n int, err error) {
	if err := checkArgs(args); err != nil {
		return 0, failed(what, err)
	}
	r, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, failed(what, err)
	}
	defer func() { _ = r.Close() }()
	for r.Next() {
		n++
		if err := each(r.Scan); err != nil {
			return 0, failed(what, err)
		}
	}
	return n, failed(what, r.Err())
}

// retry runs f again, after a pause that grows, as long as the database asks for it.
func (d *db) retry(ctx context.Context, f func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := f()
		if err == nil || !mayRetry(err) || try == maxTries {
			return err
		}
		timer := time.NewTimer(time.Duration((0.5 + d.jitter()) * float64(pause)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (gave up waiting: %w)", err, ctx.Err())
		}
		pause = min(2*pause, mostPause)
	}
}
