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
	Stream bool `json:"stream"`
}

func complete(w http.ResponseWriter, r *http.Request) {
	var in completionRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil || in.Model == "" || len(in.Messages) == 0 {
		reply(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"message": "want model and messages", "type": "invalid_request_error"}})
		return
	}
	answer := "You said: " + in.Messages[len(in.Messages)-1].Content
	if in.Stream {
		stream(w, in.Model, strings.Fields(answer))
		return
	}
	words := len(strings.Fields(answer))
	reply(w, http.StatusOK, map[string]any{
		"id": "chatcmpl-demo", "object": "chat.completion", "created": time.Now().Unix(), "model": in.Model,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop", "message": map[string]string{"role": "assistant", "content": answer},
		}},
		"usage": map[string]int{"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words},
	})
}

func stream(w http.ResponseWriter, model string, words []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for i, word := range words {
		if i > 0 {
			word = " " + word
		}
		event, err := json.Marshal(map[string]any{
			"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": time.Now().Unix(), "model": model,
			"choices": []any{map[string]any{"index": 0, "delta": map[string]string{"content": word}}},
		})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", event); err != nil || flush.Flush() != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}
