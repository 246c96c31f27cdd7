package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// A development broker goes on where it was, whichever signal stopped it and whichever
// command starts it: ports, tasks and credentials stay.
func TestRestart(t *testing.T) {
	dir := testenv.ShortDir(t)
	b := testenv.StartDev(t, dir)
	task := b.Mint(t, nil, readContacts)
	before, err := os.ReadFile(filepath.Join(dir, "env"))
	require.NoError(t, err)
	call := func(t *testing.T, b *testenv.Broker) {
		t.Helper()
		got := b.CLI(t, testenv.Sandbox, task.Key, "invoke", "crm", "contacts.get", "--arg", "id=42")
		require.Zero(t, got.Code, got.Stderr)
		require.Contains(t, got.Stdout, `"id":42`)
	}
	call(t, b)
	require.NoError(t, b.Signal(syscall.SIGINT))
	require.NoError(t, b.Wait(), "SIGINT ends it with status 0")

	b = testenv.StartDev(t, dir)
	after, err := os.ReadFile(filepath.Join(dir, "env"))
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	call(t, b)
	require.Equal(t, []string{"INTENT", "OUTCOME OK", "INTENT", "OUTCOME OK"}, settled(t, b, task.ID, 4))
	require.NoError(t, b.Stop(), "SIGTERM ends it with status 0")

	b = testenv.Reopen(t, b)
	call(t, b)
}

// What dev leaves in its folder is the contract: one database, and in demo/ one file a
// secret and nothing else.
func TestDevFolder(t *testing.T) {
	b := testenv.Dev(t)
	demo, err := os.ReadDir(filepath.Join(b.Dir, "demo"))
	require.NoError(t, err)
	require.Len(t, demo, 4)
	databases, err := filepath.Glob(filepath.Join(b.Dir, "*.db"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(b.Dir, "onedoor.db")}, databases)
	for _, path := range []string{"", "demo", "sockets"} {
		info, err := os.Stat(filepath.Join(b.Dir, path))
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is open to others", path)
	}
	for _, path := range []string{"env", "master.json", "onedoord.yaml", "onedoor.db", "sockets/sandbox.sock", "demo/" + demo[0].Name()} {
		info, err := os.Stat(filepath.Join(b.Dir, path))
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is open to others", path)
	}
	env, err := testenv.ReadEnv(filepath.Join(b.Dir, "env"))
	require.NoError(t, err)
	for _, name := range []string{
		"ONEDOOR_ADDR", "ONEDOOR_REST_URL", "ONEDOOR_PUBLIC_URL", "ONEDOOR_TRUST_BUNDLE", "ONEDOOR_BROKER_ID",
		"ONEDOOR_SANDBOX_SOCKET", "ONEDOOR_SANDBOX2_SOCKET", "ONEDOOR_ORCHESTRATOR_SOCKET", "ONEDOOR_OPERATOR_SOCKET",
		"ONEDOOR_SANDBOX_ID", "ONEDOOR_SANDBOX2_ID",
	} {
		require.NotEmpty(t, env[name], name)
	}
	sourced := testenv.Run(t, "", nil, "sh", "-c", `. "$0/env" && printf %s "$ONEDOOR_ADDR"`, b.Dir)
	require.Equal(t, b.Addr, sourced.Stdout, "a shell reads it as we do")
}

// Alice can call all three connectors as soon as the broker says that it is ready.
func TestDemoConnectors(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, "crm: contacts.* READ contact:*", "payroll: payslip.get READ payslip:*", callLLM)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for call, want := range map[string]string{
		`"crm","tool":"contacts.get","arguments":{"id":"100"}`:                                                       `"id":100`,
		`"crm","tool":"contacts.search","arguments":{"q":"example"}`:                                                 `"total":100`,
		`"payroll","tool":"payslip.get","arguments":{"user":"bob"}`:                                                  `"user":"bob"`,
		`"model","tool":"chat.completions","arguments":{"model":"m","messages":[{"role":"user","content":"hello"}]}`: "You said: hello",
	} {
		answer := rest.Do(t, http.MethodPost, "/v1/invoke", `{"connector":`+call+`}`)
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		require.Contains(t, answer.Body, want)
	}
	tools := b.CLI(t, testenv.Sandbox, task.Key, "tools")
	require.Equal(t, 5, strings.Count(tools.Stdout, "\n"), "the heading and what was granted: %s", tools.Stdout)
}
