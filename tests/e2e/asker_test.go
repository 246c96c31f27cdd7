package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/onedoor/onedoor/tests/testenv"
)

// asker is a model that asks for contacts 42 and 43 as long as it was told of none, and
// then says what it was told.
type asker struct{ *testenv.Provider }

func newAsker(t *testing.T) asker {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", answering(func(told []string, name string) string {
		if len(told) > 0 {
			return `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":` +
				quoted(told) + `}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
		}
		const call = `{"id":"call_%d","type":"function","function":{"name":%q,"arguments":"{\"id\": \"%d\"}"}}`
		return fmt.Sprintf(`{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":[`+
			call+","+call+`]}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`, 42, name, 42, 43, name, 43)
	}))
	mux.HandleFunc("POST /v1/responses", answering(func(told []string, name string) string {
		const form = `{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[%s],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`
		if len(told) > 0 {
			return fmt.Sprintf(form, `{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":`+quoted(told)+`,"annotations":[]}]}`)
		}
		const call = `{"type":"function_call","id":"fc_%d","call_id":"call_%d","status":"completed","name":%q,"arguments":"{\"id\": \"%d\"}"}`
		return fmt.Sprintf(form, fmt.Sprintf(call+","+call, 42, 42, name, 42, 43, 43, name, 43))
	}))
	mux.HandleFunc("POST /v1/messages", answering(func(told []string, name string) string {
		const form = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[%s],"stop_reason":%q,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}`
		if len(told) > 0 {
			return fmt.Sprintf(form, `{"type":"text","text":`+quoted(told)+`}`, "end_turn")
		}
		const call = `{"type":"tool_use","id":"toolu_%d","name":%q,"input":{"id":"%d"}}`
		return fmt.Sprintf(form, fmt.Sprintf(call+","+call, 42, name, 42, 43, name, 43), "tool_use")
	}))
	return asker{&testenv.Provider{Upstream: testenv.NewUpstream(t, mux)}}
}

// answering gives what the model was told, and the name of its function for contacts.
func answering(answer func(told []string, name string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Messages, Input, Tools json.RawMessage
			Stream                 bool
		}
		if json.NewDecoder(r.Body).Decode(&asked) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		name := regexp.MustCompile(`"name":\s*"(crm__contacts_get)"`).FindSubmatch(asked.Tools)
		if name == nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		whole := answer(results(append(asked.Messages, asked.Input...)), string(name[1]))
		if asked.Stream {
			stream(w, r.URL.Path, whole)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, whole)
	}
}

// results are the texts of all tool results in a conversation, whoever's form it has.
func results(conversation []byte) []string {
	var items []struct {
		Role, Type string
		Content    json.RawMessage
		Output     string
	}
	_ = json.Unmarshal(conversation, &items)
	var told []string
	for _, item := range items {
		var text string
		var blocks []struct{ Type, Content string }
		switch {
		case item.Type == "function_call_output":
			told = append(told, item.Output)
		case item.Role == "tool" && json.Unmarshal(item.Content, &text) == nil:
			told = append(told, text)
		case item.Role == "user" && json.Unmarshal(item.Content, &blocks) == nil:
			for _, b := range blocks {
				if b.Type == "tool_result" {
					told = append(told, b.Content)
				}
			}
		}
	}
	return told
}

func quoted(told []string) string {
	text, _ := json.Marshal(strings.Join(told, " | "))
	return string(text)
}

// stream sends an answer as the provider streams it: of chat completions and of messages.
func stream(w http.ResponseWriter, path, whole string) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(name, form string, values ...any) {
		if name != "" {
			_, _ = fmt.Fprintf(w, "event: %s\n", name)
		}
		_, _ = fmt.Fprintf(w, "data: "+form+"\n\n", values...)
		_ = http.NewResponseController(w).Flush()
	}
	if path == "/v1/messages" {
		streamMessage(send, whole)
		return
	}
	var answer struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
			Message      struct {
				Content   *string
				ToolCalls []struct {
					ID       string
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
		}
	}
	_ = json.Unmarshal([]byte(whole), &answer)
	choice := answer.Choices[0]
	chunk := func(delta, finish string) {
		send("", `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}`, delta, finish)
	}
	for i, call := range choice.Message.ToolCalls {
		chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":""}}]}`, i, call.ID, call.Function.Name), "null")
		for _, piece := range halves(call.Function.Arguments) {
			chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, i, quoted([]string{piece})), "null")
		}
	}
	if choice.Message.Content != nil {
		for _, piece := range halves(*choice.Message.Content) {
			chunk(`{"content":`+quoted([]string{piece})+`}`, "null")
		}
	}
	chunk("{}", fmt.Sprintf("%q", choice.FinishReason))
	send("", `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)
	send("", "[DONE]")
}

func streamMessage(send func(name, form string, values ...any), whole string) {
	var answer struct {
		StopReason string `json:"stop_reason"`
		Content    []struct {
			Type, ID, Name, Text string
			Input                json.RawMessage
		}
	}
	_ = json.Unmarshal([]byte(whole), &answer)
	send("message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}`)
	for i, block := range answer.Content {
		begins, kind, member, text := `{"type":"text","text":""}`, "text_delta", "text", block.Text
		if block.Type == "tool_use" {
			begins = fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%q,"input":{}}`, block.ID, block.Name)
			kind, member, text = "input_json_delta", "partial_json", string(block.Input)
		}
		send("content_block_start", `{"type":"content_block_start","index":%d,"content_block":%s}`, i, begins)
		for _, piece := range halves(text) {
			send("content_block_delta", `{"type":"content_block_delta","index":%d,"delta":{"type":%q,%q:%s}}`, i, kind, member, quoted([]string{piece}))
		}
		send("content_block_stop", `{"type":"content_block_stop","index":%d}`, i)
	}
	send("message_delta", `{"type":"message_delta","delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"output_tokens":2}}`, answer.StopReason)
	send("message_stop", `{"type":"message_stop"}`)
}

func halves(text string) []string { return []string{text[:len(text)/2], text[len(text)/2:]} }
