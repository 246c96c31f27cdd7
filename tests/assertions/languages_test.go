// Package assertions_test judges the golden vectors by JWT libraries that are not ours,
// with the very programs that docs/assertions.md prints.
package assertions_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/conformance/assertions"
)

const (
	root  = "../.."
	page  = root + "/docs/assertions.md"
	cases = root + "/tests/conformance/assertions/vectors.json"
)

// block gives the one block of a language on the page that holds a text.
func block(t *testing.T, language, holding string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], holding) {
			found = append(found, m[1])
		}
	}
	require.Len(t, found, 1, "blocks of %s with %q", language, holding)
	return found[0]
}

// requireVerdicts compares what a program accepted with what the vectors say.
func requireVerdicts(t *testing.T, accepted map[string]bool) {
	t.Helper()
	file, err := assertions.Load(cases)
	require.NoError(t, err)
	judged := 0
	for _, c := range file.Cases {
		if c.Layer == "service" || c.Profile != "request-bound" {
			require.NotContains(t, accepted, c.Name)
			continue
		}
		judged++
		require.Contains(t, accepted, c.Name)
		if accepted[c.Name] != c.Valid {
			t.Errorf("%s: accepted is %v, the vectors say %v (%s)", c.Name, accepted[c.Name], c.Valid, c.Reason)
		}
	}
	require.Greater(t, judged, 75)
	require.Len(t, accepted, judged)
}

// run gives the verdicts that a harness prints.
func run(t *testing.T, name string, args ...string) map[string]bool {
	t.Helper()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	var accepted map[string]bool
	require.NoError(t, json.Unmarshal(out, &accepted), string(out))
	return accepted
}

// adapted gives a printed program with some words of it changed, each of which stands in
// it exactly once.
func adapted(t *testing.T, program string, changes map[string]string) string {
	t.Helper()
	for printed, changed := range changes {
		require.Equal(t, 1, strings.Count(program, printed), "%q in a program of the page", printed)
		program = strings.Replace(program, printed, changed, 1)
	}
	return program
}

// absent ends a test for want of what `make deps` installs: in CI by failing.
func absent(t *testing.T, is bool, what string) {
	t.Helper()
	if is && os.Getenv("CI") != "true" {
		t.Skipf("not run: %s missing: run `make deps`", what)
	}
	require.False(t, is, "%s missing: run `make deps`", what)
}

// tool gives the path of a program.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	absent(t, err != nil, name)
	return path
}

// python writes the page's program into a folder, with changes, and gives the
// interpreter and the folder.
func python(t *testing.T, changes map[string]string) (interpreter, dir string) {
	t.Helper()
	interpreter = filepath.Join(venv(), "bin", "python")
	require.NoError(t, exec.Command(interpreter, "-c", "import jwt, cryptography").Run(), "%s has no PyJWT: run `make deps`", interpreter)
	dir = t.TempDir()
	program := adapted(t, block(t, "python", "def verify"), changes) + "\n" + block(t, "python", "def bound") + "\n" + block(t, "python", "def first")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "program.py"), []byte(program), 0o600))
	return interpreter, dir
}

// venv is where the Python packages are.
func venv() string {
	if set := os.Getenv("ONEDOOR_VENV"); set != "" {
		return set
	}
	return filepath.Join(root, ".venv")
}

func TestPyJWT(t *testing.T) {
	interpreter, dir := python(t, nil)
	requireVerdicts(t, run(t, interpreter, "run.py", cases, dir))
}

// node writes the page's program, with changes, where it finds its packages, and gives
// the interpreter and its path.
func node(t *testing.T, changes map[string]string) (interpreter, path string) {
	t.Helper()
	interpreter = tool(t, "node")
	modules, err := filepath.Abs(filepath.Join(root, ".node", "node_modules"))
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(modules, "jose"))
	absent(t, err != nil, "a package in .node")
	dir := t.TempDir()
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	path = filepath.Join(dir, "program.mjs")
	program := adapted(t, block(t, "js", "function verify"), changes) + "\n" + block(t, "js", "function bound") + "\n" + block(t, "js", "function first")
	require.NoError(t, os.WriteFile(path, []byte(program), 0o600))
	return interpreter, path
}

func TestNodeJose(t *testing.T) {
	interpreter, path := node(t, nil)
	requireVerdicts(t, run(t, interpreter, "run.mjs", cases, path))
}

func TestGolangJWT(t *testing.T) {
	file, err := assertions.Load(cases)
	require.NoError(t, err)
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(file.JWKS, &set))
	keys := ecKeys(set)
	now := func() time.Time { return time.Unix(file.Now, 0) }
	accepted := map[string]bool{}
	for _, c := range file.Cases {
		if c.Layer == "service" || c.Profile != "request-bound" {
			continue
		}
		claims, err := verify(c.Request.Headers[0][1], keys, now)
		accepted[c.Name] = err == nil && (c.Layer == "token" || bound(claims, c.Request.Method, c.Request.URL, []byte(c.Request.Body)))
	}
	requireVerdicts(t, accepted)
}

// TestThePageShowsWhatRuns: the Go programs are those that are built here.
func TestThePageShowsWhatRuns(t *testing.T) {
	for path, from := range map[string]string{
		filepath.Join("service", "main.go"): "package main\n",
		"golangjwt_test.go":                 "const issuer, audience",
	} {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		start := strings.Index(string(source), from)
		require.GreaterOrEqual(t, start, 0)
		require.Equal(t, string(source)[start:], block(t, "go", from), path)
	}
}
