package docs_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestSidecarAsANewUser pastes the blocks of docs/sidecar.md into one shell.
func TestSidecarAsANewUser(t *testing.T) {
	home := testenv.ShortDir(t)
	testenv.StartDev(t, filepath.Join(home, "onedoor-dev"))
	script := blocks(read(t, "docs/sidecar.md"), "sh")
	require.Len(t, script, 2)
	paste := "set -eu\nPATH=" + filepath.Dir(testenv.Binary(t, "onedoor")) + ":$PATH\n" + strings.Join(script, "") + "wait\n"
	got := testenv.Run(t, paste, []string{"HOME=" + home}, "bash")
	require.Zero(t, got.Code, got.Stderr)
	require.Contains(t, got.Stdout, `"body":{"id":42,`)
	require.Contains(t, got.Stdout, "data: [DONE]")
	require.Contains(t, got.Stderr, `"msg":"stopping"`)
}
