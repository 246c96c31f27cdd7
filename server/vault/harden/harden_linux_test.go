package harden_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/onedoor/onedoor/server/vault/harden"
)

// TestHarden runs itself in a process of its own, since there is no way back.
func TestHarden(t *testing.T) {
	if os.Getenv("HARDEN_CHILD") == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestHarden$", "-test.v")
		child.Env = append(os.Environ(), "HARDEN_CHILD=1")
		out, err := child.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: TestHarden")
		return
	}
	require.NoError(t, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
	require.NoError(t, harden.Harden())

	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	require.NoError(t, err)
	require.Zero(t, dumpable)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	require.Equal(t, unix.Rlimit{}, limit)
	require.NoError(t, harden.Harden(), "a second time changes nothing")
}
