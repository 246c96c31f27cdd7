package model

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// media names the first thing in a conversation whose tokens do not show in its bytes:
// an image, a sound, a file, or a reference to one. A picture of one colour is a few
// bytes and thousands of tokens. Names are taken in any case, as some servers do (see folded).
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
	for _, part := range []string{"image_url", "audio", "file", "inline", "source", "item_reference", `\u00`, `\u01`, "ſ"} {
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

// folded is a name as a reader that takes names in any case might take it. Of the letters
// beyond ASCII that fold to one of it (Unicode, CaseFolding) ToLower knows all but the long s.
func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "ſ", "s") }

// typesOf gives what stands as the type of an object, in every spelling of that name: a
// reader may take any of them. None where it has none.
func typesOf(object map[string]any) []string {
	var all []string
	for name, value := range object {
		if value != nil && folded(name) == "type" {
			text, _ := value.(string)
			all = append(all, text)
		}
	}
	return all
}

func mediaAt(parent map[string]any, name string, inner any) string {
	switch folded(name) {
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
		kinds := typesOf(source)
		if len(kinds) == 0 || slices.ContainsFunc(kinds, func(kind string) bool { return kind != "text" && kind != "content" }) {
			return name
		}
	}
	switch name { // not in any spelling: this lets things pass
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
		kinds := typesOf(tool)
		if len(kinds) == 0 {
			kinds = []string{""}
		}
		for _, given := range kinds {
			if !slices.ContainsFunc(own, func(kind string) bool {
				return given == kind || strings.HasSuffix(kind, "_") && strings.HasPrefix(given, kind)
			}) {
				return "tools"
			}
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
		if slices.ContainsFunc(typesOf(tool), func(kind string) bool { return kind != "function" && kind != "custom" }) {
			n++
		}
	}
	return n
}
