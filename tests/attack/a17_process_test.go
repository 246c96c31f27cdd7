package attack_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestAttack17_NoCore: a broker that crashes in the middle of a call leaves no core file
// and no secret in the traceback, and no process of its user's can look into its memory.
func TestAttack17_NoCore(t *testing.T) {
	site := testenv.NewSite(t, "", 0)
	site.Env = []string{"GOTRACEBACK=crash"}
	user := uint32(os.Getuid())
	if user == 0 { // who owns everything in any case
		user = 65534
		site.User = &syscall.Credential{Uid: user, Gid: user}
	}
	// The kernel gives to root what a process of the same user may not trace: proc(5).
	owner := func(pid int) uint32 {
		file, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid))
		require.NoError(t, err)
		return file.Sys().(*syscall.Stat_t).Uid
	}
	other := exec.Command("sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{Credential: site.User}
	other.Dir = "/"
	require.NoError(t, other.Start())
	testenv.Eventually(t, "another process is its user's", func() bool { return owner(other.Process.Pid) == user })
	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())

	hanging, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(hanging); <-release }))
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &before))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max})) // the broker is born with it
	b := site.Start(t)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_CORE, &before))
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", b.PID()))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^Max core file size +0 +0 `, string(limits))
	require.Zero(t, owner(b.PID()), "not to be traced")

	b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
	b.Put(t, "things", "alice", canary)
	task := b.Mint(t, nil, readThings)
	called := make(chan error)
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	go func() {
		_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		called <- err
	}()
	<-hanging
	require.Zero(t, owner(b.PID()), "and so it stays")
	require.NoError(t, b.Signal(syscall.SIGABRT))
	var exit *exec.ExitError
	require.ErrorAs(t, b.Wait(), &exit)
	require.Error(t, <-called)
	status := exit.Sys().(syscall.WaitStatus)
	require.Equal(t, syscall.SIGABRT, status.Signal())
	require.False(t, status.CoreDump())
	require.Contains(t, b.Log(), "goroutine ", "it did trace")
	absent(t, "the traceback", b.Log(), canary, task.Key)
}

// TestAttack17_StartFailures: a broker that cannot start says why, without the secrets
// that it was to start with.
func TestAttack17_StartFailures(t *testing.T) {
	site, another := testenv.NewSite(t, "", 0), testenv.NewSite(t, "", 0)
	for _, s := range []*testenv.Site{site, another} {
		require.NoError(t, s.Start(t).Stop())
	}
	const password = "canary-pass/word+7f1d9c2b"
	urlFile := func(url string) func(*config.Config) {
		file := filepath.Join(t.TempDir(), "url")
		require.NoError(t, os.WriteFile(file, []byte(url), 0o600))
		return func(c *config.Config) { c.Store = config.Store{URLFile: file} }
	}
	const quoted = "canary-pass%2Fword+7f1d9c2b"
	for what, one := range map[string]struct {
		edit func(*config.Config)
		says string
	}{
		"another master key":      {func(c *config.Config) { c.Keys.Master = "file:" + filepath.Join(another.Dir, "master.json") }, "keys"},
		"a database that is down": {urlFile("postgres://onedoor:" + quoted + "@127.0.0.1:1/db?sslmode=disable"), "open the store"},
		"a URL that is none":      {urlFile("postgres://onedoor:" + quoted + "@[::1/db"), "store URL"},
		"another kind":            {urlFile("mysql://onedoor:" + quoted + "@127.0.0.1/db"), "store URL"},
		"a bad setting":           {urlFile("postgres://onedoor:" + quoted + "@127.0.0.1:1/db?sslmode=" + quoted), "store URL"},
		"a password in the file":  {func(c *config.Config) { c.Store.URL = "postgres://onedoor:" + quoted + "@127.0.0.1:1/db" }, "holds a password"},
		"a password behind a ?":   {func(c *config.Config) { c.Store.URL = "postgres://127.0.0.1:1/db?password=" + quoted }, "holds a password"},
		"a KMS that is not there": {func(c *config.Config) { c.Keys.Master = "hcvault://" + quoted + "@127.0.0.1:1/transit/keys/x" }, "keys.master"},
	} {
		t.Run(what, func(t *testing.T) {
			path, _ := site.Configure(t, one.edit)
			for _, command := range [][]string{{"serve", "--config", path}, {"migrate", "--config", path}, {"check-config", path}} {
				said := testenv.Run(t, "", nil, append([]string{testenv.Binary(t, "onedoord")}, command...)...)
				absent(t, command[0], said.Stdout+said.Stderr, append(masterKeys(t, site, another), password, quoted)...)
				if command[0] == "serve" {
					require.NotZero(t, said.Code)
					require.Contains(t, said.Stderr, one.says)
				}
			}
		})
	}
}

