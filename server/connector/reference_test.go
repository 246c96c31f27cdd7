package connector_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
)

// What is stored at the provider cannot be named, by any call, at any depth.
func TestReferencesAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, connector, tool, arguments, field string }{
		{"a file", "openai", "chat.completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`, "messages.0.content.0.file.file_id"},
		{"earlier audio", "openai", "chat.completions", `{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}`, "messages.0.audio.id"},
		{"a voice", "openai", "chat.completions", `{"model":"m","messages":[{}],"audio":{"voice":{"id":"voice_1"},"format":"wav"}}`, "audio.voice.id"},
		{"a response to compare with", "openai", "chat.completions", `{"model":"m","messages":[{}],"prompt_cache_options":{"comparison_response_id":"r"}}`, "prompt_cache_options.comparison_response_id"},
		{"an item", "openai", "responses.create", `{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}`, "input.0.id"},
		{"an item without a type", "openai", "responses.create", `{"model":"m","input":[{"id":"msg_1"}]}`, "input.0.id"},
		{"earlier reasoning", "openai", "responses.create", `{"model":"m","input":[{"type":"reasoning","id":"rs_1","summary":[]}]}`, "input.0.id"},
		{"a picture made before", "openai", "responses.create", `{"model":"m","input":[{"type":"image_generation_call","id":"ig_1"}]}`, "input.0.id"},
		{"a picture's file", "openai", "responses.create", `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]}`, "input.0.content.0.file_id"},
		{"files in capitals", "openai", "responses.create", `{"model":"m","input":[{"FILE_IDS":["file-1"]}]}`, "input.0.FILE_IDS"},
		{"files with a long s", "openai", "responses.create", `{"model":"m","input":[{"file_idſ":["file-1"]}]}`, `input.0."file_id\u017f"`},
		{"a container with a long s", "gemini", "content.generate", `{"model":"m","contents":[{"fileſearchStoreNames":["s"]}]}`, `contents.0."file\u017fearchStoreNames"`},
		{"a data store", "gemini", "content.generate", `{"model":"m","contents":[{"retrieval":{"vertexAiSearch":{"dataStoreSpecs":[{"dataStore":"d"}]}}}]}`, "contents.0.retrieval.vertexAiSearch.dataStoreSpecs.0.dataStore"},
		{"a secret of the provider's", "gemini", "content.generate", `{"model":"m","contents":[{"externalApi":{"authConfig":{"apiKeyConfig":{"apiKeySecret":"s"}}}}]}`, "contents.0.externalApi.authConfig.apiKeyConfig.apiKeySecret"},
		{"an account of the provider's", "gemini", "content.generate", `{"model":"m","contents":[{"oauth_config":{"service_account":"s"}}]}`, "contents.0.oauth_config.service_account"},
		{"a field of the future", "openai", "responses.create", `{"model":"m","input":"x","reasoning":{"trace_id":"t"}}`, "reasoning.trace_id"},
		{"a container by name", "openai", "responses.create", `{"model":"m","input":[{"type":"x","container":"cntr_1"}]}`, "input.0.container"},
		{"a conversation", "openai", "responses.create", `{"model":"m","input":[{"conversation":{"id":"conv_1"}}]}`, "input.0.conversation.id"},
		{"a tool call's id elsewhere", "openai", "responses.create", `{"model":"m","input":[{"tool_calls":[{"id":"x"}]}]}`, "input.0.tool_calls.0.id"},
		{"parameters elsewhere", "openai", "responses.create", `{"model":"m","input":[{"parameters":{"file_id":"x"}}]}`, "input.0.parameters.file_id"},
		{"an object in a list's place", "gemini", "content.generate", `{"model":"m","contents":[{"parts":{"*":{"functionCall":{"args":{"fileUri":"x"}}}}}]}`, `contents.0.parts."*".functionCall.args.fileUri`},
		{"the first of several", "openai", "responses.create", `{"model":"m","input":[{"id":"a","file_id":"b"},{"id":"c"}]}`, "input.0.file_id"},
		{"a document", "anthropic", "messages.create", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}`, "messages.0.content.0.source.file_id"},
		{"a document in a tool's result", "anthropic", "messages.count_tokens", `{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"source":{"file_id":"f"}}]}]}]}`, "messages.0.content.0.content.0.source.file_id"},
		{"a file", "gemini", "content.generate", `{"model":"m","contents":[{"parts":[{"fileData":{"fileUri":"https://x/files/f"}}]}]}`, "contents.0.parts.0.fileData.fileUri"},
		{"a file in the other spelling", "gemini", "content.stream", `{"model":"m","contents":[{"parts":[{"file_data":{"file_uri":"https://x/files/f"}}]}]}`, "contents.0.parts.0.file_data.file_uri"},
		{"a cache", "gemini", "content.generate", `{"model":"m","contents":[{}],"generationConfig":{"cached_content":"cachedContents/c"}}`, "generationConfig.cached_content"},
		{"a file in the system's part", "gemini", "content.generate", `{"model":"m","contents":[{}],"systemInstruction":{"parts":[{"fileData":{"fileUri":"f"}}]}}`, "systemInstruction.parts.0.fileData.fileUri"},
		{"what is no argument at all", "gemini", "content.generate", `{"model":"m","contents":[{}],"cachedContent":"cachedContents/c"}`, "cachedContent"},
		{"nor here", "openai", "responses.create", `{"model":"m","input":"x","previous_response_id":"resp_1"}`, "previous_response_id"},
		{"nor there", "anthropic", "messages.create", `{"model":"m","max_tokens":1,"messages":[{}],"container":"c"}`, "container"},
		{"to be stored", "openai", "responses.create", `{"model":"m","input":"x","store":true}`, "store"},
		{"a tool that the provider runs", "openai", "responses.create", `{"model":"m","input":"x","tools":[{"type":"web_search"}]}`, "tools.0.type"},
		{"a tool that the provider runs", "anthropic", "messages.create", `{"model":"m","max_tokens":1,"messages":[{}],"tools":[{"type":"web_fetch_20260209","name":"x"}]}`, "tools.0.type"},
		{"a tool that the provider runs", "gemini", "content.generate", `{"model":"m","contents":[{}],"tools":[{"urlContext":{}}]}`, "tools.0.urlContext"},
	} {
		t.Run(tt.connector+": "+tt.name, func(t *testing.T) {
			_, err := ready(t, tt.connector).Bind(tt.tool, []byte(tt.arguments))
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Equal(t, tt.field, fault.From(err).Metadata["field"], err.Error())
		})
	}
}

// What ties parts of one request together, and what is the caller's own, stays free.
func TestWhatIsNoReference(t *testing.T) {
	const schema = `{"type":"object","properties":{"file_id":{"type":"string"},"id":{},"container":{}},"required":["file_id"]}`
	for _, tt := range []struct{ name, connector, tool, arguments string }{
		{"tools and their calls", "openai", "chat.completions", `{"model":"m","messages":[
			{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"file_id\":1}"}}]},
			{"role":"tool","tool_call_id":"call_1","content":"{\"id\":1}"}],"tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}],
			"functions":[{"parameters":` + schema + `}],"response_format":{"type":"json_schema","json_schema":{"schema":` + schema + `}},"metadata":{"trace_id":"x"}}`},
		{"tools and their calls", "openai", "responses.create", `{"model":"m","store":false,"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
			{"type":"function_call_output","call_id":"c","output":"{}"}],"tools":[{"type":"function","name":"f","parameters":` + schema + `}],"text":{"format":{"schema":` + schema + `}}}`},
		{"no value", "openai", "responses.create", `{"model":"m","input":[{"role":"user","id":null,"content":"x"}],"store":null}`},
		{"words that end so", "openai", "responses.create", `{"model":"m","input":[{"grid":1,"valid":2,"paid":3,"bids":4}]}`},
		{"tools and their calls", "anthropic", "messages.create", `{"model":"m","max_tokens":1,"metadata":{"user_id":"u"},"messages":[
			{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{"file_id":"x","id":1}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"x"}]}],
			"tools":[{"name":"f","input_schema":` + schema + `},{"type":"bash_20250124","name":"bash"}],"output_config":{"format":{"schema":` + schema + `}}}`},
		{"tools and their calls", "gemini", "content.generate", `{"model":"m","contents":[{"parts":[{"functionCall":{"id":"1","name":"f","args":{"file_id":1}}},
			{"function_response":{"id":"1","name":"f","response":{"id":1,"fileUri":"x"}}}]}],
			"tools":[{"functionDeclarations":[{"name":"f","parameters":` + schema + `,"parametersJsonSchema":` + schema + `}]}],"generationConfig":{"responseSchema":` + schema + `}}`},
	} {
		t.Run(tt.connector+": "+tt.name, func(t *testing.T) {
			_, err := ready(t, tt.connector).Bind(tt.tool, []byte(tt.arguments))
			require.NoError(t, err)
		})
	}
}
