package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	openai "github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

const providerOrigin = "https://api.openai.com"

// TestGoSDK uses a Go SDK as it is, but for the http.Client that it is handed: it takes
// the provider's own address, and any text for a key.
func TestGoSDK(t *testing.T) {
	b, p := models(t)
	task := b.Mint(t, nil, modelGrants...)
	transport, err := b.Client(t, testenv.Sandbox, task.Key).Transport("openai", providerOrigin)
	require.NoError(t, err)
	config := openai.DefaultConfig("sk-of-the-sdk")
	config.HTTPClient = &http.Client{Transport: transport}
	sdk := openai.NewClientWithConfig(config)
	ask := openai.ChatCompletionRequest{
		Model: "gpt-5.4-mini", Messages: []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: "Say hello"}},
	}

	t.Run("a whole answer", func(t *testing.T) {
		answer, err := sdk.CreateChatCompletion(t.Context(), ask)
		require.NoError(t, err)
		require.Equal(t, "Hello, world", answer.Choices[0].Message.Content)
		require.Equal(t, "req_1", answer.Header().Get("X-Request-Id"))
		require.NotEmpty(t, answer.Header().Get("X-Onedoor-Invocation-Id"))
	})
	t.Run("a stream, its first part before the second is sent", func(t *testing.T) {
		stream, err := sdk.CreateChatCompletionStream(t.Context(), ask)
		require.NoError(t, err)
		defer func() { require.NoError(t, stream.Close()) }()
		first, err := stream.Recv()
		require.NoError(t, err)
		require.Equal(t, "Hello,", first.Choices[0].Delta.Content)
		p.More()
		second, err := stream.Recv()
		require.NoError(t, err)
		require.Equal(t, " world", second.Choices[0].Delta.Content)
		for err == nil {
			_, err = stream.Recv()
		}
		require.ErrorIs(t, err, io.EOF)
	})
	before := p.Requests()
	t.Run("a refusal", func(t *testing.T) {
		dear := ask
		dear.Model = "gpt-5.4"
		_, err := sdk.CreateChatCompletion(t.Context(), dear)
		var e *client.Error
		require.True(t, errors.As(err, &e), "%v", err)
		require.Equal(t, client.ResourceNotGranted, e.Reason)
		require.NotEmpty(t, e.InvocationID)
	})
	t.Run("a path of no tool's", func(t *testing.T) {
		_, err := sdk.ListFiles(t.Context())
		require.ErrorIs(t, err, client.ToolUnknown)
	})
	t.Run("an answer that never came", func(t *testing.T) {
		lost := b.Mint(t, nil, "openai: chat.completions READ model:*")
		transport, err := b.Client(t, testenv.Sandbox, lost.Key).Transport("openai", providerOrigin)
		require.NoError(t, err)
		config.HTTPClient = &http.Client{Transport: transport}
		dead := ask
		dead.Model = testenv.LostModel
		_, err = openai.NewClientWithConfig(config).CreateChatCompletion(t.Context(), dead)
		require.ErrorIs(t, err, client.OutcomeUnknown)
	})
	require.Equal(t, before+1, p.Requests(), "a refusal sends nothing, and what was lost is not repeated")
	requireOurs(t, p.Wire(), task.Key)
	require.NotContains(t, p.Wire(), "sk-of-the-sdk")
	requireMetered(t, b, task.ID, 2)
}

// An idempotency key means one call, whether it comes over gRPC or the REST API.
func TestRoundTripIdempotency(t *testing.T) {
	b, p := models(t)
	task := b.Mint(t, nil, modelGrants...)
	transport, err := b.Client(t, testenv.Sandbox, task.Key).Transport("openai", providerOrigin)
	require.NoError(t, err)
	const body = `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"hi"}]}`
	first := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/c/openai/v1/chat/completions", body, "Idempotency-Key", "order-17")
	require.Equal(t, http.StatusOK, first.Status, first.Body)

	again, err := http.NewRequestWithContext(t.Context(), http.MethodPost, providerOrigin+"/v1/chat/completions", strings.NewReader(body))
	require.NoError(t, err)
	again.Header.Set("Content-Type", "application/json")
	again.Header.Set("Idempotency-Key", "order-17")
	_, err = (&http.Client{Transport: transport}).Do(again) //nolint:bodyclose // an error has no body
	require.ErrorIs(t, err, client.Conflict)
	var e *client.Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, first.Header.Get("X-Onedoor-Invocation-Id"), e.Metadata["first_invocation_id"])
	require.Equal(t, 1, p.Requests())
}

// Any HTTP API will do, by the manifest of any kind: the paths, queries and bodies that a
// program has for it are those of its tools.
func TestRoundTripAnyAPI(t *testing.T) {
	b, up := things(t)
	task := b.Mint(t, nil, "things: things.get,things.find READ thing:*", "things: things.make WRITE thing:*")
	const origin = "https://things.example.com"
	transport, err := b.Client(t, testenv.Sandbox, task.Key).Transport("things", origin)
	require.NoError(t, err)
	web := &http.Client{Transport: transport}
	ask := func(method, path, body string) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, origin+path, strings.NewReader(body))
		require.NoError(t, err)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		answer, err := web.Do(r)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.Status + " " + string(text), answer.Body.Close()
	}
	const made = `{"name":"é","size":9007199254740993,"price":1.10}`
	for _, good := range []struct{ method, path, body, want string }{
		{http.MethodGet, "/things/7", "", `200 OK {"id":9007199254740993,"got":null}`},
		{http.MethodGet, "/things/none", "", `404 Not Found {"error":"no such thing"}`},
		{http.MethodPost, "/things", made, `200 OK {"id":9007199254740993,"got":` + made + `}`},
	} {
		got, err := ask(good.method, good.path, good.body)
		require.NoError(t, err, good.path)
		require.Equal(t, good.want, got)
	}
	require.Contains(t, up.Wire(), "GET /things/7 HTTP/1.1\r\n")
	require.Contains(t, up.Wire(), made)
	require.NotContains(t, up.Wire(), task.Key)

	before := up.Requests()
	for name, refused := range map[string]struct {
		method, path, body string
		want               client.Reason
	}{
		"a path of no tool's":  {http.MethodGet, "/stores/7", "", client.ToolUnknown},
		"a method of none":     {http.MethodDelete, "/things/7", "", client.ToolUnknown},
		"a query of no tool's": {http.MethodGet, "/things/7?more=1", "", client.ArgumentInvalid},
		"an odd body":          {http.MethodPost, "/things", `{"nme":"a"}`, client.ArgumentInvalid},
	} {
		_, err := ask(refused.method, refused.path, refused.body)
		require.ErrorIs(t, err, refused.want, name)
	}
	require.Equal(t, before, up.Requests(), "a refusal sends nothing")
}
