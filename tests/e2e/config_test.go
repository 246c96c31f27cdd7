package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// check-config tells every fault at once, each with its field, and holds for what dev
// itself writes.
func TestCheckConfig(t *testing.T) {
	program := testenv.Binary(t, "onedoord")
	good := testenv.Run(t, "", nil, program, "check-config", filepath.Join(testenv.Dev(t).Dir, "onedoord.yaml"))
	require.Zero(t, good.Code, good.Stderr)

	write := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "onedoord.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for name, one := range map[string]struct {
		text   string
		fields []string
	}{
		"everything wrong": {`
environment: production
spiffe: {trust_domains: []}
listeners: {grpc: {address: nowhere}, ops: {address: "0.0.0.0:9090"}}
store: {url: "postgres://user:hunter2@db/onedoor"}
keys: {master: "file:/tmp/master.json"}
log: {level: loud}
development: {demo: {}}
`, []string{
			"spiffe.trust_domains", "spiffe.workload_api", "listeners.grpc.address", "listeners.ops.address", "store.url",
			"keys.master", "log.level", "development", "workspaces",
		}},
		"unknown field":      {"environement: production\n", []string{"environement"}},
		"malformed YAML":     {"environment: [\n", []string{"line"}},
		"bad SPIFFE ID":      {"workspaces: [{name: default, operators: [spiffe://UPPER/x]}]\n", []string{"spiffe://UPPER/x"}},
		"empty":              {"", []string{"empty"}},
		"wrong trust domain": {"spiffe: {trust_domains: ['a b']}\n", []string{"a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, one.text)
			said := testenv.Run(t, "", nil, program, "check-config", path)
			require.Equal(t, 1, said.Code, said.Stdout)
			for _, field := range one.fields {
				require.Contains(t, said.Stderr, field)
			}
			require.NotContains(t, said.Stderr, "hunter2", "a password is not repeated")
			served := testenv.Run(t, "", nil, program, "serve", "--config", path)
			require.Equal(t, 1, served.Code, "what cannot be checked is not served either")
		})
	}
	missing := testenv.Run(t, "", nil, program, "check-config", filepath.Join(t.TempDir(), "none.yaml"))
	require.Equal(t, 1, missing.Code)
	require.Contains(t, missing.Stderr, "none.yaml")
}

// Two brokers on one SQLite file would not see each other's revocations in time: the
// second says so and ends.
func TestSecondBrokerOnOneSQLiteFile(t *testing.T) {
	site := testenv.NewSite(t, "", 0)
	site.Start(t)
	path, _ := site.Configure(t)
	said := testenv.Run(t, "", nil, testenv.Binary(t, "onedoord"), "serve", "--config", path)
	require.Equal(t, 1, said.Code)
	require.Contains(t, said.Stderr, "onedoor.db")
	require.NotContains(t, said.Stdout, "ready")
}

// In production nothing migrates by itself: the broker says what to run, and after that
// it serves.
func TestMigrate(t *testing.T) {
	program := testenv.Binary(t, "onedoord")
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	path, _ := site.Configure(t, func(c *config.Config) {
		c.Environment, c.Keys.Master = config.Production, "hcvault://127.0.0.1:1/transit/keys/onedoor"
		c.Keys.VaultTokenFile = filepath.Join(site.Dir, "token")
	})
	require.NoError(t, os.WriteFile(filepath.Join(site.Dir, "token"), []byte("t"), 0o600))
	before := testenv.Run(t, "", nil, program, "serve", "--config", path)
	require.Equal(t, 1, before.Code)
	require.Contains(t, before.Stderr, "onedoord migrate")
	for range 2 {
		done := testenv.Run(t, "", nil, program, "migrate", "--config", path)
		require.Zero(t, done.Code, done.Stderr)
	}
	after := testenv.Run(t, "", nil, program, "serve", "--config", path)
	require.NotContains(t, after.Stderr, "onedoord migrate")
}
