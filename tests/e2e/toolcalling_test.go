package e2e_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

const toolsPage = "../../docs/tool-calling.md"

// askers is a development broker whose models are askers.
func askers(t *testing.T) *testenv.Broker {
	t.Helper()
	b := testenv.StartDev(t, testenv.ShortDir(t))
	model := newAsker(t)
	for _, name := range []string{"openai", "anthropic"} {
		b.Apply(t, model.Ready(t, name))
		b.Put(t, name, "", testenv.ProviderKey)
	}
	return b
}

// TestToolCalling runs the programs of docs/tool-calling.md: the model is called through
// the broker, and so is what it asks for. One of its two calls was not granted.
func TestToolCalling(t *testing.T) {
	b := askers(t)
	chat := toolsProgram(t, "# chat completions\n")
	head, _, found := strings.Cut(chat, "    messages = ")
	require.True(t, found)
	for name, program := range map[string]string{
		"chat completions": chat,
		"responses":        head + indented(toolsProgram(t, "# responses\n")),
		"anthropic":        toolsProgram(t, "# anthropic\n"),
		"asynchronously":   toolsProgram(t, "# asyncio\n"),
	} {
		t.Run(name, func(t *testing.T) {
			task := b.Mint(t, nil, append([]string{"crm: contacts.get READ contact:42"}, modelGrants[:2]...)...)
			var complaints strings.Builder
			out, ended := runProgram(t, b, task.Key, "python", program, &complaints)
			said, err := io.ReadAll(out)
			require.NoError(t, err)
			err = ended()
			require.False(t, strings.Contains(complaints.String()+string(said), task.Key), "the key was shown")
			require.NoError(t, err, complaints.String())
			requireToldBoth(t, b, task, string(said))
		})
	}
}

// requireToldBoth: the model was told of the contact that was granted, and of the other
// that it was not; and the trail has the model, a contact, a refusal, and the model.
func requireToldBoth(t *testing.T, b *testenv.Broker, task testenv.Task, said string) {
	t.Helper()
	first, second, both := strings.Cut(said, " | ")
	require.True(t, both, said)
	require.Regexp(t, `"id": ?42`, first)
	require.Contains(t, second, "RESOURCE_NOT_GRANTED: ")
	require.Equal(t, []string{"INTENT", "OUTCOME OK", "INTENT", "OUTCOME OK", "REFUSAL RESOURCE_NOT_GRANTED", "INTENT", "OUTCOME OK"},
		settled(t, b, task.ID, 7), "the model, a contact, a refusal, the model")
}

// TestSidecarToolCalling runs the loops of docs/sidecar.md as they are printed there: the
// providers' SDKs stream, the tools come from a stock MCP client, and all that either has
// of Onedoor is a URL and a task key.
func TestSidecarToolCalling(t *testing.T) {
	b := askers(t)
	side := b.Sidecar(t, testenv.Sandbox)
	for name, begins := range map[string]string{"openai": "# openai and mcp\n", "anthropic": "# anthropic and mcp\n"} {
		t.Run(name, func(t *testing.T) {
			task := b.Mint(t, nil, append([]string{"crm: contacts.get READ contact:42"}, modelGrants[:2]...)...)
			var complaints strings.Builder
			out, ended := runThrough(t, side.URL, task.Key, "python", printedOn(t, "../../docs/sidecar.md", "python", begins), &complaints)
			said, err := io.ReadAll(out)
			require.NoError(t, err)
			err = ended()
			require.False(t, strings.Contains(complaints.String()+string(said)+side.Log(), task.Key), "the key was shown")
			require.NoError(t, err, complaints.String())
			requireToldBoth(t, b, task, string(said))
		})
	}
}

// toolsProgram is a program of the page, whole or a part of one.
func toolsProgram(t *testing.T, begins string) string {
	t.Helper()
	return printedOn(t, toolsPage, "python", begins)
}

func indented(program string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(program, "\n"), "\n", "\n    ") + "\n"
}
