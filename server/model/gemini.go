package model

import (
	"encoding/json"
	"strings"
)

// gemini is the Gemini API, of Google AI and of Vertex AI.
// https://ai.google.dev/api/generate-content
type gemini struct{}

func (gemini) endpoint(path string) (endpoint, string) {
	rest, verb, ok := cutLast(path, ":")
	if !ok {
		return other, ""
	}
	_, name, _ := cutLast(rest, "/")
	switch verb {
	case "generateContent", "streamGenerateContent":
		return generate, name
	case "embedContent", "batchEmbedContents":
		return embeddings, name
	case "countTokens", "computeTokens":
		return free, ""
	}
	return other, ""
}

func cutLast(s, separator string) (before, after string, ok bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

func (gemini) names() []string {
	return []string{
		"contents", "systemInstruction", "system_instruction", "generationConfig", "generation_config", "labels",
		"cachedContent", "cached_content", "tools", "serviceTier", "service_tier",
	}
}

func (gemini) output(_ endpoint, o *object) (bound, times int64, err error) {
	name, err := o.one("generationConfig", "generation_config")
	if err != nil || o.raw(name) == nil {
		return 0, 1, err
	}
	config, err := readObject(o.raw(name), "arguments."+name)
	if err != nil {
		return 0, 0, err
	}
	if bound, err = numberOf(config, "maxOutputTokens", "max_output_tokens"); err != nil {
		return 0, 0, err
	}
	times, err = numberOf(config, "candidateCount", "candidate_count")
	return bound, times1(times), err
}

// numberOf reads a member of two spellings, as protobuf has them.
func numberOf(o *object, names ...string) (int64, error) {
	if err := o.exact(names...); err != nil {
		return 0, err
	}
	name, err := o.one(names...)
	if err != nil {
		return 0, err
	}
	return o.number(name)
}

func (gemini) argument(endpoint) string { return "generationConfig.maxOutputTokens" }

func (gemini) beyond(_ endpoint, o *object) string {
	for _, name := range []string{"cachedContent", "cached_content"} {
		if o.raw(name) != nil {
			return name
		}
	}
	for _, name := range []string{"contents", "content", "requests", "systemInstruction", "system_instruction"} {
		if what := media(o.raw(name)); what != "" {
			return what
		}
	}
	var tools []map[string]json.RawMessage
	if raw := o.raw("tools"); raw != nil && json.Unmarshal(raw, &tools) != nil {
		return "tools"
	}
	for _, tool := range tools {
		for name := range tool {
			if name != "functionDeclarations" && name != "function_declarations" {
				return "tools"
			}
		}
	}
	return ""
}

// prepare sets the label onedoor-user: labels are for billing, and Vertex AI alone has
// them.
func (gemini) prepare(e endpoint, o *object, a Attribution, user string) (bool, error) {
	if a != Labels || e != generate {
		return false, nil
	}
	return false, o.setIn("labels", "onedoor-user", user)
}

// Places of Gemini's answers.
const (
	atUsageMetadata place = "usageMetadata"
	atModelVersion  place = "modelVersion"
)

func (gemini) places(endpoint, bool) []place { return []place{atUsageMetadata, atModelVersion} }

// note: every piece of a stream has the sums so far, so that the last one counts.
func (gemini) note(_ endpoint, found func(place) []byte, r *reading) {
	r.model(found(atModelVersion))
	r.last = r.use(geminiUsage(found(atUsageMetadata)))
	r.final = r.last && !r.stream
}

func geminiUsage(raw []byte) (Usage, bool) {
	var u struct {
		Prompt     int64 `json:"promptTokenCount"`
		ToolUse    int64 `json:"toolUsePromptTokenCount"`
		Cached     int64 `json:"cachedContentTokenCount"`
		Candidates int64 `json:"candidatesTokenCount"`
		Thoughts   int64 `json:"thoughtsTokenCount"`
		Total      int64 `json:"totalTokenCount"`
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &u) != nil {
		return Usage{}, false
	}
	for _, n := range []int64{u.Prompt, u.ToolUse, u.Candidates, u.Thoughts, u.Total} {
		if n < 0 || n > MostTokens {
			return Usage{}, false
		}
	}
	out := Usage{Input: u.Prompt + u.ToolUse, CachedInput: u.Cached, Output: u.Candidates + u.Thoughts}
	out.Output = max(out.Output, u.Total-out.Input)
	return out, out.sound()
}
