package docs_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestConnectingAsANewUser pastes what docs/connecting.md says of trying it, and does in a
// browser what it tells bob.
func TestConnectingAsANewUser(t *testing.T) {
	script := blocks(read(t, "docs/connecting.md"), "sh")
	require.Len(t, script, 2)
	browser := testenv.NewBrowser(t)
	home := testenv.ShortDir(t)
	testenv.StartDev(t, filepath.Join(home, "dev"))
	begin := "set -euo pipefail\ncd " + home + "\nexport PATH=" + filepath.Dir(testenv.Binary(t, "onedoor")) + ":$PATH\nsource dev/env\n"

	made := testenv.Run(t, begin+script[0], []string{"HOME=" + home}, "bash")
	require.Zero(t, made.Code, made.Stderr)
	link, _, _ := strings.Cut(made.Stdout, "\n")
	require.Equal(t, http.StatusOK, browser.Open(t, link))
	require.Contains(t, browser.See(t).Text, "taken for bob")
	browser.Click(t, "Go on")
	browser.Wait(t, "Demo accounts")
	browser.Click(t, "Allow as bob")
	browser.Wait(t, "Your account is connected")

	used := testenv.Run(t, begin+script[1], []string{"HOME=" + home}, "bash")
	require.Zero(t, used.Code, used.Stderr)
	require.Contains(t, used.Stdout, `{"id":42,"name":`)
	require.Contains(t, used.Stdout, "credential.connect")
}

// Every page that tells of a problem is explained, by its heading.
func TestEveryProblemOfConnectingIsExplained(t *testing.T) {
	explained := map[string]bool{}
	for _, row := range rows(read(t, "docs/connecting.md")) {
		explained[row[0]] = true
	}
	for _, k := range []connect.Kind{
		connect.Unknown, connect.Used, connect.Expired, connect.OtherBrowser, connect.Forged, connect.Malformed, connect.Denied,
		connect.OtherUser, connect.WrongIssuer, connect.NotProven, connect.Refused, connect.Unreachable, connect.Changed, connect.NotSetUp,
		connect.TooMany, connect.Later, connect.Unshown, connect.Internal,
	} {
		require.True(t, explained[k.Text().Title], "%s: %s", k, k.Text().Title)
	}
}
