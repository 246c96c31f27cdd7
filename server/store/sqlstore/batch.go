package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// mostRows is how many rows travel to a server in one statement.
const mostRows = 64

// many inserts rows of width columns: head, "($1, …), ($n, …)", tail. It gives the
// number of rows that came to be.
//
// To a server, many rows go in one round trip. SQLite has no round trips, and looks
// every parameter up by its name, which costs the square of their number: there one
// short statement is prepared once and run for each row, six times as fast.
func (t *tx) many(ctx context.Context, what, head, tail string, width int, args []any) (int64, error) {
	on, most := t.on, mostRows
	if t.oneByOne && len(args) > 0 {
		s, err := t.sql.PrepareContext(ctx, head+values(1, width)+tail)
		if err != nil {
			return 0, t.fail(failed(what, err))
		}
		defer func() { _ = s.Close() }()
		on, most = prepared{s}, 1
	}
	made := int64(0)
	for _, n := range portions(len(args)/width, most) {
		affected, err := exec(ctx, on, what, head+values(n, width)+tail, args[:n*width])
		if err != nil {
			return 0, t.fail(err)
		}
		made += affected
		args = args[n*width:]
	}
	return made, nil
}

// prepared runs its one statement and does not look at the text.
type prepared struct{ stmt *sql.Stmt }

func (p prepared) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return p.stmt.ExecContext(ctx, args...)
}

// QueryContext is there for runner; nothing that is prepared returns rows.
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
