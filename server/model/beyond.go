package model

import (
	"bytes"
	"encoding/json"
	"strings"
)

// media names the first thing in a conversation whose tokens do not show in its bytes:
// an image, a sound, a file, or a reference to one. A picture of one colour is a few
// bytes and thousands of tokens. Names are taken in any case, as some servers do.
func media(raw []byte) string {
	var v any
	if !maySpeakOf(raw) || json.Unmarshal(raw, &v) != nil {
		return ""
	}
	return mediaIn(v)
}

// maySpeakOf is a quick look at text that is mostly words: without any of these in it, and
// without escapes in which they could hide, there is nothing to be found.
func maySpeakOf(raw []byte) bool {
	raw = bytes.ToLower(raw)
	for _, part := range []string{"image_url", "audio", "file", "inline", "source", "item_reference", `\u00`} {
		if bytes.Contains(raw, []byte(part)) {
			return true
		}
	}
	return false
}

func mediaIn(v any) string {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if what := mediaIn(item); what != "" {
				return what
			}
		}
	case map[string]any:
		for name, inner := range v {
			if what := mediaAt(v, name, inner); what != "" {
				return what
			}
		}
	}
	return ""
}

func mediaAt(parent map[string]any, name string, inner any) string {
	switch strings.ToLower(name) {
	case "image_url", "input_audio", "file", "file_id", "file_url", "file_data",
		"inlinedata", "inline_data", "filedata", "audio":
		if inner != nil {
			return name
		}
	case "type":
		if kind, _ := inner.(string); strings.EqualFold(kind, "item_reference") {
			return "item_reference"
		}
	case "source":
		source, _ := inner.(map[string]any)
		if kind, _ := source["type"].(string); kind != "text" && kind != "content" {
			return name
		}
	case "input", "args", "response":
		// What a tool was called with and what it gave is text to the model, whatever
		// its members are called. An item of OpenAI's has its input as a string.
		if parent["type"] == "tool_use" || parent["name"] != nil {
			return ""
		}
	}
	return mediaIn(inner)
}

// hosted names the tools if there are such as the provider runs: what they find is
// input that the request does not hold. own are the types of all others, "" for none;
// one that ends in "_" is a beginning.
func hosted(raw []byte, own ...string) string {
	if raw == nil {
		return ""
	}
	var tools []map[string]any // a struct would take "Type" for "type"
	if json.Unmarshal(raw, &tools) != nil {
		return "tools"
	}
	for _, tool := range tools {
		known := false
		given, _ := tool["type"].(string)
		for _, kind := range own {
			known = known || given == kind || strings.HasSuffix(kind, "_") && strings.HasPrefix(given, kind)
		}
		if !known {
			return "tools"
		}
	}
	return ""
}

// typed counts the tools that are of a type of the provider's own, which it knows more of
// than the request says.
func typed(raw []byte) int64 {
	var tools []map[string]any
	if json.Unmarshal(raw, &tools) != nil {
		return 0 // hosted takes these for unbounded
	}
	n := int64(0)
	for _, tool := range tools {
		switch tool["type"] {
		case nil, "function", "custom":
		default:
			n++
		}
	}
	return n
}
