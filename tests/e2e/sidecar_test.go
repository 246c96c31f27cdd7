package e2e_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/sidecar"
	"github.com/onedoor/onedoor/tests/testenv"
)

// The programs of docs/sidecar.md run as they are printed there, with the providers' own
// SDKs, which know nothing of TLS or SPIFFE. The provider sends the second part of a stream
// only after the program has shown the first.
func TestSidecarSDKs(t *testing.T) {
	b, p := models(t)
	side := b.Sidecar(t, testenv.Sandbox)
	page, err := os.ReadFile("../../docs/sidecar.md")
	require.NoError(t, err)
	for _, one := range []struct{ name, language, begins string }{
		{"Python openai", "python", "# openai\n"},
		{"Python anthropic", "python", "# anthropic\n"},
		{"Node openai", "js", "// openai\n"},
		{"Node anthropic", "js", "// anthropic\n"},
	} {
		t.Run(one.name, func(t *testing.T) {
			_, program, found := strings.Cut(string(page), "```"+one.language+"\n"+one.begins)
			require.True(t, found)
			program, _, _ = strings.Cut(program, "```")
			task := b.Mint(t, nil, modelGrants...)
			before, start := p.Requests(), len(p.Wire())
			var complaints strings.Builder
			out, ended := runThrough(t, side.URL, task.Key, one.language, program, &complaints)
			require.Equal(t, "Hello, world", readLine(t, out))
			first := make([]byte, len("Hello,"))
			_, err := io.ReadFull(out, first)
			require.NoError(t, err)
			require.Equal(t, "Hello,", string(first))
			p.More()
			require.Equal(t, " world", readLine(t, out))
			refusal := readLine(t, out)
			require.Contains(t, refusal, "RESOURCE_NOT_GRANTED")
			require.NoError(t, ended(), complaints.String())
			require.Equal(t, before+2, p.Requests())
			requireOurs(t, p.Wire()[start:], task.Key)
			require.False(t, strings.Contains(side.Log()+complaints.String(), task.Key), "the key was shown")
		})
	}
}

// runThrough starts a program that has nothing but a URL and a task key.
func runThrough(t *testing.T, url, key, language, program string, complaints io.Writer) (*bufio.Reader, func() error) {
	t.Helper()
	dir := t.TempDir()
	interpreter, file := venvPython(t), "program.py"
	if language == "js" {
		interpreter, file = node(t, dir), "program.mjs"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(program), 0o600))
	cmd := exec.CommandContext(t.Context(), interpreter, file)
	cmd.Dir, cmd.Stderr = dir, complaints
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "ONEDOOR_URL=" + url, "ONEDOOR_TASK_KEY=" + key}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return bufio.NewReader(out), cmd.Wait
}

const getThing = `{"connector":"things","tool":"things.get","arguments":{"id":"1"}}`

// lasting is a broker with one connector and SVIDs of the given life.
func lasting(t *testing.T, life time.Duration) (*testenv.Broker, *testenv.Upstream) {
	t.Helper()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b := testenv.NewSite(t, "", life).Start(t)
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	return b, upstream
}

// SVIDs of three seconds rotate under programs that call all the time through a sidecar:
// no call fails, and none is made twice.
func TestSidecarLosesNoCall(t *testing.T) {
	t.Parallel()
	b, upstream := lasting(t, 3*time.Second)
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	side := b.Sidecar(t, testenv.Sandbox)
	var load sync.WaitGroup
	var calls atomic.Int64
	ended := make(chan struct{})
	for range 4 {
		rest := side.REST(t, task.Key)
		load.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if answer := rest.Do(t, http.MethodPost, "/v1/invoke", getThing); answer.Status != http.StatusOK {
					t.Errorf("call %d: %d %s", calls.Load(), answer.Status, answer.Body)
					return
				}
				calls.Add(1)
			}
		})
	}
	testenv.Eventually(t, "three rotations", func() bool { return strings.Count(side.Log(), "identity renewed") >= 3 || t.Failed() })
	close(ended)
	load.Wait()
	t.Logf("%d calls", calls.Load())
	require.EqualValues(t, calls.Load(), upstream.Requests())
}

