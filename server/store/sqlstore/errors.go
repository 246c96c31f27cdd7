package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/onedoor/onedoor/server/store"
)

// failure is what a driver's error becomes. Drivers put stored values into their
// texts, so the text is kept only where it cannot hold one.
type failure struct {
	kind error  // one of the store's errors; nil where none fits
	code string // SQLSTATE; for SQLite what corresponds to it
	text string
}

// SQLSTATEs that decide what becomes of an error.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlock             = "40P01"
)

func (f *failure) Error() string {
	var parts []string
	if f.kind != nil {
		parts = append(parts, f.kind.Error())
	}
	if f.code != "" {
		parts = append(parts, "SQLSTATE "+f.code)
	}
	if f.text != "" {
		parts = append(parts, f.text)
	}
	return strings.Join(parts, ": ")
}

func (f *failure) Unwrap() error { return f.kind }

// SQLState is what cockroach-go asks an error for when it decides about a retry.
func (f *failure) SQLState() string { return f.code }

// failed wraps a driver's error with what was attempted. What has been wrapped
// before, and the errors of the callers' own functions, keep what they are.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, classify(err))
}

func classify(err error) error {
	var known *failure
	var pg *pgconn.PgError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &known), errors.Is(err, errText):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// Both stay visible: a caller that gave up is no sign of a sick database.
		return fmt.Errorf("%w: %w", store.ErrUnavailable, contextCause(err))
	case errors.Is(err, sql.ErrNoRows):
		return &failure{kind: store.ErrNotFound}
	case errors.As(err, &pg):
		return classifyPostgres(pg)
	case errors.As(err, &lite):
		return classifySQLite(lite)
	case connectionTrouble(err):
		return &failure{kind: store.ErrUnavailable, text: err.Error()}
	}
	return &failure{text: fmt.Sprintf("unexpected error of type %T", err)}
}

func contextCause(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return context.DeadlineExceeded
}

// classifyPostgres keeps the message only for the classes that are about the server
// or the statement and not about data.
func classifyPostgres(pg *pgconn.PgError) error {
	f := &failure{code: pg.Code}
	class := pg.Code[:min(2, len(pg.Code))]
	switch class {
	case "08", "25", "28", "3D", "42", "53", "57", "58":
		f.text = pg.Message
	case "23":
		f.text = pg.ConstraintName
	}
	switch {
	case pg.Code == uniqueViolation:
		f.kind = store.ErrConflict
	case class == "40", class == "08", class == "28", class == "3D", class == "53", class == "57", class == "58":
		f.kind = store.ErrUnavailable
	case pg.Code == "25006": // a read-only standby took over the address
		f.kind = store.ErrUnavailable
	}
	return f
}

// classifySQLite keeps the message: SQLite names tables and columns, never values.
func classifySQLite(lite *sqlite.Error) error {
	f := &failure{text: lite.Error()}
	switch code := lite.Code(); {
	case code == sqlitelib.SQLITE_CONSTRAINT_UNIQUE, code == sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY:
		f.kind, f.code = store.ErrConflict, uniqueViolation
	case code&0xff == sqlitelib.SQLITE_BUSY, code&0xff == sqlitelib.SQLITE_LOCKED:
		f.kind, f.code = store.ErrUnavailable, serializationFailure
	case code&0xff == sqlitelib.SQLITE_CONSTRAINT:
	default: // I/O errors, a full disk, a damaged or missing file
		if code&0xff != sqlitelib.SQLITE_ERROR && code&0xff != sqlitelib.SQLITE_MISMATCH {
			f.kind = store.ErrUnavailable
		}
	}
	return f
}

func connectionTrouble(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "sql: database is closed")
}

// mayRetry reports whether a transaction that failed so has certainly not been
// committed and is worth another try.
func mayRetry(err error) bool {
	var f *failure
	return errors.As(err, &f) && (f.code == serializationFailure || f.code == deadlock)
}

// conflict and notFound are for what no driver reports: a compare-and-swap that hit
// no row, an update of nothing.
func conflict(what, why string) error {
	return fmt.Errorf("%s: %w", what, &failure{kind: store.ErrConflict, text: why})
}

func notFound(what string) error {
	return fmt.Errorf("%s: %w", what, &failure{kind: store.ErrNotFound})
}
