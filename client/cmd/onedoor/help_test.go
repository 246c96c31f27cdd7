package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// leaves gives the commands that do something.
func leaves(t *testing.T) []*kong.Node {
	t.Helper()
	var grammar cli
	parser, err := kong.New(&grammar, kong.Name("onedoor"))
	require.NoError(t, err)
	return parser.Model.Leaves(true)
}

// TestHelp: each command's help is enough to use it by: what it does, an example that
// parses, the environment that it reads, and what its exit code means.
func TestHelp(t *testing.T) {
	all := leaves(t)
	require.Greater(t, len(all), 18)
	for _, node := range all {
		path := strings.TrimPrefix(node.FullPath(), "onedoor ")
		t.Run(path, func(t *testing.T) {
			code, text, stderr := onedoor(t, "", append(strings.Fields(path), "--help")...)
			require.Zero(t, code, stderr)
			require.Contains(t, text, "Environment: ")
			require.Contains(t, text, "Exit codes: ")
			example := false
			for line := range strings.Lines(text) {
				line, _ = strings.CutPrefix(strings.TrimSpace(line), "source <(")
				line = strings.TrimPrefix(line, "onedoor -o json ")
				example = example || strings.HasPrefix(strings.TrimPrefix(line, "onedoor "), path) && !strings.HasPrefix(line, "Usage")
			}
			require.True(t, example, "no example:\n%s", text)
			for _, flag := range node.Flags {
				require.NotEmpty(t, flag.Help, "--%s", flag.Name)
			}
			for _, argument := range node.Positional {
				require.NotEmpty(t, argument.Help, argument.Name)
			}
		})
	}
	code, text, _ := onedoor(t, "", "--help")
	require.Zero(t, code)
	for _, name := range []string{"ONEDOOR_ADDR", "ONEDOOR_BROKER_ID", "SPIFFE_ENDPOINT_SOCKET", "ONEDOOR_TASK_KEY", "ONEDOOR_REST_URL", "7  outcome unknown"} {
		require.Contains(t, text, name)
	}
	require.NotContains(t, text, "__complete")
}
