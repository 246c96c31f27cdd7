package connector_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// ready is one of the manifests that come with the product.
func ready(t testing.TB, name string) *connector.Connector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "connectors", name+".yaml"))
	require.NoError(t, err)
	c, err := connector.Parse(text)
	require.NoError(t, err)
	require.Equal(t, name, c.Name)
	return c
}

// What the ready manifests reach is in this table; every tool stands there once.
func TestReadyManifests(t *testing.T) {
	paths, err := filepath.Glob("../../deploy/connectors/*.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 3)
	const chat, message, content = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
		`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, `{"contents":[{"parts":[{"text":"hi"}]}]}`
	reached := map[string]map[string]bool{}
	for _, one := range []struct{ connector, request, body, tool, resource string }{
		{"openai", "POST /v1/chat/completions", chat, "chat.completions", "model:m"},
		{"openai", "POST /v1/responses", `{"model":"m","input":"hi","store":false}`, "responses.create", "model:m"},
		{"openai", "POST /v1/embeddings", `{"model":"m","input":["hi"]}`, "embeddings.create", "model:m"},
		{"openai", "GET /v1/models", "", "models.list", "model:*"},
		{"openai", "GET /v1/models/gpt-5.4-mini", "", "models.get", "model:gpt-5.4-mini"},
		{"anthropic", "POST /v1/messages", message, "messages.create", "model:m"},
		{"anthropic", "POST /v1/messages/count_tokens", chat, "messages.count_tokens", "model:m"},
		{"anthropic", "GET /v1/models?limit=20&after_id=claude-1", "", "models.list", "model:*"},
		{"anthropic", "GET /v1/models/claude-1", "", "models.get", "model:claude-1"},
		{"gemini", "POST /v1beta/models/gemini-2.5-flash:generateContent", content, "content.generate", "model:gemini-2.5-flash"},
		{"gemini", "POST /v1beta/models/g:streamGenerateContent?alt=sse", content, "content.stream", "model:g"},
		{"gemini", "POST /v1beta/models/g:embedContent", `{"content":{"parts":[{"text":"hi"}]}}`, "content.embed", "model:g"},
		{"gemini", "GET /v1beta/models?pageSize=5", "", "models.list", "model:*"},
		{"gemini", "GET /v1beta/models/g", "", "models.get", "model:g"},
	} {
		t.Run(one.connector+" "+one.tool, func(t *testing.T) {
			c := ready(t, one.connector)
			r := request(one.request, one.body)
			tool, arguments, err := c.Match(r)
			require.NoError(t, err)
			require.Equal(t, one.tool, tool)
			b, err := c.Bind(tool, arguments)
			require.NoError(t, err)
			require.Equal(t, r.Method+" "+r.Path, b.Method+" "+b.Path)
			require.Equal(t, []string{one.resource}, resourceTexts(b))
			require.Equal(t, one.body, string(b.Body), "an argument goes up as it came")
			if one.connector == "anthropic" {
				require.Equal(t, "2023-06-01", b.Header.Get("Anthropic-Version"))
			}
			if reached[one.connector] == nil {
				reached[one.connector] = map[string]bool{}
			}
			reached[one.connector][tool] = true
		})
	}
	for name, tools := range reached {
		require.Len(t, tools, len(ready(t, name).Tools), name)
	}
}

// Everything else of the providers is not there.
func TestReadyManifestsReachNothingElse(t *testing.T) {
	for name, requests := range map[string][]string{
		"openai": {
			"GET /v1/files", "POST /v1/files", "GET /v1/files/file-1", "GET /v1/files/file-1/content", "DELETE /v1/files/file-1", "POST /v1/uploads",
			"GET /v1/batches", "POST /v1/batches", "GET /v1/batches/b", "POST /v1/batches/b/cancel",
			"GET /v1/responses/resp_1", "DELETE /v1/responses/resp_1", "POST /v1/responses/resp_1/cancel", "GET /v1/responses/resp_1/input_items", "GET /v1/responses",
			"GET /v1/chat/completions", "GET /v1/chat/completions/c", "POST /v1/chat/completions/c", "GET /v1/chat/completions/c/messages",
			"POST /v1/conversations", "GET /v1/conversations/c", "GET /v1/conversations/c/items",
			"GET /v1/vector_stores", "POST /v1/vector_stores/v/search", "GET /v1/containers", "GET /v1/containers/c/files/f/content",
			"POST /v1/fine_tuning/jobs", "GET /v1/fine_tuning/jobs", "GET /v1/assistants", "GET /v1/threads/t", "GET /v1/evals",
			"GET /v1/organization/users", "GET /v1/organization/admin_api_keys", "GET /v1/organization/usage/completions", "GET /v1/organization/costs", "GET /v1/organization/projects",
			"DELETE /v1/models/ft", "PUT /v1/chat/completions", "POST /v1/completions", "POST /v1/images/generations", "POST /v1/audio/speech", "POST /v1/realtime/sessions",
			"POST /chat/completions", "POST /v2/chat/completions", "POST /v1/chat/completions/x", "GET /", "OPTIONS /v1/models", "get /v1/models",
		},
		"anthropic": {
			"GET /v1/messages/batches", "POST /v1/messages/batches", "GET /v1/messages/batches/b/results", "GET /v1/files", "POST /v1/files", "GET /v1/files/f/content",
			"GET /v1/skills", "GET /v1/organizations/me", "GET /v1/organizations/api_keys", "GET /v1/organizations/usage_report/messages", "POST /v1/complete", "GET /v1/messages/m",
		},
		"gemini": {
			"GET /v1beta/files", "GET /v1beta/files/f", "POST /upload/v1beta/files", "POST /v1beta/cachedContents", "GET /v1beta/cachedContents/c", "GET /v1beta/tunedModels",
			"POST /v1beta/models/g:batchEmbedContents", "POST /v1beta/models/g:batchGenerateContent", "POST /v1beta/tunedModels/t:generateContent", "GET /v1beta/batches/b",
			"POST /v1beta/models/g:predictLongRunning", "GET /v1beta/models/g/operations/o", "GET /v1beta/corpora", "POST /v1beta/interactions", "GET /v1beta/fileSearchStores", "POST /v1/models/g:generateContent",
		},
	} {
		c := ready(t, name)
		for _, one := range requests {
			t.Run(name+" "+one, func(t *testing.T) {
				tool, _, err := c.Match(request(one, `{"model":"m"}`))
				require.True(t, fault.Is(err, fault.ToolUnknown), "%v", err)
				require.Empty(t, tool)
			})
		}
	}
}

// request reads "METHOD /path?query".
func request(text, body string) connector.Request {
	method, target, _ := strings.Cut(text, " ")
	path, query, _ := strings.Cut(target, "?")
	r := connector.Request{Method: method, Path: path, Query: query}
	if body != "" {
		r.ContentType, r.Body = "application/json", []byte(body)
	}
	return r
}
