// Package testenv gives tests the real things that they need: databases that are
// started for the test and gone after it.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Postgres gives the URL of an empty database of t's own, in a private PostgreSQL
// cluster that this process starts once and that ends with the process, however it
// ends. Where PostgreSQL is not installed the test fails; only ONEDOOR_NO_POSTGRES=1
// outside of CI skips it.
func Postgres(t testing.TB) string {
	t.Helper()
	if os.Getenv("ONEDOOR_NO_POSTGRES") == "1" && os.Getenv("CI") != "true" {
		t.Skip("PostgreSQL: not run (ONEDOOR_NO_POSTGRES=1)")
	}
	c, err := cluster()
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	name := fmt.Sprintf("t%d", databases.Add(1))
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	t.Cleanup(func() {
		if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("PostgreSQL for tests: %v", err)
		}
	})
	return c.url(name)
}

// One cluster serves all tests of a process: starting one takes two seconds, a
// database 50 ms.
var (
	cluster   = sync.OnceValues(startCluster)
	databases atomic.Int64
)

type pgCluster struct {
	port int
	// alive is held open as long as this process lives; see keeper.
	alive io.WriteCloser
}

// keeper runs the server until its standard input ends, which it does when the test
// process is gone, crashed or killed too. Then it leaves nothing behind.
const keeper = `
"$1/postgres" -D "$2/data" -h 127.0.0.1 -p "$3" -k "$2" \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 \
    -c default_transaction_isolation=serializable >"$2/log" 2>&1 &
read -r _
kill -QUIT $!
wait $!
rm -rf "$2"
`

func startCluster() (*pgCluster, error) {
	bin, err := pgBinaries()
	if err != nil {
		return nil, err
	}
	owner, err := pgOwner()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "onedoor-pg-")
	if err != nil {
		return nil, err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	keep := exec.Command("sh", "-c", keeper, "keeper", bin, dir, strconv.Itoa(port))
	keep.Dir, keep.SysProcAttr = dir, &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	c := &pgCluster{port: port}
	if c.alive, err = keep.StdinPipe(); err != nil {
		return nil, err
	}
	if err := keep.Start(); err != nil {
		return nil, err
	}
	if err := c.ready(time.Minute); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("start: %w: %s", err, log), c.alive.Close(), keep.Wait())
	}
	return c, nil
}

func (c *pgCluster) url(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

func (c *pgCluster) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func (c *pgCluster) ready(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := c.exec("SELECT 1")
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// pgBinaries finds the folder of initdb and postgres, which Debian keeps out of PATH.
func pgBinaries() (string, error) {
	var places []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		places = append(places, strings.TrimSpace(string(out)))
	}
	versioned, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(versioned)
	slices.Reverse(versioned)
	places = append(places, versioned...)
	if path, err := exec.LookPath("initdb"); err == nil {
		places = append(places, filepath.Dir(path))
	}
	for _, p := range places {
		if _, err := os.Stat(filepath.Join(p, "initdb")); err == nil {
			return p, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed: run `make deps`, or set ONEDOOR_NO_POSTGRES=1 to go without (not in CI)")
}

// pgOwner is the user under whom the server runs: it refuses to run as root.
func pgOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: run `make deps`", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// PostgresRows gives every row of every table of a database, as text; bytes are in hex.
func PostgresRows(t testing.TB, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	column := func(query string) []string {
		rows, err := conn.Query(t.Context(), query)
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return texts
	}
	var all strings.Builder
	for _, table := range column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'") {
		name := pgx.Identifier{table}.Sanitize()
		for _, row := range column("SELECT r::text FROM " + name + " AS r") {
			all.WriteString(table + " " + row + "\n")
		}
	}
	return all.String()
}
