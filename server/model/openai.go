package model

import (
	"encoding/json"
	"strings"
)

// openai is the API of OpenAI and of all that are compatible with it: chat completions,
// legacy completions, responses and embeddings.
// https://platform.openai.com/docs/api-reference
type openai struct{}

func (openai) endpoint(path string) (endpoint, string) {
	// Azure names the model as a deployment in the path.
	deployment := ""
	if _, rest, ok := strings.Cut(path, "/deployments/"); ok {
		deployment, _, _ = strings.Cut(rest, "/")
	}
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		return chat, deployment
	case strings.HasSuffix(path, "/completions"):
		return completions, deployment
	case strings.HasSuffix(path, "/responses"):
		return responses, deployment
	case strings.HasSuffix(path, "/embeddings"):
		return embeddings, deployment
	case strings.HasSuffix(path, "/moderations"), strings.HasSuffix(path, "/responses/input_tokens"), strings.HasSuffix(path, "/cancel"):
		return free, ""
	}
	return other, ""
}

func (openai) names() []string {
	return []string{
		"model", "messages", "input", "prompt", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of",
		"stream", "stream_options", "tools", "user", "safety_identifier", "service_tier", "previous_response_id", "conversation", "background",
		"web_search_options",
	}
}

func (openai) output(e endpoint, o *object) (bound, times int64, err error) {
	read := func(name string) int64 {
		n, rerr := o.number(name)
		if err == nil {
			err = rerr
		}
		return n
	}
	switch e {
	case responses:
		return read("max_output_tokens"), 1, err
	case completions:
		bound = read("max_tokens")
		// All candidates are paid for, not only those that are given back.
		times = multiply(larger(times1(read("n")), times1(read("best_of"))), prompts(o.raw("prompt")))
	default:
		bound = larger(read("max_tokens"), read("max_completion_tokens"))
		times = times1(read("n"))
	}
	return bound, times, err
}

// times1 makes "not given" one answer.
func times1(n int64) int64 {
	if n == 0 {
		return 1
	}
	return n
}

// multiply keeps out of range what is.
func multiply(a, b int64) int64 {
	if a < 0 || b < 0 || a > MostTokens/max(b, 1) {
		return -1
	}
	return a * b
}

// larger is of two members of which a server may go by either: without end where one of
// them says so.
func larger(a, b int64) int64 {
	if a < 0 || b < 0 {
		return -1
	}
	return max(a, b)
}

// prompts counts the prompts of a legacy completion: each is answered by itself. A list
// of numbers is one prompt in tokens.
func prompts(raw []byte) int64 {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return 1
	}
	n := int64(0)
	for _, item := range list {
		if item[0] == '"' || item[0] == '[' {
			n++
		}
	}
	return max(n, 1)
}

func (openai) argument(e endpoint) string {
	switch e {
	case responses:
		return "max_output_tokens"
	case chat:
		return "max_completion_tokens or max_tokens"
	}
	return "max_tokens"
}

func (openai) beyond(e endpoint, o *object) string {
	if e == responses {
		for _, name := range []string{"previous_response_id", "conversation", "prompt"} {
			if o.raw(name) != nil {
				return name
			}
		}
		if o.string("input") == "" {
			if what := media(o.raw("input")); what != "" {
				return what
			}
		}
	}
	if what := media(o.raw("messages")); what != "" {
		return what
	}
	if o.raw("web_search_options") != nil {
		return "web_search_options"
	}
	return hosted(o.raw("tools"), "function", "custom")
}

func (openai) prepare(e endpoint, o *object, a Attribution, user string) (quiet bool, err error) {
	ours, other := "user", "safety_identifier" // completions and embeddings have no other
	if a == SafetyIdentifier && (e == chat || e == responses) {
		ours, other = other, ours
	}
	if a != NoAttribution {
		o.set(ours, user)
		if o.find(other) != nil { // a caller must not name somebody else in it
			o.set(other, user)
		}
	}
	if (e != chat && e != completions) || string(o.raw("stream")) != "true" {
		return false, nil
	}
	if options := o.raw("stream_options"); options != nil {
		given, err := readObject(options, "arguments.stream_options")
		if err != nil {
			return false, err
		}
		if string(given.raw("include_usage")) == "true" {
			return false, given.exact("include_usage")
		}
	}
	return true, o.setIn("stream_options", "include_usage", "true")
}

// Places of OpenAI's answers.
const (
	atUsage         place = "usage"
	atModel         place = "model"
	atChoices       place = "choices"
	atType          place = "type"
	atResponseUsage place = "response.usage"
	atResponseModel place = "response.model"
)

func (openai) places(e endpoint, stream bool) []place {
	switch {
	case e == responses && stream:
		return []place{atType, atResponseUsage, atResponseModel}
	case stream:
		return []place{atUsage, atModel, atChoices}
	}
	return []place{atUsage, atModel}
}

func (openai) note(e endpoint, found func(place) []byte, r *reading) {
	if e == responses && r.stream {
		r.model(found(atResponseModel))
		switch text(found(atType)) {
		case "response.completed", "response.incomplete", "response.failed":
			r.final = r.use(openaiUsage(found(atResponseUsage)))
		}
		return
	}
	r.model(found(atModel))
	if r.use(openaiUsage(found(atUsage))) {
		// The extra event of include_usage comes last. Servers that put a running count
		// beside every piece end with [DONE].
		r.last, r.final = true, !r.stream || string(found(atChoices)) == "[]"
	}
}

// openaiUsage reads a usage object of either spelling.
func openaiUsage(raw []byte) (Usage, bool) {
	var u struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Input      int64 `json:"input_tokens"`
		Output     int64 `json:"output_tokens"`
		Total      int64 `json:"total_tokens"`
		PromptIn   struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		InputIn struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"input_tokens_details"`
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &u) != nil || u.Total > MostTokens ||
		min(u.Prompt, u.Completion, u.Input, u.Output, u.Total) < 0 {
		return Usage{}, false
	}
	out := Usage{
		Input: max(u.Prompt, u.Input), Output: max(u.Completion, u.Output),
		CachedInput: max(u.PromptIn.Cached, u.InputIn.Cached),
	}
	// Some servers count reasoning in the total alone.
	out.Output = max(out.Output, u.Total-out.Input)
	return out, out.sound()
}
