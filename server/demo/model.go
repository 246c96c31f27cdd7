package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// newModel speaks the shape of OpenAI's chat completions: it repeats the last message
// word by word, whole or as server-sent events.
func newModel(key Secret) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", complete)
	return demand("Authorization", "Bearer ", key, mux)
}

type completionRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"`
	Stream  bool `json:"stream"`
	Options struct {
		Usage bool `json:"include_usage"`
	} `json:"stream_options"`
}

func complete(w http.ResponseWriter, r *http.Request) {
	var in completionRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil || in.Model == "" || len(in.Messages) == 0 {
		reply(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"message": "want model and messages", "type": "invalid_request_error"}})
		return
	}
	answer := "You said: " + in.Messages[len(in.Messages)-1].Content
	if in.Stream {
		stream(w, in, strings.Fields(answer))
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"id": "chatcmpl-demo", "object": "chat.completion", "created": time.Now().Unix(), "model": in.Model,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop", "message": map[string]string{"role": "assistant", "content": answer},
		}},
		"usage": usageOf(answer),
	})
}

// usageOf counts a word as a token.
func usageOf(answer string) map[string]int {
	words := len(strings.Fields(answer))
	return map[string]int{"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words}
}

func stream(w http.ResponseWriter, in completionRequest, words []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	chunk := func(choices []any, usage any) bool {
		fields := map[string]any{
			"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": time.Now().Unix(), "model": in.Model, "choices": choices,
		}
		if in.Options.Usage {
			fields["usage"] = usage
		}
		event, err := json.Marshal(fields)
		if err != nil {
			return false
		}
		_, err = fmt.Fprintf(w, "data: %s\n\n", event)
		return err == nil && http.NewResponseController(w).Flush() == nil
	}
	for i, word := range words {
		if i > 0 {
			word = " " + word
		}
		if !chunk([]any{map[string]any{"index": 0, "delta": map[string]string{"content": word}}}, nil) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	if in.Options.Usage && !chunk([]any{}, usageOf(strings.Join(words, " "))) {
		return
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}
