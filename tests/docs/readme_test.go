package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestReadmeAsANewUser pastes the README's blocks into one shell, the second terminal of
// its story, and looks at what comes back.
func TestReadmeAsANewUser(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("README: not run (curl is not installed)")
	}
	readme := read(t, "README.md")
	script := blocks(readme, "sh")
	require.Greater(t, len(script), 4)
	require.Contains(t, script[0], "onedoord dev --dir ~/onedoor-dev", "the first terminal")

	home := testenv.ShortDir(t)
	dev := filepath.Join(home, "onedoor-dev")
	testenv.StartDev(t, dev)
	require.NoError(t, os.Symlink(filepath.Dir(testenv.Binary(t, "onedoor")), filepath.Join(home, "bin")))
	program := compile(t, home, blocks(readme, "go"))

	paste := "set -euo pipefail\ncd " + home + "\n" + strings.Join(script[1:], "") +
		"SPIFFE_ENDPOINT_SOCKET=$ONEDOOR_SANDBOX_SOCKET " + program + "\n"
	got := testenv.Run(t, paste, []string{"HOME=" + home}, "bash")
	require.Zero(t, got.Code, got.Stderr)
	for _, want := range []string{
		"contacts.search",          // of `onedoor tools`
		`{"id":42,"name":`,         // of the first call
		"data: [DONE]",             // of the stream
		"\nrefused: exit status 3", // of what was not granted
		"would be refused: exit status 3",
		"REFUSED RESOURCE_NOT_GRANTED", // of the audit trail
		"connector: crm",               // of the manifest
		"user alice",                   // of the credentials
		"UNPRICED",                     // of the usage
		`{"invocationId":"`,            // of curl
		`200 {"id":42,`,                // of the Go program
	} {
		require.Contains(t, got.Stdout, want)
	}
	require.Equal(t, 2, strings.Count(got.Stdout, "data: [DONE]"), "the second stream is that of the provider's own path")
	description, err := os.ReadFile(filepath.Join(home, "openapi.json"))
	require.NoError(t, err)
	require.Contains(t, string(description), "/v1/invoke")
	for _, name := range []string{"accounts", "accounts-key", "model", "payroll"} {
		secret, err := os.ReadFile(filepath.Join(dev, "demo", name))
		require.NoError(t, err)
		require.False(t, strings.Contains(got.Stdout+got.Stderr, strings.TrimSpace(string(secret))), "the secret %s was shown", name)
	}
}

// compile builds the README's one Go program.
func compile(t *testing.T, dir string, programs []string) string {
	t.Helper()
	require.Len(t, programs, 1)
	program := filepath.Join(dir, "program")
	build(t, program, programs[0])
	return program
}

// TestCommandsParse: every command of ours that a page shows, in a block or in a
// sentence, is one that the programs know.
func TestCommandsParse(t *testing.T) {
	path := "PATH=" + filepath.Dir(testenv.Binary(t, "onedoor")) + ":" + os.Getenv("PATH")
	shown := map[string]string{}
	for _, page := range pages(t) {
		for _, command := range commands(read(t, page)) {
			shown[command] = page
		}
	}
	require.Greater(t, len(shown), 25)
	for command, page := range shown {
		t.Run(command, func(t *testing.T) {
			// With --help nothing runs, but what precedes it must parse.
			got := testenv.Run(t, "", []string{path}, "bash", "-c", command+" --help")
			require.Zero(t, got.Code, "%s: %s%s", page, got.Stdout, got.Stderr)
		})
	}
}

// commands finds what begins with onedoor or onedoord: in blocks, indented lines and
// between backticks. What stands behind a pipe, `||` or `#` is cut off, and so is `&`.
func commands(text string) []string {
	text = strings.ReplaceAll(text, "\\\n", "")
	inLine := regexp.MustCompile(`(?m)^\s*(?:[A-Z0-9_]+=\S+ )*(onedoord? [a-z-].*)$`)
	inSentence := regexp.MustCompile("`(onedoord? [a-z-][^`\n]*)`")
	cut := regexp.MustCompile(` ((\||\|\||#|-f -) .*|&)$`)
	var found []string
	for _, m := range append(inLine.FindAllStringSubmatch(text, -1), inSentence.FindAllStringSubmatch(text, -1)...) {
		found = append(found, strings.TrimSpace(cut.ReplaceAllString(m[1], "")))
	}
	return found
}

func TestMakeTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^    |^)make ([a-z]+)(?:`|$)").FindAllStringSubmatch(read(t, page), -1) {
			require.Regexp(t, `(?m)^`+m[1]+`:`, makefile, page)
		}
	}
}
