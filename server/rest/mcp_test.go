package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

const (
	newest  = "2026-07-28"
	newMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
)

// rpcAnswer is what MCP clients read.
type rpcAnswer struct {
	JSONRPC string
	ID      json.RawMessage
	Result  json.RawMessage
	Error   *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

// toolResult is the result of tools/call.
type toolResult struct {
	Content []struct {
		Type, Text, Data, MimeType string
		Resource                   struct{ URI, MimeType, Blob string }
	}
	StructuredContent json.RawMessage
	IsError           bool
	Meta              map[string]any `json:"_meta"`
}

func mcpPost(body string, headers ...string) *http.Request {
	r := post("/mcp", body)
	r.Header.Set("Authorization", "Bearer key")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// readRPC reads an answer, and holds that there is nothing but JSON-RPC.
func readRPC(t testing.TB, w *httptest.ResponseRecorder) rpcAnswer {
	t.Helper()
	require.Equal(t, "application/json", w.Header().Get("Content-Type"), w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Empty(t, w.Header().Get("Mcp-Session-Id"))
	var a rpcAnswer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body.String())
	require.Equal(t, "2.0", a.JSONRPC)
	require.NotEqual(t, a.Error == nil, a.Result == nil, w.Body.String())
	return a
}

func readTool(t testing.TB, w *httptest.ResponseRecorder) toolResult {
	t.Helper()
	a := readRPC(t, w)
	require.Equal(t, 200, w.Code)
	require.Nil(t, a.Error, w.Body.String())
	var r toolResult
	require.NoError(t, json.Unmarshal(a.Result, &r))
	return r
}

func callOf(name, arguments string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name + `","arguments":` + arguments + `}}`
}

// toolBroker grants two tools and answers calls.
func toolBroker(invoke func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error)) *broker {
	return &broker{
		invoke: invoke,
		task:   func(context.Context) (*onedoorv1.GetTaskResponse, error) { return &onedoorv1.GetTaskResponse{}, nil },
		tools: func(context.Context) (*onedoorv1.ListToolsResponse, error) {
			tool := func(name string, s onedoorv1.Severity, idempotent bool) *onedoorv1.Tool {
				return &onedoorv1.Tool{
					Connector: "crm", Name: name, FunctionName: "crm__" + strings.ReplaceAll(name, ".", "_"), Description: "Does it.",
					Severity: s, Idempotent: idempotent, ArgumentsSchema: `{"type":"object","properties":{"id":{"maximum":9007199254740993}},"additionalProperties":false}`,
					GrantedResources: []string{"contact:1", "contact:2"},
				}
			}
			return &onedoorv1.ListToolsResponse{Tools: []*onedoorv1.Tool{
				tool("contacts.get", onedoorv1.Severity_SEVERITY_READ, true), tool("contacts.add", onedoorv1.Severity_SEVERITY_WRITE, false),
				tool("contacts.drop", onedoorv1.Severity_SEVERITY_DESTRUCTIVE, false), tool("admin", onedoorv1.Severity_SEVERITY_ADMIN, false),
				tool("odd", onedoorv1.Severity_SEVERITY_UNSPECIFIED, false),
			}}, nil
		},
	}
}

func refused(code codes.Code, reason, text string, metadata ...string) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: "onedoor", Metadata: map[string]string{"invocation_id": "inv-1"}}
	for i := 0; i < len(metadata); i += 2 {
		info.Metadata[metadata[i]] = metadata[i+1]
	}
	st, _ := status.New(code, text).WithDetails(info)
	return st.Err()
}

