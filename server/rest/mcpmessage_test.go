package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

// What is refused before anything is called.
func TestMCPMalformed(t *testing.T) {
	call := callOf("crm__x", "{}")
	deep := callOf("crm__x", strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000))
	wide := callOf("crm__x", strings.Repeat(`[`, 2000)+strings.Repeat("]", 2000))
	newCall := func(headers ...string) *http.Request {
		return mcpPost(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"crm__x",`+newMeta+`}}`, append([]string{"Mcp-Protocol-Version", newest}, headers...)...)
	}
	twice := mcpPost(call)
	twice.Header["Mcp-Name"] = []string{"crm__x", "crm__y"}
	keys := mcpPost(call)
	keys.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
	inQuery := post("/mcp?key=abc", call)
	form := mcpPost(call, "Content-Type", "text/plain")
	packed := mcpPost(call, "Content-Encoding", "gzip")
	get := httptest.NewRequest(http.MethodGet, "/mcp", nil)
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		code    int
		says    string
	}{
		"a batch":                  {mcpPost("[" + call + "]"), 400, -32600, "batches"},
		"an empty batch":           {mcpPost(" \n[]"), 400, -32600, "batches"},
		"nothing":                  {mcpPost(""), 400, -32600, "body"},
		"no JSON":                  {mcpPost("{"), 400, -32600, "body: not valid JSON"},
		"two messages":             {mcpPost(call + call), 400, -32600, "body: not valid JSON"},
		"a method twice":           {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/list"}`), 400, -32600, "method: given twice"},
		"a name twice":             {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","name":"b"}}`), 400, -32600, "name: given twice"},
		"arguments twice":          {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","arguments":{},"arguments":{}}}`), 400, -32600, "arguments: given twice"},
		"an id that is none":       {mcpPost(`{"jsonrpc":"2.0","id":{},"method":"ping"}`), 400, -32600, "id: must be"},
		"an id of null":            {mcpPost(`{"jsonrpc":"2.0","id":null,"method":"ping"}`), 400, -32600, "id: must be"},
		"a method that is none":    {mcpPost(`{"jsonrpc":"2.0","id":7,"method":7}`), 400, -32600, "method: must be"},
		"parameters by place":      {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[]}`), 400, -32600, "params: must be"},
		"a response":               {mcpPost(`{"jsonrpc":"2.0","id":7,"result":{}}`), 400, -32600, "method: missing"},
		"another JSON-RPC":         {mcpPost(`{"jsonrpc":"1.0","id":7,"method":"ping"}`), 400, -32600, ""},
		"no tool":                  {mcpPost(callOf("", "{}")), 200, -32602, "name: missing"},
		"deep":                     {mcpPost(deep), 400, -32600, "body: not valid JSON"},
		"deep enough for the SDK":  {mcpPost(wide), 400, -32600, ""},
		"not UTF-8":                {mcpPost(callOf("crm__x", "{\"a\":\"\xff\"}")), 400, -32600, "not UTF-8"},
		"unknown":                  {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"x"}`), 200, -32601, "method not found"},
		"prompts":                  {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"prompts/list"}`), 200, -32601, "method not found"},
		"a stream":                 {mcpPost(`{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{}}`, "Mcp-Protocol-Version", newest), 404, -32601, "method not found"},
		"another revision":         {mcpPost(call, "Mcp-Protocol-Version", "2020-01-01"), 400, -32600, "Unsupported protocol version"},
		"no method in the header":  {newCall(), 400, -32020, "Mcp-Method"},
		"another method there":     {newCall("Mcp-Method", "tools/list", "Mcp-Name", "crm__x"), 400, -32020, "Mcp-Method"},
		"no name there":            {newCall("Mcp-Method", "tools/call"), 400, -32020, "Mcp-Name"},
		"another name there":       {newCall("Mcp-Method", "tools/call", "Mcp-Name", "crm__y"), 400, -32020, "Mcp-Name"},
		"two names there":          {twice, 400, -32600, "mcp-name: the header is given more than once"},
		"two keys":                 {keys, 400, -32600, "authorization: the header is given more than once"},
		"a key in the query":       {inQuery, 400, -32600, "query"},
		"another type":             {form, 415, -32600, "content-type"},
		"compressed":               {packed, 415, -32600, "content-encoding"},
		"too large":                {mcpPost(callOf("crm__x", `"`+strings.Repeat("a", 9<<20)+`"`)), 413, -32600, "larger than 8 MiB"},
		"GET":                      {get, 405, -32600, "method not allowed"},
		"DELETE":                   {httptest.NewRequest(http.MethodDelete, "/mcp", nil), 405, -32600, "method not allowed"},
		"a preflight":              {httptest.NewRequest(http.MethodOptions, "/mcp", nil), 405, -32600, "method not allowed"},
		"a page":                   {mcpPost(call, "Origin", "https://evil.example"), 403, -32000, "origin"},
		"a page that rebinds":      {mcpPost(call, "Origin", "https://example.com", "Host", "example.com"), 403, -32000, "origin"},
		"no origin to speak of":    {mcpPost(call, "Origin", "null"), 403, -32000, "origin"},
		"an empty origin":          {mcpPost(call, "Origin", ""), 403, -32000, "origin"},
		"a page without an origin": {mcpPost(call, "Sec-Fetch-Site", "cross-site"), 403, -32000, "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			b := toolBroker(func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
				return nil, status.Error(codes.Internal, "it was called")
			})
			conn, chain := connect(t, b)
			w := ask(rest.NewHandler(conn, rest.Options{}), c.request)
			require.Equal(t, c.status, w.Code, w.Body.String())
			a := readRPC(t, w)
			require.NotNil(t, a.Error, w.Body.String())
			require.Equal(t, c.code, a.Error.Code, w.Body.String())
			require.Contains(t, a.Error.Message, c.says)
			require.NotContains(t, chain.methods, "/onedoor.v1.Broker/Invoke")
			require.Equal(t, c.status == 405, w.Header().Get("Allow") == "POST")
			require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		})
	}
}

// FuzzMCP holds that nothing that a caller sends ends the process, which a panic in a
// goroutine of the SDK's would, and that every answer is one.
func FuzzMCP(f *testing.F) {
	f.Add(callOf("crm__x", `{"a":1}`), "")
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{},"sampling":{}},"clientInfo":{"name":"t"}}}`, "")
	f.Add(`{"jsonrpc":"2.0","id":1.5,"method":"server/discover","params":{`+newMeta+`}}`, newest)
	f.Add(`{"jsonrpc":"2.0","id":"","method":"tools/list","params":{"_meta":{"progressToken":{}}}}`, "2025-11-25")
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","inputResponses":{"a":{}},"requestState":"s",`+newMeta+`}}`, newest)
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":null}}`, "")
	conn, _ := connect(f, toolBroker(nil))
	h := rest.NewHandler(conn, rest.Options{})
	f.Fuzz(func(t *testing.T, body, version string) {
		r := mcpPost(body)
		if version != "" {
			r.Header.Set("Mcp-Protocol-Version", version)
		}
		var m struct{ Method, Params any }
		if json.Unmarshal([]byte(body), &m) == nil && version == newest {
			method, _ := m.Method.(string)
			params, _ := m.Params.(map[string]any)
			name, _ := params["name"].(string)
			r.Header.Set("Mcp-Method", method)
			r.Header.Set("Mcp-Name", name)
		}
		w := ask(h, r)
		if w.Code == http.StatusAccepted {
			require.Empty(t, w.Body.String())
			return
		}
		readRPC(t, w)
	})
}
