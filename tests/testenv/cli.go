package testenv

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Result is what a program left behind.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// CLI runs `onedoor args…` as a workload and waits for its end. key is the task key,
// empty for all but sandboxes.
func (b *Broker) CLI(t testing.TB, as Role, key string, args ...string) Result {
	t.Helper()
	return b.CLIWith(t, as, key, "", args...)
}

// CLIWith is CLI with something on standard input.
func (b *Broker) CLIWith(t testing.TB, as Role, key, stdin string, args ...string) Result {
	t.Helper()
	return Run(t, stdin, []string{
		"ONEDOOR_ADDR=" + b.Addr, "ONEDOOR_BROKER_ID=" + b.ID,
		"SPIFFE_ENDPOINT_SOCKET=" + b.sockets[as], "ONEDOOR_TASK_KEY=" + key,
	}, append([]string{Binary(t, "onedoor")}, args...)...)
}

// Run runs a program to its end, for which it has a minute, with env and nothing else of
// this process's own environment but PATH.
func Run(t testing.TB, stdin string, env []string, command ...string) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}, env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
