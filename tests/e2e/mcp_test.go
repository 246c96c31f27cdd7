package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

const mcpPage = "../../docs/mcp.md"

// TestMCPPrograms runs the programs of docs/mcp.md as they are printed there.
func TestMCPPrograms(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	for _, one := range []struct{ name, language, begins, yes string }{
		{"TypeScript", "js", "// mcp\n", "true"}, {"Python", "python", "# mcp\n", "True"},
	} {
		t.Run(one.name, func(t *testing.T) {
			task := b.Mint(t, nil, "crm: contacts.get READ contact:42")
			var complaints strings.Builder
			out, ended := runProgram(t, b, task.Key, one.language, printedOn(t, mcpPage, one.language, one.begins), &complaints)
			said, err := io.ReadAll(out)
			require.NoError(t, err)
			err = ended()
			require.False(t, strings.Contains(complaints.String(), task.Key), "the key was shown")
			require.NoError(t, err, complaints.String())
			require.Equal(t, "crm__contacts_get reads\nAlan Liskov\n"+one.yes+" RESOURCE_NOT_GRANTED\n", string(said))
			require.Equal(t, []string{"INTENT", "OUTCOME OK", "REFUSAL RESOURCE_NOT_GRANTED"}, settled(t, b, task.ID, 3))
		})
	}
}

// TestSidecarMCP runs the programs of docs/mcp.md that go through the sidecar.
func TestSidecarMCP(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	side := b.Sidecar(t, testenv.Sandbox)
	for _, one := range []struct{ name, language, begins, yes string }{
		{"TypeScript", "js", "// mcp through the sidecar\n", "true"}, {"Python", "python", "# mcp through the sidecar\n", "True"},
	} {
		t.Run(one.name, func(t *testing.T) {
			task := b.Mint(t, nil, "crm: contacts.get READ contact:42")
			var complaints strings.Builder
			out, ended := runThrough(t, side.URL, task.Key, one.language, printedOn(t, mcpPage, one.language, one.begins), &complaints)
			said, err := io.ReadAll(out)
			require.NoError(t, err)
			err = ended()
			require.False(t, strings.Contains(complaints.String()+side.Log(), task.Key), "the key was shown")
			require.NoError(t, err, complaints.String())
			require.Equal(t, "crm__contacts_get\nAlan Liskov\n"+one.yes+" RESOURCE_NOT_GRANTED\n", string(said))
			require.Equal(t, []string{"INTENT", "OUTCOME OK", "REFUSAL RESOURCE_NOT_GRANTED"}, settled(t, b, task.ID, 3))
		})
	}
}

// TestMCPCurl types what docs/mcp.md says, in a shell of the sandbox's.
func TestMCPCurl(t *testing.T) {
	b := testenv.StartDev(t, testenv.ShortDir(t))
	task := b.Mint(t, nil, "crm: contacts.get READ contact:42")
	page, err := os.ReadFile(mcpPage)
	require.NoError(t, err)
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, m[1])
	}
	require.Len(t, blocks, 2)
	onedoor := testenv.Binary(t, "onedoor")
	script := "set -e\ncd " + t.TempDir() + "\nexport PATH=" + filepath.Dir(onedoor) + ":$PATH\n" + blocks[0] + "\necho\n" + blocks[1]
	said := testenv.Run(t, "", []string{
		"ONEDOOR_ADDR=" + b.Addr, "ONEDOOR_BROKER_ID=" + b.ID, "SPIFFE_ENDPOINT_SOCKET=" + b.Socket(testenv.Sandbox),
		"ONEDOOR_TASK_KEY=" + task.Key, "ONEDOOR_TRUST_BUNDLE=" + b.Bundle, "ONEDOOR_REST_URL=" + b.RESTURL,
	}, "sh", "-c", script)
	require.Zero(t, said.Code, said.Stderr)
	require.Contains(t, said.Stdout, `"name":"crm__contacts_get"`)
	require.Contains(t, said.Stdout, "It may act on: contact:42.")
	require.Contains(t, said.Stdout, `"structuredContent":{`)
	require.Contains(t, said.Stdout, "Alan Liskov")
}

// keyed adds the key to every request.
type keyed struct {
	http.RoundTripper
	key string
}

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+k.key)
	return k.RoundTripper.RoundTrip(r)
}

