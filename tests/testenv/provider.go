package testenv

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ProviderKey is the key that a Provider demands.
const ProviderKey = "sk-provider-canary-9f3b7d21c6e84a05"

// LostModel is a model whose answer never comes: the connection breaks in its place.
const LostModel = "lost"

// Provider stands in for OpenAI, Anthropic and Google: it speaks their wire formats,
// and refuses what does not carry its key where each of them wants it. Every answer is
// "Hello, world", with three tokens in and two out.
type Provider struct {
	*Upstream
	more chan struct{}
}

// NewProvider serves until the test ends.
func NewProvider(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{more: make(chan struct{})}
	mux := http.NewServeMux()
	openai := func(h http.HandlerFunc) http.Handler { return keyed("Authorization", "Bearer ", h) }
	mux.Handle("POST /v1/chat/completions", openai(p.chat))
	mux.Handle("POST /v1/responses", openai(p.responses))
	mux.Handle("POST /v1/messages", keyed("X-Api-Key", "", p.messages))
	google := keyed("X-Goog-Api-Key", "", p.content)
	mux.Handle("POST /v1beta/models/{call}", google)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	p.Upstream = NewUpstream(t, mux)
	return p
}

// More lets one stream go on behind its first event.
func (p *Provider) More() { p.more <- struct{}{} }

// Ready is a manifest of deploy/connectors, but for the provider's address.
func (p *Provider) Ready(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "connectors", name+".yaml"))
	require.NoError(t, err)
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "origin: ") {
			kept.WriteString(line)
			continue
		}
		kept.WriteString("origin: " + p.Origin + "\nnetwork: {allow: [127.0.0.0/8]}\ntls:\n  ca: |\n")
		for line := range strings.Lines(p.CA) {
			kept.WriteString("    " + line)
		}
	}
	return kept.String()
}

// keyed demands the key in one header, and JSON.
func keyed(header, prefix string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(header) != prefix+ProviderKey || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	})
}

// asked is what the provider reads of a request.
type asked struct {
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	// What a stream of chat completions says of usage, it says when asked.
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

func readAsked(w http.ResponseWriter, r *http.Request) (asked, bool) {
	var a asked
	if json.NewDecoder(r.Body).Decode(&a) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return a, false
	}
	if a.Model == LostModel {
		panic(http.ErrAbortHandler)
	}
	return a, true
}

func (p *Provider) chat(w http.ResponseWriter, r *http.Request) {
	a, ok := readAsked(w, r)
	if !ok {
		return
	}
	const form = `{"id":"chatcmpl-1","object":"%s","created":1,"model":%q,%s}`
	if !a.Stream {
		whole(w, fmt.Sprintf(form, "chat.completion", a.Model,
			`"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello, world"}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}`))
		return
	}
	chunk := func(choices string) string {
		return fmt.Sprintf("data: "+form+"\n\n", "chat.completion.chunk", a.Model, choices)
	}
	usage := ""
	if a.StreamOptions.IncludeUsage {
		usage = chunk(`"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}`)
	}
	p.stream(w, r,
		chunk(`"choices":[{"index":0,"delta":{"role":"assistant","content":"Hello,"}}]`),
		chunk(`"choices":[{"index":0,"delta":{"content":" world"}}]`)+chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`)+usage+"data: [DONE]\n\n")
}

func (p *Provider) responses(w http.ResponseWriter, r *http.Request) {
	a, ok := readAsked(w, r)
	if !ok {
		return
	}
	whole(w, fmt.Sprintf(`{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":%q,"output":[{"type":"message","id":"msg_1",`+
		`"status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello, world","annotations":[]}]}],`+
		`"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`, a.Model))
}

func (p *Provider) messages(w http.ResponseWriter, r *http.Request) {
	a, ok := readAsked(w, r)
	if !ok {
		return
	}
	if r.Header.Get("Anthropic-Version") != "2023-06-01" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !a.Stream {
		whole(w, fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":"Hello, world"}],`+
			`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}`, a.Model))
		return
	}
	event := func(name, members string) string {
		return fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}\n\n", name, name, members)
	}
	p.stream(w, r,
		event("message_start", fmt.Sprintf(`,"message":{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}`, a.Model))+
			event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)+
			event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":"Hello,"}`),
		event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":" world"}`)+event("content_block_stop", `,"index":0`)+
			event("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}`)+event("message_stop", ""))
}

func (p *Provider) content(w http.ResponseWriter, r *http.Request) {
	const form = `{"candidates":[{"content":{"role":"model","parts":[{"text":%q}]}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}`
	switch _, call, _ := strings.Cut(r.PathValue("call"), ":"); {
	case call == "generateContent":
		whole(w, fmt.Sprintf(form, "Hello, world"))
	case call == "streamGenerateContent" && r.URL.RawQuery == "alt=sse":
		p.stream(w, r, fmt.Sprintf("data: "+form+"\r\n\r\n", "Hello,"), fmt.Sprintf("data: "+form+"\r\n\r\n", " world"))
	default:
		w.WriteHeader(http.StatusTeapot)
	}
}

func whole(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req_1")
	w.Header().Set("Set-Cookie", "a=b")
	_, _ = w.Write([]byte(body))
}

// stream sends the first text at once, and the rest when it is told to.
func (p *Provider) stream(w http.ResponseWriter, r *http.Request, first, rest string) {
	w.Header().Set("Content-Type", "text/event-stream")
	if _, err := w.Write([]byte(first)); err != nil || http.NewResponseController(w).Flush() != nil {
		return
	}
	select {
	case <-p.more:
		_, _ = w.Write([]byte(rest))
	case <-r.Context().Done():
	}
}
