package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/store/sqlstore"
	"github.com/onedoor/onedoor/tests/testenv"
)

// What one database alone is asked: its version and its time.
var (
	onlyServer = []string{"versionOfServer", "timeOfServer"}
	onlySQLite = []string{"versionOfSQLite"}
)

// TestStatementsAreWhatAllDatabasesKnow stands in for a CockroachDB parser, which
// cannot be had: only constructs that its grammar was checked for are let through.
func TestStatementsAreWhatAllDatabasesKnow(t *testing.T) {
	all := statements(t)
	require.Greater(t, len(all), 50, "the statements are found at all")
	for name, s := range all {
		if !slices.Contains(append(onlyServer, onlySQLite...), name) {
			require.Empty(t, unportable(s), "%s: %s", name, s)
		}
	}
}

func TestUnportableStatementsAreFound(t *testing.T) {
	for name, s := range map[string]string{
		"row lock":         `SELECT id FROM tasks FOR UPDATE`,
		"skip locked":      `SELECT id FROM tasks FOR UPDATE SKIP LOCKED`,
		"array":            `SELECT id FROM tasks WHERE id = ANY($1)`,
		"lower-case array": `SELECT id FROM tasks WHERE id = any($1)`,
		"clock":            `SELECT now()`,
		"clock keyword":    `SELECT CURRENT_TIMESTAMP`,
		"cast":             `SELECT $1::text`,
		"listen":           `LISTEN x`,
		"advisory lock":    `SELECT pg_advisory_lock(1)`,
		"question mark":    `SELECT id FROM tasks WHERE id = ?`,
		"JSON operator":    `SELECT detail -> 'a' FROM audit_events`,
		"two statements":   `SELECT 1; SELECT 2`,
		"comment":          `SELECT 1 -- x`,
		"SQLite's replace": `INSERT OR REPLACE INTO tasks (id) VALUES ($1)`,
		"time travel":      `SELECT 1 AS OF SYSTEM TIME $1`,
		"quoted name":      `SELECT "id" FROM tasks`,
	} {
		require.NotEmpty(t, unportable(s), name)
	}
}

// TestStatementsPrepare has every statement parsed and planned by both databases.
func TestStatementsPrepare(t *testing.T) {
	all := statements(t)
	t.Run("PostgreSQL", func(t *testing.T) {
		url := testenv.Postgres(t)
		migrated(t, url)
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(context.Background())) }()
		for name, s := range all {
			if !slices.Contains(onlySQLite, name) {
				_, err := conn.Prepare(t.Context(), name, s)
				require.NoError(t, err, name)
			}
		}
	})
	t.Run("SQLite", func(t *testing.T) {
		db := schema(t)
		for name, s := range all {
			if !slices.Contains(onlyServer, name) {
				require.NotEmpty(t, plan(t, db, "EXPLAIN "+s), name)
			}
		}
	})
}

// TestEveryStatementNamesItsWorkspace: what belongs to a workspace is found only
// with its name, but for the few statements that are made across workspaces.
func TestEveryStatementNamesItsWorkspace(t *testing.T) {
	owned := regexp.MustCompile(`(FROM|UPDATE|JOIN) (users|tasks|task_keys|grants|grant_counters|idempotency_keys|connectors|connector_revisions|credentials|credential_refreshes|usage_ledger|connects|delegations|delegated_grants)\b`)
	across := []string{"findTaskByKey", "credentialsWithout", "findRunByLink", "findRunByState", "pruneRuns"}
	for name, s := range statements(t) {
		if owned.MatchString(s) && !slices.Contains(across, name) {
			require.Contains(t, s, "workspace_id = $1", name)
		}
	}
}