// mcpClient connects the Go SDK's client.
func mcpClient(t *testing.T, b *testenv.Broker, as testenv.Role, key string) (*mcp.ClientSession, error) {
	t.Helper()
	h := testenv.HTTPS(t, b.TLS(t, as))
	h.Transport = keyed{h.Transport, key}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: b.RESTURL + "/mcp", HTTPClient: h, DisableStandaloneSSE: true}, nil)
	if err == nil {
		t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

func connectMCP(t *testing.T, b *testenv.Broker, key string) *mcp.ClientSession {
	t.Helper()
	session, err := mcpClient(t, b, testenv.Sandbox, key)
	require.NoError(t, err)
	return session
}

func toolNames(t *testing.T, s *mcp.ClientSession) []string {
	t.Helper()
	list, err := s.ListTools(t.Context(), nil)
	require.NoError(t, err)
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// things is a broker with a connector of which every kind of answer can be had.
func things(t *testing.T) (*testenv.Broker, *testenv.Upstream) {
	t.Helper()
	up := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/things/picture":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write([]byte("\x89PNG"))
		case "/things/none":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"no such thing"}`))
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"id":9007199254740993,"got":` + string(append(body, "null"[min(len(body), 4):]...)) + `}`))
		}
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, up.Manifest("things", "{main: {owner: workspace, attach: bearer}}", testenv.Things))
	b.Put(t, "things", "", "sk-mcp-canary-77d1")
	return b, up
}