// Before there is an identity a sidecar listens and says so, and works when it comes.
func TestSidecarBeforeItsIdentity(t *testing.T) {
	b, upstream := lasting(t, 0)
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	late := filepath.Join(testenv.ShortDir(t), "late.sock")
	side := b.SidecarAt(t, "unix://"+late)
	rest := side.REST(t, task.Key)
	answer := rest.Do(t, http.MethodPost, "/v1/invoke", getThing)
	require.Equal(t, http.StatusServiceUnavailable, answer.Status)
	require.Equal(t, "NO_IDENTITY", answer.Reason(t))
	require.Zero(t, upstream.Requests())
	require.NoError(t, os.Symlink(strings.TrimPrefix(b.Socket(testenv.Sandbox), "unix://"), late))
	testenv.Eventually(t, "an identity", func() bool { return rest.Do(t, http.MethodGet, "/readyz", "").Status == http.StatusOK })
	answer = rest.Do(t, http.MethodPost, "/v1/invoke", getThing)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
}

// The broker stops and another takes its place, at the same address and under the same ID:
// the sidecar says that nothing was sent, and goes on by itself.
func TestSidecarOutlivesTheBroker(t *testing.T) {
	dir := testenv.ShortDir(t)
	b := testenv.StartDev(t, dir)
	task := b.Mint(t, nil, readContacts)
	side := b.Sidecar(t, testenv.Sandbox)
	rest := side.REST(t, task.Key)
	const get = `{"connector":"crm","tool":"contacts.get","arguments":{"id":"42"}}`
	require.Equal(t, http.StatusOK, rest.Do(t, http.MethodPost, "/v1/invoke", get).Status)
	require.NoError(t, b.Stop())
	answer := rest.Do(t, http.MethodPost, "/v1/invoke", get)
	require.Equal(t, http.StatusServiceUnavailable, answer.Status, answer.Body)
	require.Equal(t, "BROKER_UNAVAILABLE", answer.Reason(t))
	require.Contains(t, answer.Body, "nothing was sent")
	testenv.StartDev(t, dir)
	testenv.Eventually(t, "ready again", func() bool { return rest.Do(t, http.MethodGet, "/readyz", "").Status == http.StatusOK })
	require.Equal(t, http.StatusOK, rest.Do(t, http.MethodPost, "/v1/invoke", get).Status)
	require.Contains(t, side.Log(), "the broker answers again")
}

// curl over a unix socket, and the socket is its owner's alone.
func TestSidecarOnASocket(t *testing.T) {
	b := testenv.Dev(t)
	task := b.Mint(t, nil, readContacts)
	path := filepath.Join(testenv.ShortDir(t), "api.sock")
	b.Sidecar(t, testenv.Sandbox, "--listen", "unix:"+path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.Equal(t, http.StatusOK, testenv.SocketREST(t, path, task.Key).Do(t, http.MethodGet, "/v1/tools", "").Status)
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("curl: not run (it is not installed)")
	}
	got := testenv.Run(t, "", nil, "curl", "--silent", "--fail", "--unix-socket", path, "http://localhost/v1/tools", "-H", "Authorization: Bearer "+task.Key)
	require.Zero(t, got.Code, got.Stderr)
	require.Contains(t, got.Stdout, "contacts.get")
}

// The name of the environment variable is the one that dev writes.
func TestSidecarEnvironment(t *testing.T) {
	env, err := testenv.ReadEnv(filepath.Join(testenv.Dev(t).Dir, "env"))
	require.NoError(t, err)
	require.NotEmpty(t, env[sidecar.EnvREST])
	refused := testenv.Run(t, "", []string{"ONEDOOR_REST_URL=https://127.0.0.1:1", "ONEDOOR_BROKER_ID=spiffe://a/b", "SPIFFE_ENDPOINT_SOCKET=unix:///x"},
		testenv.Binary(t, "onedoor"), "sidecar", "--listen", "0.0.0.0:0")
	require.Equal(t, 2, refused.Code)
	require.Contains(t, refused.Stderr, "only loopback")
}
