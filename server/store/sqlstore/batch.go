package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// mostRows is how many rows travel to a server in one statement.
const mostRows = 64

// many inserts rows of width columns: head, "($1, …), ($n, …)", tail. each reads what
// the tail returns; nil where it returns nothing.
//
// To a server, many rows go in one round trip. SQLite has no round trips, and looks
// every parameter up by its name, which costs the square of their number: there one
// short statement is prepared once and run for each row, six times as fast.
func (t *tx) many(ctx context.Context, what, head, tail string, width int, args []any, each func(scan scanner) error) error {
	on, most := t.on, mostRows
	if t.oneByOne && len(args) > 0 {
		s, err := t.sql.PrepareContext(ctx, head+values(1, width)+tail)
		if err != nil {
			return t.fail(failed(what, err))
		}
		defer func() { _ = s.Close() }()
		on, most = prepared{s}, 1
	}
	for _, n := range portions(len(args)/width, most) {
		query, part := head+values(n, width)+tail, args[:n*width]
		var err error
		if each == nil {
			_, err = exec(ctx, on, what, query, part)
		} else {
			_, err = rows(ctx, on, what, each, query, part)
		}
		if err != nil {
			return t.fail(err)
		}
		args = args[n*width:]
	}
	return nil
}

// prepared runs its one statement and does not look at the text.
type prepared struct{ stmt *sql.Stmt }

func (p prepared) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return p.stmt.ExecContext(ctx, args...)
}

func (p prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return p.stmt.QueryContext(ctx, args...)
}

// portions cuts n rows into powers of two, most at most, so that there are only a
// few shapes of a statement, which the database plans once each.
func portions(n, most int) []int {
	var parts []int
	for size := most; size > 0; size /= 2 {
		for ; n >= size; n -= size {
			parts = append(parts, size)
		}
	}
	return parts
}

// values gives "($1, $2), ($3, $4)" for two rows of two columns.
func values(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String() + ")"
}