// masterKeys are the keys in the files of sites.
func masterKeys(t *testing.T, sites ...*testenv.Site) (keys []string) {
	t.Helper()
	for _, s := range sites {
		text, err := os.ReadFile(filepath.Join(s.Dir, "master.json"))
		require.NoError(t, err)
		keys = append(keys, regexp.MustCompile(`[A-Za-z0-9+/_-]{32,}`).FindAllString(string(text), -1)...)
	}
	require.GreaterOrEqual(t, len(keys), len(sites))
	return keys
}

// TestAttack17_CLI: a secret comes in by a file or standard input and is not repeated,
// neither when all is well nor in any error.
func TestAttack17_CLI(t *testing.T) {
	b, _ := target(t, echoPath)
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(canary), 0o600))
	for _, one := range []struct {
		code  bool // that it succeeds
		stdin string
		args  []string
	}{
		{true, canary, []string{"things", "--user", "alice", "--from-file", "-"}},
		{true, "", []string{"things", "--user", "alice", "--from-file", file}},
		{true, canary, []string{"-o", "json", "things", "--user", "alice", "--from-file", "-"}},
		{false, canary, []string{"nothing", "--user", "alice", "--from-file", "-"}},
		{false, canary, []string{"things", "--workspace", "--from-file", "-"}},
		{false, canary + "\nsecond: line", []string{"things", "--user", "alice", "--from-file", "-"}},
		{false, canary + "\x00", []string{"things", "--user", "alice", "--from-file", "-"}},
		{false, canary, []string{"things", "--user", "alice"}},
		{false, canary, []string{"things", "--user", "alice", "--secret", canary}},
		{false, canary, []string{"things", "--user", "alice", "--from-file", "-", canary}},
		{false, canary, []string{"things", "--user", "alice", "--from-file", filepath.Join(file, "x")}},
	} {
		said := b.CLIWith(t, testenv.Operator, "", one.stdin, append([]string{"credential", "put"}, one.args...)...)
		require.Equal(t, one.code, said.Code == 0, "%v: %s", len(one.args), strings.ReplaceAll(said.Stderr, canary, "CANARY"))
		absent(t, "what it says", said.Stdout+said.Stderr, canary)
	}
	list := b.CLI(t, testenv.Operator, "", "credential", "list")
	require.Contains(t, list.Stdout, "things")
	absent(t, "the list", list.Stdout+list.Stderr, canary)
	absent(t, "the log", b.Log(), canary)
}

// TestAttack17_Listeners: what operators look at is not where callers are, and what
// profiles say of memory is where things lie, not what they are.
func TestAttack17_Listeners(t *testing.T) {
	b, _ := target(t, echoPath)
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	require.Equal(t, http.StatusOK, rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`)).Status)
	public := b.RESTWith(t, b.Anonymous(t), b.PublicURL, "")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug/requests", "/config", "/env", "/readyz/../debug/pprof/"} {
		require.Equal(t, http.StatusNotFound, rest.Do(t, http.MethodGet, path, "").Status, path)
		require.Equal(t, http.StatusNotFound, public.Do(t, http.MethodGet, path, "").Status, path)
	}
	for _, path := range []string{
		"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/allocs?debug=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/block",
		"/debug/pprof/mutex", "/debug/pprof/threadcreate", "/debug/pprof/cmdline", "/debug/pprof/symbol",
	} {
		absent(t, path, get(t, b.OpsURL+path), canary, task.Key)
	}
	for _, path := range []string{"/debug/vars", "/healthz", "/v1/task", "/"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.OpsURL+path, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, testenv.Fetch(t, testenv.HTTPS(t, nil), request).Status, path)
	}
}
