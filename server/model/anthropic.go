package model

import (
	"encoding/json"
	"strings"
)

// anthropic is the Messages API.
// https://docs.anthropic.com/en/api/messages and /messages-streaming
type anthropic struct{}

func (anthropic) endpoint(path string) (endpoint, string) {
	switch {
	case strings.HasSuffix(path, "/messages"):
		return messages, ""
	case strings.HasSuffix(path, "/messages/count_tokens"), strings.HasSuffix(path, "/cancel"):
		return free, ""
	}
	return other, ""
}

func (anthropic) names() []string {
	return []string{"model", "messages", "system", "max_tokens", "metadata", "stream", "tools", "container", "mcp_servers", "service_tier", "speed", "inference_geo"}
}

func (anthropic) output(_ endpoint, o *object) (bound, times int64, err error) {
	bound, err = o.number("max_tokens")
	return bound, 1, err
}

func (anthropic) argument(endpoint) string { return "max_tokens" }

func (anthropic) beyond(_ endpoint, o *object) string {
	for _, name := range []string{"container", "mcp_servers"} {
		if o.raw(name) != nil {
			return name
		}
	}
	for _, name := range []string{"messages", "system"} {
		if what := media(o.raw(name)); what != "" {
			return what
		}
	}
	// These are run by the caller; all others that have a type, by the provider.
	return hosted(o.raw("tools"), "", "custom", "bash_", "text_editor_", "computer_", "memory_")
}

func (anthropic) prepare(_ endpoint, o *object, a Attribution, user string) (bool, error) {
	if a != UserID {
		return false, nil
	}
	return false, o.setIn("metadata", "user_id", user)
}

// Places of Anthropic's events.
const (
	atMessageUsage place = "message.usage"
	atMessageModel place = "message.model"
	atStopReason   place = "delta.stop_reason"
)

func (anthropic) places(_ endpoint, stream bool) []place {
	if stream {
		return []place{atType, atMessageUsage, atMessageModel, atUsage, atStopReason}
	}
	return []place{atUsage, atModel}
}

func (anthropic) note(_ endpoint, found func(place) []byte, r *reading) {
	if !r.stream {
		r.model(found(atModel))
		r.final = r.use(anthropicUsage(found(atUsage), Usage{}))
		return
	}
	switch text(found(atType)) {
	case "message_start":
		r.model(found(atMessageModel))
		// The input is whole before the first word of the answer.
		r.input = r.use(anthropicUsage(found(atMessageUsage), Usage{}))
	case "message_delta":
		// What it says is the sum so far; what it leaves out stands as it was.
		r.final = r.use(anthropicUsage(found(atUsage), r.used)) && text(found(atStopReason)) != ""
	}
}

// anthropicUsage reads a usage object, on top of what was said before. input_tokens
// are without what came from the cache or went into it.
func anthropicUsage(raw []byte, before Usage) (Usage, bool) {
	var u struct {
		Input  *int64 `json:"input_tokens"`
		Read   *int64 `json:"cache_read_input_tokens"`
		Write  *int64 `json:"cache_creation_input_tokens"`
		Output *int64 `json:"output_tokens"`
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &u) != nil {
		return Usage{}, false
	}
	plain := or(u.Input, before.Input-before.CachedInput-before.CacheWrite)
	out := Usage{CachedInput: or(u.Read, before.CachedInput), CacheWrite: or(u.Write, before.CacheWrite), Output: or(u.Output, before.Output)}
	if min(plain, out.CachedInput, out.CacheWrite) < 0 || max(plain, out.CachedInput, out.CacheWrite) > MostTokens {
		return Usage{}, false
	}
	out.Input = plain + out.CachedInput + out.CacheWrite
	return out, out.sound()
}

func or(given *int64, before int64) int64 {
	if given == nil {
		return before
	}
	return *given
}