func TestMCPList(t *testing.T) {
	conn, chain := connect(t, toolBroker(nil))
	h := rest.NewHandler(conn, rest.Options{})
	w := ask(h, mcpPost(`{"jsonrpc":"2.0","id":"a","method":"tools/list"}`))
	a := readRPC(t, w)
	require.Equal(t, `"a"`, string(a.ID))
	require.Equal(t, []string{"/onedoor.v1.Broker/ListTools"}, chain.methods, "once through the chain, and nothing besides")
	require.Contains(t, string(a.Result), `"inputSchema":{"type":"object","properties":{"id":{"maximum":9007199254740993}},"additionalProperties":false}`)
	var list struct {
		Tools []struct {
			Name, Title, Description string
			Annotations              struct{ ReadOnlyHint, DestructiveHint, IdempotentHint, OpenWorldHint *bool }
		}
		TTLMs      int
		CacheScope string
	}
	require.NoError(t, json.Unmarshal(a.Result, &list))
	require.Equal(t, "private", list.CacheScope)
	require.Positive(t, list.TTLMs)
	hints := map[string][4]bool{}
	for _, tool := range list.Tools {
		hint := tool.Annotations
		hints[tool.Name] = [4]bool{*hint.ReadOnlyHint, *hint.DestructiveHint, *hint.IdempotentHint, *hint.OpenWorldHint}
		require.Equal(t, "Does it.\n\nIt may act on: contact:1, contact:2.", tool.Description)
	}
	require.Equal(t, "crm contacts.get", list.Tools[0].Title)
	require.Equal(t, map[string][4]bool{
		"crm__contacts_get": {true, false, true, true}, "crm__contacts_add": {false, false, false, true},
		"crm__contacts_drop": {false, true, false, true}, "crm__admin": {false, true, false, true}, "crm__odd": {false, true, false, true},
	}, hints)

	w = ask(h, mcpPost(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`))
	require.Equal(t, -32602, readRPC(t, w).Error.Code)
}

// The arguments and the key reach the chain as they came, and no other header does.
func TestMCPCall(t *testing.T) {
	const arguments = `{"id": 9007199254740993, "x":1.10,"x":2, "s":"\u00e9<&>\/", "n":{"a":-0,"b":1e400}}`
	var got *onedoorv1.InvokeRequest
	var md metadata.MD
	conn, chain := connect(t, toolBroker(func(ctx context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		got, md = r, incoming(ctx)
		return &onedoorv1.InvokeResponse{
			InvocationId: "inv-1", Status: 200, ContentType: "application/json", Headers: map[string]string{"x-total": "3"},
			Body: []byte(`{"id": 9007199254740993, "price":1.10}`),
		}, nil
	}))
	h := rest.NewHandler(conn, rest.Options{})
	w := ask(h, mcpPost(callOf("crm__contacts_get", arguments), "Cookie", "a=b", "Mcp-Session-Id", "fixed", "X-Onedoor-Jwt-Svid", "z", "Last-Event-ID", "1"))
	r := readTool(t, w)
	require.Equal(t, []string{"/onedoor.v1.Broker/Invoke"}, chain.methods)
	require.Equal(t, "crm crm__contacts_get", got.GetConnector()+" "+got.GetTool())
	require.Equal(t, arguments, string(got.GetArgumentsJson()), "byte for byte")
	require.NoError(t, uuid.Validate(got.GetIdempotencyKey()))
	require.Equal(t, metadata.MD{"authorization": {"Bearer key"}}, md)

	require.False(t, r.IsError)
	require.Len(t, r.Content, 1)
	require.Equal(t, "text", r.Content[0].Type)
	require.Equal(t, `{"id": 9007199254740993, "price":1.10}`, r.Content[0].Text)
	require.Equal(t, `{"id":9007199254740993,"price":1.10}`, string(r.StructuredContent))
	require.Equal(t, "inv-1", r.Meta["onedoor/invocation_id"])
	require.Equal(t, map[string]any{"x-total": "3"}, r.Meta["onedoor/headers"])

	first := got.GetIdempotencyKey()
	readTool(t, ask(h, mcpPost(callOf("crm__contacts_get", "null"))))
	require.NotEqual(t, first, got.GetIdempotencyKey())
	require.Empty(t, got.GetArgumentsJson(), "none is {}")
}

func TestMCPResults(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	for name, c := range map[string]struct {
		status            int32
		contentType, body string
		isError           bool
		contents          string // type and text or data of each
		structured        string
	}{
		"an object":               {200, "application/json", `{"a":1}`, false, `text {"a":1}`, `{"a":1}`},
		"an array":                {200, "application/json", `[1,{"a":2}]`, false, `text [1,{"a":2}]`, ""},
		"a string of brackets":    {200, "application/json", `"{}"`, false, `text "{}"`, ""},
		"brackets in strings":     {200, "application/json", `{"a":"[[{\"{"}`, false, `text {"a":"[[{\"{"}`, `{"a":"[[{\"{"}`},
		"too deep for clients":    {200, "application/json", deep, false, "text " + deep, ""},
		"a kind of JSON":          {200, "application/problem+json", `{}`, false, `text {}`, `{}`},
		"JSON in name only":       {200, "application/json", `{"a":`, false, `text {"a":`, ""},
		"text":                    {200, "text/plain; charset=utf-8", `hi`, false, `text hi`, ""},
		"no type":                 {200, "", `hi`, false, `text hi`, ""},
		"not UTF-8":               {200, "text/plain", "\xff", false, "resource onedoor:invocation/inv-1 text/plain /w==", ""},
		"an image":                {200, "image/png", "\x89PNG", false, "image image/png iVBORw==", ""},
		"sound":                   {200, "audio/wav", "RIFF", false, "audio audio/wav UklGRg==", ""},
		"something else":          {200, "application/pdf", "%PDF", false, "resource onedoor:invocation/inv-1 application/pdf JVBERg==", ""},
		"nothing":                 {204, "", "", false, "text HTTP status 204 No Content", ""},
		"elsewhere":               {302, "text/html", "moved", false, "text HTTP status 302 Found|text moved", ""},
		"not found":               {404, "application/json", `{"error":"none"}`, true, `text HTTP status 404 Not Found|text {"error":"none"}`, `{"error":"none"}`},
		"broken":                  {503, "text/html", `<p>`, true, `text HTTP status 503 Service Unavailable|text <p>`, ""},
		"a status without a name": {599, "", "", true, `text HTTP status 599`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, toolBroker(func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
				return &onedoorv1.InvokeResponse{InvocationId: "inv-1", Status: c.status, ContentType: c.contentType, Body: []byte(c.body)}, nil
			}))
			r := readTool(t, ask(rest.NewHandler(conn, rest.Options{}), mcpPost(callOf("crm__x", "{}"))))
			require.Equal(t, c.isError, r.IsError)
			var contents []string
			for _, one := range r.Content {
				words := []string{one.Type, one.Text, one.MimeType, one.Data}
				if one.Type == "resource" {
					words = []string{one.Type, one.Resource.URI, one.Resource.MimeType, one.Resource.Blob}
				}
				contents = append(contents, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
			}
			require.Equal(t, c.contents, strings.Join(contents, "|"))
			require.Equal(t, c.structured, string(r.StructuredContent))
			require.InDelta(t, c.status, r.Meta["onedoor/status"], 0)
		})
	}
}

// What the model may mend is a result; what is the client's business is an HTTP status.
func TestMCPRefusals(t *testing.T) {
	wait, _ := status.Convert(refused(codes.ResourceExhausted, "RATE_LIMITED", "too many")).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(1500e6)})
	for name, c := range map[string]struct {
		err    error
		status int
		code   int    // of the JSON-RPC error; 0: it is a result
		text   string // begins the message or the text
		advice string
	}{
		"not granted for this": {refused(codes.PermissionDenied, "RESOURCE_NOT_GRANTED", "grant covers a, the call acts on b"), 200, 0, "RESOURCE_NOT_GRANTED: grant covers a, the call acts on b", "will be refused again"},
		"a wrong argument":     {refused(codes.InvalidArgument, "ARGUMENT_INVALID", "arguments_json: id: missing", "field", "arguments_json"), 200, 0, "ARGUMENT_INVALID: arguments: id: missing", "mend the argument"},
		"nobody knows":         {refused(codes.Unknown, "OUTCOME_UNKNOWN", "lost"), 200, 0, "OUTCOME_UNKNOWN: lost", "may have taken effect"},
		"too large":            {refused(codes.OutOfRange, "RESPONSE_TOO_LARGE", "large", "upstream_status", "200"), 200, 0, "RESPONSE_TOO_LARGE: large", "The call was made"},
		"not reached":          {refused(codes.Unavailable, "UPSTREAM_UNAVAILABLE", "down"), 200, 0, "UPSTREAM_UNAVAILABLE: down", "may be made again"},
		"no credential":        {refused(codes.FailedPrecondition, "CREDENTIAL_MISSING", "none", "mend", "connect"), 200, 0, "CREDENTIAL_MISSING: none", "will be refused again"},
		"an ended grant":       {refused(codes.PermissionDenied, "GRANT_EXPIRED", "ended"), 200, 0, "GRANT_EXPIRED: ended", "If the call was running"},
		"no reason":            {status.Error(codes.Internal, "internal error"), 200, 0, "Internal: internal error", "may have taken effect"},
		"not granted":          {refused(codes.PermissionDenied, "GRANT_MISSING", "no grant names it"), 200, -32602, "unknown tool crm__x", ""},
		"unknown":              {refused(codes.NotFound, "TOOL_UNKNOWN", "no such tool"), 200, -32602, "unknown tool crm__x", ""},
		"unknown connector":    {refused(codes.NotFound, "CONNECTOR_UNKNOWN", "no such"), 200, -32602, "unknown tool crm__x", ""},
		"no name of a tool":    {refused(codes.InvalidArgument, "ARGUMENT_INVALID", "tool: too long", "field", "tool"), 200, -32602, "unknown tool crm__x", ""},
		"a wrong key":          {refused(codes.Unauthenticated, "TASK_KEY_INVALID", "no"), 401, -32000, "TASK_KEY_INVALID: no", ""},
		"an ended task":        {refused(codes.Unauthenticated, "TASK_ENDED", "ended"), 401, -32000, "TASK_ENDED: ended", ""},
		"too often":            {wait.Err(), 429, -32000, "RATE_LIMITED: too many", ""},
		"not allowed":          {refused(codes.PermissionDenied, "CALLER_NOT_ALLOWED", "no"), 403, -32000, "CALLER_NOT_ALLOWED: no", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, toolBroker(func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) { return nil, c.err }))
			w := ask(rest.NewHandler(conn, rest.Options{}), mcpPost(callOf("crm__x", "{}")))
			require.Equal(t, c.status, w.Code, w.Body.String())
			if c.code == 0 {
				r := readTool(t, w)
				require.True(t, r.IsError)
				require.True(t, strings.HasPrefix(r.Content[0].Text, c.text+"\n"), r.Content[0].Text)
				require.Contains(t, r.Content[0].Text, c.advice)
				if name != "no reason" {
					require.Contains(t, r.Content[0].Text, "\nInvocation inv-1")
					require.Equal(t, "inv-1", r.Meta["onedoor/invocation_id"])
					require.Equal(t, strings.Split(c.text, ":")[0], r.Meta["onedoor/reason"])
				}
				return
			}
			a := readRPC(t, w)
			require.Equal(t, "7", string(a.ID))
			require.Equal(t, c.code, a.Error.Code)
			require.Equal(t, c.text, a.Error.Message)
			require.Contains(t, string(a.Error.Data), `"invocation_id":"inv-1"`)
			require.Equal(t, c.status == 401, w.Header().Get("WWW-Authenticate") == "Bearer")
			require.Equal(t, c.status == 429, w.Header().Get("Retry-After") == "2")
			if c.code == -32602 {
				require.Equal(t, `{"invocation_id":"inv-1"}`, string(a.Error.Data), "it does not tell whether it exists")
			}
		})
	}
}

// Whatever a client asks, it must be somebody.
func TestMCPAuthenticates(t *testing.T) {
	no := refused(codes.Unauthenticated, "TASK_KEY_INVALID", "no")
	b := toolBroker(func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) { return nil, no })
	b.task = func(context.Context) (*onedoorv1.GetTaskResponse, error) { return nil, no }
	b.tools = func(context.Context) (*onedoorv1.ListToolsResponse, error) { return nil, no }
	conn, chain := connect(t, b)
	h := rest.NewHandler(conn, rest.Options{})
	for _, method := range []string{"initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/list", "notifications/initialized", "x"} {
		w := ask(h, mcpPost(`{"jsonrpc":"2.0","id":7,"method":"`+method+`","params":{"name":"crm__x"}}`))
		require.Equal(t, 401, w.Code, method)
		require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
		require.Equal(t, "TASK_KEY_INVALID", w.Header().Get("X-Onedoor-Reason"))
		require.Equal(t, "TASK_KEY_INVALID: no", readRPC(t, w).Error.Message)
	}
	require.Len(t, chain.methods, 8)
}

func TestMCPHandshakes(t *testing.T) {
	conn, _ := connect(t, toolBroker(nil))
	h := rest.NewHandler(conn, rest.Options{})
	for _, version := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		w := ask(h, mcpPost(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+version+`","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
		a := readRPC(t, w)
		require.Nil(t, a.Error, w.Body.String())
		require.Contains(t, string(a.Result), `"protocolVersion":"`+version+`"`)
		require.Contains(t, string(a.Result), `"capabilities":{"tools":{}}`, "no logging, no notifications")
		w = ask(h, mcpPost(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, "Mcp-Protocol-Version", version))
		require.Equal(t, http.StatusAccepted, w.Code)
		require.Empty(t, w.Body.String())
		w = ask(h, mcpPost(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Protocol-Version", version))
		require.JSONEq(t, `{}`, string(readRPC(t, w).Result))
	}
	w := ask(h, mcpPost(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{`+newMeta+`}}`, "Mcp-Protocol-Version", newest, "Mcp-Method", "server/discover"))
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), `"`+newest+`"`)
	require.Contains(t, w.Body.String(), `"cacheScope":"private"`)
	w = ask(h, mcpPost(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"crm__x",`+newMeta+`}}`, "Mcp-Protocol-Version", newest, "Mcp-Method", "tools/call", "Mcp-Name", "crm__x"))
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), `"resultType":"complete"`)
}

func TestMCPOrigins(t *testing.T) {
	conn, _ := connect(t, toolBroker(nil))
	h := rest.NewHandler(conn, rest.Options{MCPOrigins: []string{"https://chat.example"}})
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for origin, want := range map[string]int{
		"https://chat.example": 200, "http://chat.example": 403, "https://chat.example:8443": 403, "https://chat.example.evil": 403, "https://CHAT.example": 403,
	} {
		require.Equal(t, want, ask(h, mcpPost(ping, "Origin", origin, "Sec-Fetch-Site", "cross-site")).Code, origin)
	}
	both := mcpPost(ping)
	both.Header["Origin"] = []string{"https://chat.example", "https://evil.example"}
	require.Equal(t, 403, ask(h, both).Code)
	require.Panics(t, func() { rest.NewHandler(conn, rest.Options{MCPOrigins: []string{"chat.example"}}) })
}

// A call ends when its client goes, also in revisions of the protocol that have it go on.
func TestMCPClientGone(t *testing.T) {
	began := make(chan struct{})
	ended := make(chan error, 1)
	conn, _ := connect(t, toolBroker(func(ctx context.Context, _ *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, status.FromContextError(ctx.Err()).Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	ask(rest.NewHandler(conn, rest.Options{}), mcpPost(callOf("crm__x", "{}")).WithContext(ctx))
	require.ErrorIs(t, <-ended, context.Canceled)
}

// BenchmarkMCPCall measures what the front adds to a call of a tool.
func BenchmarkMCPCall(b *testing.B) {
	conn, _ := connect(b, toolBroker(func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		return &onedoorv1.InvokeResponse{InvocationId: "inv-1", Status: 200, ContentType: "application/json", Body: []byte(`{"id":1}`)}, nil
	}))
	h := rest.NewHandler(conn, rest.Options{})
	for name, r := range map[string]func() *http.Request{
		"mcp":  func() *http.Request { return mcpPost(callOf("crm__x", `{"id":1}`)) },
		"rest": func() *http.Request { return post("/v1/invoke", `{"connector":"crm","tool":"x","arguments":{"id":1}}`) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(h, r())
			}
		})
	}
}