// The Go SDK's client, over the newest revision of the protocol: what is granted is what
// it sees and what it can call.
func TestMCPGo(t *testing.T) {
	b, up := things(t)
	reader := b.Mint(t, nil, "things: things.get,things.find READ thing:*")
	writer := b.Mint(t, nil, "things: things.make WRITE thing:*", "things: things.get READ thing:1")
	reads, writes := connectMCP(t, b, reader.Key), connectMCP(t, b, writer.Key)
	require.Equal(t, []string{"things__things_find", "things__things_get"}, toolNames(t, reads))
	require.Equal(t, []string{"things__things_get", "things__things_make"}, toolNames(t, writes), "two tasks see different lists")

	t.Run("large integers", func(t *testing.T) {
		result, err := writes.CallTool(t.Context(), &mcp.CallToolParams{Name: "things__things_make", Arguments: json.RawMessage(`{"name":"a","size":9007199254740993,"price":1.10}`)})
		require.NoError(t, err)
		require.False(t, result.IsError)
		require.Equal(t, `{"id":9007199254740993,"got":{"name":"a","size":9007199254740993,"price":1.10}}`, result.Content[0].(*mcp.TextContent).Text)
		require.Contains(t, up.Wire(), `"size":9007199254740993`)
	})
	t.Run("a repeated argument", func(t *testing.T) {
		before := up.Requests()
		answer := b.REST(t, testenv.Sandbox, writer.Key).Do(t, http.MethodPost, "/mcp",
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"things__things_make","arguments":{"name":"a","name":"b"}}}`)
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		require.Contains(t, answer.Body, "ARGUMENT_INVALID: arguments: ")
		require.Equal(t, before, up.Requests())
	})
	t.Run("an error of the upstream", func(t *testing.T) {
		result, err := reads.CallTool(t.Context(), &mcp.CallToolParams{Name: "things__things_get", Arguments: map[string]any{"id": "none"}})
		require.NoError(t, err)
		require.True(t, result.IsError)
		require.Equal(t, "HTTP status 404 Not Found", result.Content[0].(*mcp.TextContent).Text)
		require.Equal(t, map[string]any{"error": "no such thing"}, result.StructuredContent)
	})
	t.Run("a picture", func(t *testing.T) {
		result, err := reads.CallTool(t.Context(), &mcp.CallToolParams{Name: "things__things_get", Arguments: map[string]any{"id": "picture"}})
		require.NoError(t, err)
		require.Equal(t, "\x89PNG", string(result.Content[0].(*mcp.ImageContent).Data))
	})
	t.Run("a refusal", func(t *testing.T) {
		before := up.Requests()
		result, err := writes.CallTool(t.Context(), &mcp.CallToolParams{Name: "things__things_get", Arguments: map[string]any{"id": "2"}})
		require.NoError(t, err)
		require.True(t, result.IsError)
		require.Contains(t, result.Content[0].(*mcp.TextContent).Text, "RESOURCE_NOT_GRANTED")
		require.Equal(t, before, up.Requests())
	})
	t.Run("what was not granted sounds like what does not exist", func(t *testing.T) {
		before := up.Requests()
		var messages []string
		for _, name := range []string{"things__things_make", "things__things_none", "other__tool", "x"} {
			_, err := reads.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"name": "a"}})
			require.Error(t, err, name)
			messages = append(messages, strings.ReplaceAll(err.Error(), name, "NAME"))
		}
		for _, m := range messages {
			require.Contains(t, m, "unknown tool NAME")
			require.Equal(t, messages[0], m)
		}
		require.Equal(t, before, up.Requests())
		testenv.Eventually(t, "each is recorded, the tool that exists under its name", func() bool {
			var refused []string
			for _, e := range b.Events(t, reader.ID) {
				if e.GetKind() == "REFUSAL" {
					refused = append(refused, e.GetReason()+" "+e.GetConnector()+" "+e.GetTool())
				}
			}
			return strings.Join(refused, "|") == "GRANT_MISSING things things.make|TOOL_UNKNOWN things things__things_none|GRANT_MISSING other other__tool|GRANT_MISSING x x"
		})
	})
	t.Run("a granted tool by its dotted name", func(t *testing.T) {
		for name, hint := range map[string]string{
			"things.things.get": ": here it is called things__things_get", "things.get": ": here it is called things__things_get",
			"things.things.make": "", "things.none": "",
		} {
			_, err := reads.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"id": "1"}})
			require.ErrorContains(t, err, "unknown tool "+name+hint)
			require.Equal(t, hint != "", strings.Contains(err.Error(), "here it is called"), err.Error())
		}
	})
	require.False(t, strings.Contains(up.Wire(), reader.Key), "the key went along")
	require.False(t, strings.Contains(b.Log(), reader.Key), "the log holds the key")
}

// A task that ends takes its tools with it, at once; and a key is worth nothing in another
// sandbox.
func TestMCPRevoked(t *testing.T) {
	b, up := things(t)
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	session := connectMCP(t, b, task.Key)
	require.Len(t, toolNames(t, session), 1)
	_, err := mcpClient(t, b, testenv.Sandbox2, task.Key)
	require.ErrorContains(t, err, "TASK_KEY_INVALID")

	_, err = b.Client(t, testenv.Operator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: task.ID})
	require.NoError(t, err)
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "things__things_get", Arguments: map[string]any{"id": "1"}})
	require.ErrorContains(t, err, "TASK_ENDED")
	_, err = mcpClient(t, b, testenv.Sandbox, task.Key)
	require.ErrorContains(t, err, "TASK_ENDED")
	require.Zero(t, up.Requests())
	answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	require.Equal(t, http.StatusUnauthorized, answer.Status, answer.Body)
	require.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
}

// A model's loop: it is told the tools, names one with arguments as text, and gets the
// result back, until it has what it wants.
func TestMCPToolLoop(t *testing.T) {
	b, _ := things(t)
	task := b.Mint(t, nil, "things: things.get,things.find READ thing:*")
	session := connectMCP(t, b, task.Key)
	offered := toolNames(t, session)
	// What a model would say in turn: a wrong argument, a mended one, then the answer.
	turns := []struct{ arguments, says string }{
		{`{"q":7}`, "ARGUMENT_INVALID"}, {`{"q":"lamp"}`, `"id":9007199254740993`},
	}
	for _, turn := range turns {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: offered[0], Arguments: json.RawMessage(turn.arguments)})
		require.NoError(t, err, "what a model can mend is no error of the protocol")
		require.Contains(t, result.Content[0].(*mcp.TextContent).Text, turn.says)
	}
	require.Equal(t, []string{"REFUSAL ARGUMENT_INVALID", "INTENT", "OUTCOME OK"}, settled(t, b, task.ID, 3))
}

// When the client goes, so does the call upstream.
func TestMCPClientGone(t *testing.T) {
	arrived := make(chan struct{})
	up := testenv.NewUpstream(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, up.Manifest("things", "", testenv.Things))
	task := b.Mint(t, nil, "things: things.make WRITE thing:*")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.RESTURL+"/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"things__things_make","arguments":{"name":"a"}}}`))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+task.Key)
	r.Header.Set("Content-Type", "application/json")
	go func() { <-arrived; cancel() }()
	_, err = testenv.HTTPS(t, b.TLS(t, testenv.Sandbox)).Do(r) //nolint:bodyclose // it has none
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{"INTENT", "OUTCOME UNKNOWN"}, settled(t, b, task.ID, 2))
}

// Every limit of the API holds: the rate of a task, by its HTTP status.
func TestMCPRate(t *testing.T) {
	up := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	b := testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) {
		c.Limits.Task.CallsPerSecond, c.Limits.Task.CallBurst = 1, 2
	})
	b.Apply(t, up.Manifest("things", "", testenv.Things))
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	rest := b.REST(t, testenv.Sandbox, task.Key)
	testenv.Eventually(t, "too many", func() bool {
		answer := rest.Do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"things__things_get","arguments":{"id":"1"}}}`)
		if answer.Status == http.StatusOK {
			return false
		}
		require.Equal(t, http.StatusTooManyRequests, answer.Status, answer.Body)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
		require.Contains(t, answer.Body, `"reason":"RATE_LIMITED"`)
		return true
	})
}
