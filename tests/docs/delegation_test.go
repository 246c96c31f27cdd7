package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

var taskKey = regexp.MustCompile("od1t_[A-Za-z0-9]+")

// asANewUser starts a development broker, pastes commands into one shell, and gives what it
// printed, without the keys.
func asANewUser(t *testing.T, script ...string) string {
	t.Helper()
	home := testenv.ShortDir(t)
	testenv.StartDev(t, filepath.Join(home, "onedoor-dev"))
	paste := "set -euo pipefail\ncd " + home + "\nexport PATH=" + filepath.Dir(testenv.Binary(t, "onedoor")) + ":$PATH\n" +
		strings.Join(script, "\necho\n")
	got := testenv.Run(t, paste, []string{"HOME=" + home}, "bash")
	require.Zero(t, got.Code, got.Stderr)
	return taskKey.ReplaceAllString(got.Stdout, "od1t_…")
}

// TestDelegationAsANewUser does what docs/delegation.md shows: by command, over REST, and to
// the child's end.
func TestDelegationAsANewUser(t *testing.T) {
	script := blocks(read(t, "docs/delegation.md"), "sh")
	require.Len(t, script, 6)
	said := asANewUser(t, script...)
	for _, want := range []string{
		"DELEGATES  spiffe://onedoor.dev/sandbox/two", // of the planner
		"contacts.get  READ",                          // of the searcher's tools
		`{"id":42,`,                                   // of its call
		"refused: exit status 3",                      // of the tool that it was not given
		`{"taskKey":"od1t_`,                           // over REST
		"PARENT ",                                     // of the child
		"of a task below it\n\nTASK ",                 // its end, by the planner
		"  ENDED   searcher",                          // as the orchestrator sees it
		"  ACTIVE  reader",                            // which ends with the planner, after that
	} {
		require.Contains(t, said, want)
	}
}

// TestCurlAsANewUser types the commands of each page that begins in the terminal which the
// README has left behind, up to where it names the pages.
func TestCurlAsANewUser(t *testing.T) {
	first := blocks(read(t, "README.md"), "sh")[1:5]
	for page, want := range map[string][]string{
		"docs/passthrough.md": {`{"id":42,"name":`},
		"docs/models.md":      {"You said: Greet the world."},
		"docs/mcp.md":         {`"name":"crm__contacts_get"`, `"structuredContent":{"id":42,`},
	} {
		t.Run(page, func(t *testing.T) {
			script := blocks(read(t, page), "sh")
			require.NotEmpty(t, script)
			said := asANewUser(t, append(append([]string{}, first...), append([]string{"echo THE PAGE\n"}, script...)...)...)
			_, said, found := strings.Cut(said, "THE PAGE")
			require.True(t, found)
			for _, text := range want {
				require.Contains(t, said, text)
			}
		})
	}
}
