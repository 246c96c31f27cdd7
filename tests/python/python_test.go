// Package python_test runs the Python SDK's own tests: those that need nothing, those
// against the real broker, and its package as people would install it.
package python_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/devspiffe"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// sdk is the SDK's folder.
func sdk(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "sdk-python"))
	require.NoError(t, err)
	return path
}

// python is the interpreter of the tests' virtual environment.
func python(t *testing.T) string {
	t.Helper()
	venv := os.Getenv("ONEDOOR_VENV")
	if venv == "" {
		venv = filepath.Join(sdk(t), "..", ".venv")
	}
	path := filepath.Join(venv, "bin", "python")
	require.NoError(t, exec.Command(path, "-c", "import pytest, spiffe, google.rpc").Run(), "%s lacks packages: run `make deps`", path)
	return path
}

// report is what pytest writes in the form of JUnit.
type report struct {
	Cases []struct {
		Class   string    `xml:"classname,attr"`
		Name    string    `xml:"name,attr"`
		Failure []outcome `xml:"failure"`
		Error   []outcome `xml:"error"`
		Skipped []outcome `xml:"skipped"`
	} `xml:"testsuite>testcase"`
}

type outcome struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// pytest runs a folder of tests and turns every one into a subtest, so that whoever
// counts Go's tests counts these.
func pytest(t *testing.T, env []string, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "junit.xml")
	cmd := exec.CommandContext(t.Context(), python(t), append([]string{"-m", "pytest", "-rP", "-p", "no:cacheprovider", "--junitxml", file}, args...)...)
	cmd.Dir = sdk(t)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "PYTHONDONTWRITEBYTECODE=1"}, env...)
	out, runErr := cmd.CombinedOutput()
	text, err := os.ReadFile(file)
	require.NoError(t, err, "pytest did not report: %v\n%s", runErr, out)
	var r report
	require.NoError(t, xml.Unmarshal(text, &r))
	require.NotEmpty(t, r.Cases, "%s", out)
	failed := false
	for _, c := range r.Cases {
		t.Run(c.Class+"."+c.Name, func(t *testing.T) {
			for _, o := range append(c.Failure, c.Error...) {
				failed = true
				t.Errorf("%s\n%s", o.Message, o.Text)
			}
			if len(c.Skipped) > 0 {
				t.Skip(c.Skipped[0].Message)
			}
		})
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "none lost") {
			t.Log(strings.TrimSpace(line))
		}
	}
	require.False(t, runErr != nil && !failed, "pytest failed beside its tests: %v\n%s", runErr, out)
}

func TestPythonSDKUnit(t *testing.T) {
	t.Parallel()
	pytest(t, nil, "tests")
}

// upstream answers what the tests in sdk-python/tests/real expect.
func upstream(t *testing.T) *testenv.Upstream {
	var mu sync.Mutex
	counts := map[string]int{}
	return testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Base(r.URL.Path)
		switch {
		case r.Method == http.MethodPost:
			_, _ = fmt.Fprint(w, bodyOf(r))
		case name == "odd":
			w.Header().Set("X-Kind", "thing")
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, "{ \"z\": 9007199254740993,\n\t\"a\":1.10 }")
		case name == "missing":
			w.WriteHeader(http.StatusNotFound)
		case name == "events":
			w.Header().Set("Content-Type", "text/event-stream")
			for _, event := range []string{"one", "two", "[DONE]"} {
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			}
		case name == "large":
			_, _ = w.Write(make([]byte, 1<<20))
		case strings.HasPrefix(name, "count-"):
			mu.Lock()
			defer mu.Unlock()
			counts[name]++
			_, _ = fmt.Fprint(w, counts[name])
		}
	}))
}

func bodyOf(r *http.Request) string {
	var b strings.Builder
	_, _ = fmt.Fprint(&b, r.Header.Get("Content-Type"), " ")
	buffer := make([]byte, 1<<16)
	for {
		n, err := r.Body.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			return b.String()
		}
	}
}