// TestStatementsUseIndexes: but for small tables that are read whole, no statement
// becomes slower as a table grows.
func TestStatementsUseIndexes(t *testing.T) {
	whole := []string{"listKeys", "schemaVersion", "findOpenHeads", "credentialsWithout"}
	// Steps over what a statement made itself, a page of tasks, sums or a tree of ids, and
	// over an index that holds open chains alone.
	own := []string{"listTasks: SCAN t", "listTree: SCAN t", "endTasks: SCAN p", "endTasks: SCAN tree", "findTree: SCAN p", "findTree: SCAN tree", "findEndedAbove: SCAN a", "findEndedAbove: SCAN above",
		"reserveCounter: SCAN a", "reserveCounter: SCAN c", "settleCounter: SCAN a", "readCounter: SCAN a", "findDeadChains: SCAN c USING INDEX audit_chains_open", "sumUsage: SCAN s", "sumUsage: SCAN p", "sumUsage: SCAN tree"}
	db := schema(t)
	for name, s := range statements(t) {
		if slices.Contains(append(onlyServer, whole...), name) {
			continue
		}
		for _, step := range plan(t, db, "EXPLAIN QUERY PLAN "+s) {
			scan := strings.HasPrefix(step, "SCAN ") && !strings.HasSuffix(step, "VALUES CLAUSE") && step != "SCAN CONSTANT ROW"
			require.False(t, scan && !slices.Contains(own, name+": "+step), "%s: %s", name, step)
			if name == "listEvents" || name == "listEventsOfTask" {
				// Rows of the very same microsecond are few, and sorted by themselves.
				require.NotContains(t, step, "TEMP B-TREE FOR ORDER BY", "%s is sorted by its index", name)
			}
		}
	}
}

// allowed are the words in capitals that a statement may hold; functions among them.
var allowed = strings.Fields(`SELECT FROM WHERE AND OR NOT IN EXISTS AS JOIN LEFT ON ORDER BY DESC LIMIT NULL TRUE FALSE
	INSERT INTO VALUES CONFLICT DO NOTHING UPDATE SET DELETE RETURNING WITH RECURSIVE UNION ALL CASE WHEN THEN ELSE END COALESCE MAX SUM GROUP`)

// unportable gives what in a statement is not on the list.
func unportable(s string) (found []string) {
	s = regexp.MustCompile(`'[A-Za-z_]*'`).ReplaceAllString(s, `''`)
	for _, w := range regexp.MustCompile(`[A-Z][A-Z_]*`).FindAllString(s, -1) {
		if !slices.Contains(allowed, w) {
			found = append(found, w)
		}
	}
	// Functions are written in capitals and without a space; nothing else is.
	found = append(found, regexp.MustCompile(`[a-z_0-9]+\(`).FindAllString(s, -1)...)
	return append(found, regexp.MustCompile(`::|->|--|\|\||[^\sA-Za-z0-9_$(),.='<>*+-]`).FindAllString(s, -1)...)
}

// statements gives every SQL statement of the package by the name of its constant.
func statements(t *testing.T) map[string]string {
	t.Helper()
	found := sqlstore.Built()
	for name, value := range constants(t) {
		switch first, _, _ := strings.Cut(strings.TrimSpace(value), " "); first {
		case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
			if strings.HasSuffix(value, "VALUES ") {
				require.Contains(t, []string{"insertEvents", "claimKeysHead"}, name, "Built must give it")
				continue
			}
			found[name] = value
		}
	}
	return found
}

// constants evaluates the package's text constants, which are literals, names and
// sums. Inside functions no statement may stand.
func constants(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	begins := regexp.MustCompile("^[`\"]\\s*(SELECT|INSERT|UPDATE|DELETE|WITH) ")
	exprs := map[string]ast.Expr{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i := range n.Values {
					exprs[n.Names[i].Name] = n.Values[i]
				}
				return false
			case *ast.BasicLit:
				require.False(t, begins.MatchString(n.Value), "a statement inside a function: %s", n.Value)
			}
			return true
		})
	}
	texts := map[string]string{}
	for name, e := range exprs {
		if s, ok := evaluate(e, exprs); ok {
			texts[name] = s
		}
	}
	return texts
}

func evaluate(e ast.Expr, names map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		if named, ok := names[e.Name]; ok {
			return evaluate(named, names)
		}
	case *ast.BinaryExpr:
		left, ok1 := evaluate(e.X, names)
		right, ok2 := evaluate(e.Y, names)
		return left + right, ok1 && ok2
	}
	return "", false
}

// schema gives an SQLite database with the schema in it.
func schema(t *testing.T) *sql.DB {
	t.Helper()
	url := sqliteURL(t)
	migrated(t, url)
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// plan runs an EXPLAIN without arguments and gives the last column of its rows.
func plan(t *testing.T, db *sql.DB, s string) (steps []string) {
	t.Helper()
	most := 0
	for _, p := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(s, -1) {
		n, err := strconv.Atoi(p[1])
		require.NoError(t, err)
		most = max(most, n)
	}
	rows, err := db.QueryContext(t.Context(), s, make([]any, most)...)
	require.NoError(t, err, s)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		require.NoError(t, rows.Scan(into...))
		steps = append(steps, fmt.Sprint(row[len(row)-1]))
	}
	require.NoError(t, rows.Err())
	return steps
}
