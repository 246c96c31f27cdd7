package testenv

import (
	"bytes"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Converse starts a program that is asked on its input and answers on its output. It ends with its
// input, when the test does; what it complained of is told if it did not end well.
func Converse(t testing.TB, cmd *exec.Cmd) (in io.Writer, out io.Reader) {
	t.Helper()
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = input.Close()
		require.NoError(t, cmd.Wait(), "%s", complaints.String())
	})
	return input, output
}