// site starts a broker whose SVID names no host, as SPIFFE intends, and gives the
// environment of a sandbox with a task.
func site(t *testing.T, life time.Duration) []string {
	t.Helper()
	s := testenv.NewSite(t, "", life)
	b := s.Start(t, func(c *config.Config) {
		self := spiffeid.RequireFromString("spiffe://" + testenv.Domain + "/broker1")
		s.Authority.Remove(self)
		_, err := s.Authority.Add(devspiffe.Workload{ID: self, Socket: filepath.Base(c.SPIFFE.WorkloadAPI)})
		require.NoError(t, err)
		// Clients of the others check host names.
		c.Listeners.REST, c.Listeners.Public = config.Listener{}, config.Listener{}
	})
	b.Apply(t, upstream(t).Manifest("things", "", testenv.Things))
	// As long as a run by hand may take.
	long := func(r *onedoorv1.TasksCreateRequest) {
		b.DelegatesToSandbox2(r)
		r.Ttl = durationpb.New(time.Hour)
	}
	task := b.Mint(t, long, "things: things.get READ thing:odd,thing:missing,thing:events,thing:large,thing:count-*,thing:1", "things: things.make WRITE thing:*")
	return []string{
		"ONEDOOR_ADDR=" + b.Addr, "ONEDOOR_BROKER_ID=" + b.ID, "ONEDOOR_TASK_KEY=" + task.Key,
		"SPIFFE_ENDPOINT_SOCKET=" + b.Socket(testenv.Sandbox), "ONEDOOR_TEST_SOCKET2=" + b.Socket(testenv.Sandbox2),
		"ONEDOOR_TEST_ROTATION_SECONDS=" + rotationSeconds(),
	}
}

func TestPythonSDKReal(t *testing.T) {
	t.Parallel()
	life := 3 * time.Second
	if text := os.Getenv("ONEDOOR_TEST_SVID_LIFE"); text != "" {
		var err error
		life, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	pytest(t, site(t, life), "tests/real", "--timeout", "0")
}

const firstCall = `
import onedoor, sys
with onedoor.Client() as client:
    answer = client.invoke("things", "things.get", id="1")
print(onedoor.__file__, answer.status)
`

// The wheel holds all that is needed, and no more than the package.
func TestPythonWheel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(env []string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), python(t), args...)
		cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	// It brings its build backend from the tests' environment: nothing is fetched.
	run(nil, "-m", "build", "--wheel", "--no-isolation", "--outdir", dir, sdk(t))
	wheels, err := filepath.Glob(filepath.Join(dir, "onedoor-*-py3-none-any.whl"))
	require.NoError(t, err)
	require.Len(t, wheels, 1)
	run(nil, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target", filepath.Join(dir, "site"), wheels[0])
	out := run(append(site(t, 0), "PYTHONPATH="+filepath.Join(dir, "site")), "-c", firstCall)
	require.Contains(t, out, filepath.Join(dir, "site", "onedoor"))
	require.Contains(t, out, "200")
	installed, err := filepath.Glob(filepath.Join(dir, "site", "*"))
	require.NoError(t, err)
	require.Len(t, installed, 2, "the package and its metadata: %v", installed)
}

// rotationSeconds is how long each client calls while SVIDs rotate; a run by hand may
// set more.
func rotationSeconds() string {
	if text := os.Getenv("ONEDOOR_TEST_ROTATION_SECONDS"); text != "" {
		return text
	}
	return "10"
}

// TestPythonDocs runs every program of docs/python.md, in its order, against a broker as
// `make run` starts it.
func TestPythonDocs(t *testing.T) {
	t.Parallel()
	b := testenv.StartDev(t, testenv.ShortDir(t))
	task := b.Mint(t, b.DelegatesToSandbox2, "crm: contacts.get,contacts.update WRITE contact:*", "model: chat.completions READ model:*")
	text, err := os.ReadFile(filepath.Join(sdk(t), "..", "docs", "python.md"))
	require.NoError(t, err)
	programs := strings.Split(string(text), "```python\n")[1:]
	require.Len(t, programs, 8)
	for i, program := range programs {
		program, _, _ = strings.Cut(program, "\n```\n")
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), python(t), "-c", program)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{
				"PATH=" + filepath.Dir(testenv.Binary(t, "onedoor")) + ":" + os.Getenv("PATH"), "HOME=" + cmd.Dir,
				"PYTHONPATH=" + filepath.Join(sdk(t), "src"), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1",
				"ONEDOOR_ADDR=" + b.Addr, "ONEDOOR_BROKER_ID=" + b.ID, "ONEDOOR_TASK_KEY=" + task.Key,
				"SPIFFE_ENDPOINT_SOCKET=" + b.Socket(testenv.Sandbox), "ONEDOOR_TRUST_BUNDLE=" + b.Bundle,
				"ONEDOOR_SANDBOX2_ID=" + b.SPIFFEID(testenv.Sandbox2), "ONEDOOR_SANDBOX2_SOCKET=" + b.Socket(testenv.Sandbox2),
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), expected[i])
			require.NotContains(t, string(out), task.Key)
		})
	}
}

// expected is part of what each of these programs prints.
var expected = []string{"200 Alan Liskov", "Acme", "Hello", "GRANT_MISSING", "+00:00\n200", "[DONE]", "not granted:", "ACTIVE"}
