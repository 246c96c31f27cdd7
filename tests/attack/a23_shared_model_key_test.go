package attack_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// The provider's routes for what is stored there, and for its administration, are not
// there for a sandbox, whatever it was granted.
func TestAttack23_Routes(t *testing.T) {
	b, p, task := providers(t)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, one := range []string{
		"GET openai/v1/files", "POST openai/v1/files", "GET openai/v1/files/file-1/content", "DELETE openai/v1/files/file-1", "POST openai/v1/uploads",
		"POST openai/v1/batches", "GET openai/v1/batches", "GET openai/v1/responses/resp_1", "DELETE openai/v1/responses/resp_1", "GET openai/v1/responses/resp_1/input_items",
		"GET openai/v1/chat/completions/chatcmpl-1", "GET openai/v1/conversations/conv_1/items", "GET openai/v1/vector_stores", "POST openai/v1/vector_stores/vs_1/search",
		"GET openai/v1/containers/c/files/f/content", "POST openai/v1/fine_tuning/jobs", "GET openai/v1/threads/t/messages", "DELETE openai/v1/models/ft",
		"GET openai/v1/organization/admin_api_keys", "GET openai/v1/organization/users", "GET openai/v1/organization/usage/completions", "GET openai/v1/organization/costs",
		"POST anthropic/v1/messages/batches", "GET anthropic/v1/messages/batches/b/results", "GET anthropic/v1/files", "GET anthropic/v1/files/f/content", "GET anthropic/v1/organizations/api_keys",
		"GET gemini/v1beta/files", "POST gemini/upload/v1beta/files", "GET gemini/v1beta/cachedContents", "POST gemini/v1beta/models/g:batchGenerateContent", "GET gemini/v1beta/operations/o",
		"GET openai/v1/organization/projects", "POST openai/v1/organization/invites", "GET openai/v1/organization/audit_logs", "GET openai/v1/batches/batch_1", "POST openai/v1/responses/resp_1/cancel",
		"GET openai/dashboard/billing/usage", "GET openai/v1/evals", "POST openai/v1/realtime/sessions", "POST openai/v1/images/edits", "GET openai/v1/videos/video_1/content", "GET openai/v1/chat/completions",
		"GET anthropic/v1/organizations/workspaces", "GET anthropic/v1/organizations/usage_report/messages", "GET anthropic/v1/organizations/cost_report", "GET anthropic/v1/organizations/me",
		"POST anthropic/v1/messages/batches/b/cancel", "DELETE anthropic/v1/files/f", "GET anthropic/v1/skills", "POST anthropic/v1/complete",
		"POST gemini/v1beta/cachedContents", "GET gemini/v1beta/cachedContents/c", "GET gemini/v1beta/tunedModels", "GET gemini/v1beta/corpora/c/documents", "GET gemini/v1beta/batches/b",
		"GET gemini/v1beta/files/f:download", "POST gemini/v1beta/models/g:asyncBatchEmbedContent", "GET gemini/v1beta/fileSearchStores", "GET gemini/v1/projects/p/locations/l/cachedContents",
	} {
		t.Run(one, func(t *testing.T) {
			method, path, _ := strings.Cut(one, " ")
			body := ""
			if method == http.MethodPost {
				body = "{}"
			}
			refusedPass(t, rest.Do(t, method, "/c/"+path, body), 404, "TOOL_UNKNOWN")
		})
	}
	for _, one := range []string{
		"GET openai/v1/responses/resp%5F1", "GET openai/v1%2Ffiles", "GET openai/v1/models/..%2ffiles", "GET openai/v1/models/%2e%2e/files", "GET openai/v1/models/m/../../files", "GET openai/v1/./files",
		"GET openai/v1//files", "GET openai/v1/files/", "GET openai/V1/Files", "GET openai/v1/files;x=1", "GET openai/v1/%66iles", "GET openai/v1/models/%252e%252e%252ffiles", "GET openai/v1/models/m%00", "GET openai/v1/models/..%5cfiles",
		"GET openai/v1/files?x=/v1/models", "GET openai/v1/models?after=file-1", "GET openai/v1/models/m?id=file-1", "GET openai/v1/models/m/", "GET openai/v1/models/file-1/content", "GET openai/v1/models#/../files",
		"GET openai%2Fv1%2Ffiles", "GET ../v1/files", "GET openai/../openai/v1/files", "POST openai/v1/responses/", "POST openai/v1/responses/compact", "POST openai/v1/chat/completions/../../files",
		"GET gemini/v1beta/models/..%2Ffiles%2Ff", "GET gemini/v1beta/models/..;/files", "POST gemini/v1beta/models/g%3AbatchGenerateContent", "POST gemini/v1beta/models/g:generateContent:batchGenerateContent",
		"POST gemini/v1beta/models/g:generateContent/../../files", "POST gemini/upload%2Fv1beta%2Ffiles", "GET anthropic/v1/messages/..%2Ffiles", "GET anthropic/v1/models/%2e%2e%2forganizations", "DELETE openai/v1/responses",
	} {
		t.Run(one, func(t *testing.T) {
			method, path, _ := strings.Cut(one, " ")
			answer := rest.Raw(t, method, "/c/"+path, "{}")
			require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}, answer.Status, answer.Body)
			absent(t, "the answer", answer.Body, testenv.ProviderKey)
		})
	}
	require.Zero(t, p.Requests(), "nothing was sent")
}

