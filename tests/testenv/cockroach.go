package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/testserver"
	"github.com/jackc/pgx/v5"
)

// Cockroach gives a function that makes an empty CockroachDB database for a test,
// on the server that COCKROACH_URL names or on one started from COCKROACH_BINARY,
// which ends with t. Where neither is set, ok is false: nothing is downloaded.
func Cockroach(t testing.TB) (database func(testing.TB) string, ok bool) {
	t.Helper()
	server := os.Getenv("COCKROACH_URL")
	if binary := os.Getenv("COCKROACH_BINARY"); server == "" && binary != "" {
		ts, err := testserver.NewTestServer(testserver.CockroachBinaryPathOpt(binary))
		if err != nil {
			t.Fatalf("CockroachDB for tests: %v", err)
		}
		t.Cleanup(ts.Stop)
		server = ts.PGURL().String()
	}
	if server == "" {
		return nil, false
	}
	return func(t testing.TB) string { return cockroachDatabase(t, server) }, true
}

func cockroachDatabase(t testing.TB, server string) string {
	t.Helper()
	if rest, ok := strings.CutPrefix(server, "cockroach://"); ok {
		server = "postgres://" + rest
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("CockroachDB for tests: COCKROACH_URL is not a URL")
	}
	name := fmt.Sprintf("onedoor_test_%d_%d", os.Getpid(), databases.Add(1))
	run := func(statement string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, server)
		if err == nil {
			_, err = conn.Exec(ctx, statement)
			_ = conn.Close(ctx)
		}
		if err != nil {
			t.Errorf("CockroachDB for tests: %s: %v", statement, err)
		}
	}
	run("CREATE DATABASE " + name)
	t.Cleanup(func() { run("DROP DATABASE " + name + " CASCADE") })
	u.Path = "/" + name
	return u.String()
}