// What one user's call made under the shared key cannot be named by another's, by
// none of the ways in, in no spelling and at no depth.
func TestAttack23_ObjectIDs(t *testing.T) {
	b, p, task := providers(t)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	made := rest.Do(t, http.MethodPost, "/c/openai/v1/responses", `{"model":"m","input":"a secret of alice's"}`)
	require.Equal(t, http.StatusOK, made.Status, made.Body)
	require.Contains(t, made.Body, `"id":"resp_1"`)

	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	before := p.Requests()
	for _, one := range []struct{ connector, tool, path, body string }{
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"resp_1"}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","previous_respons\u0065_id":"resp_1"}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","conversation":"conv_1"}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","prompt":{"id":"pmpt_1"}}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"\u0069d":"msg_1"}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"type":"reasoning","id":"rs_1","summary":[]}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","FILE_ID":"file-1"}]}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","tools":[{"type":"function","name":"f","vector_store_ids":["vs_1"]}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","tools":[{"type":"code_interpreter","container":"cntr_1"}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","background":true}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","store":true}`},
		{"openai", "chat.completions", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`},
		{"openai", "chat.completions", "/v1/chat/completions", `{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}`},
		{"anthropic", "messages.create", "/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}`},
		{"anthropic", "messages.create", "/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"container":"container_1"}`},
		{"gemini", "content.generate", "/v1beta/models/g:generateContent", `{"contents":[{"parts":[{"fileData":{"fileUri":"https://x/v1beta/files/f"}}]}]}`},
		{"gemini", "content.generate", "/v1beta/models/g:generateContent", `{"contents":[{"parts":[{"file_data":{"file_uri":"https://x/v1beta/files/f"}}]}]}`},
		{"gemini", "content.generate", "/v1beta/models/g:generateContent", `{"contents":[{}],"cachedContent":"cachedContents/c"}`},
		{"gemini", "content.generate", "/v1beta/models/g:generateContent", `{"contents":[{}],"cached_content":"cachedContents/c"}`},
		// An id within an id, as gateways make them that hide where an object lies.
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"cmVzcF8x"}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"resp_bGl0ZWxsbTpyZXNwXzE="}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","previous_response_id":["resp_1"]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","Previous_Response_ID":"resp_1"}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":"x","metadata":{},"conversation":{"id":"conv_1"}}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"type":"mcp_approval_response","approval_request_id":"mcpr_1","approve":true}]}`},
		{"openai", "responses.create", "/v1/responses", `{"model":"m","input":[{"a":[[{"b":{"c":[{"fileIds":["file-1"]}]}}]]}]}`},
		{"openai", "chat.completions", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}],"prediction":{"file-id":"file-1"}}`},
		{"anthropic", "messages.create", "/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"container_upload","file_id":"file_1"}]}]}`},
		{"anthropic", "messages.create", "/v1/messages", `{"model":"m","max_tokens":1,"system":[{"type":"text","text":"x","fileID":"file_1"}],"messages":[{"role":"user","content":"x"}]}`},
		{"gemini", "content.generate", "/v1beta/models/g:generateContent", `{"contents":[{"parts":[{"functionCall":{"name":"f","args":{}},"fileData":{"file_uri":"files/f"}}]}]}`},
		{"gemini", "content.generate", "/v1beta/models/g:generateContent", `{"contents":[{"parts":[{"text":"x"}]}],"cached-content":"cachedContents/c"}`},
	} {
		t.Run(one.connector+" "+one.body, func(t *testing.T) {
			refusedPass(t, rest.Do(t, http.MethodPost, "/c/"+one.connector+one.path, one.body), 400, "ARGUMENT_INVALID")
			arguments := one.body
			if one.connector == "gemini" {
				arguments = `{"model":"g",` + one.body[1:]
			}
			answer := rest.Do(t, http.MethodPost, "/v1/invoke", `{"connector":"`+one.connector+`","tool":"`+one.tool+`","arguments":`+arguments+`}`)
			require.Equal(t, http.StatusBadRequest, answer.Status, answer.Body)
			require.Equal(t, "ARGUMENT_INVALID", answer.Reason(t))
			_, err := sandbox.Invoke(t.Context(), one.connector, one.tool, json.RawMessage(arguments))
			require.ErrorIs(t, err, client.ArgumentInvalid, "gRPC")
			_, err = sandbox.InvokeStream(t.Context(), one.connector, one.tool, json.RawMessage(arguments))
			require.ErrorIs(t, err, client.ArgumentInvalid, "gRPC, as a stream")
			relay, err := sandbox.Broker().Relay(t.Context(), &onedoorv1.RelayRequest{
				Connector: one.connector, Method: http.MethodPost, Path: one.path, ContentType: "application/json", Body: []byte(one.body),
			})
			require.NoError(t, err)
			_, err = relay.Recv()
			require.ErrorIs(t, err, client.ArgumentInvalid, "gRPC, in the provider's form")
		})
	}
	require.Equal(t, before, p.Requests(), "nothing was sent")
}
