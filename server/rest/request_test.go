package rest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

// The arguments reach the handler byte for byte, through all three methods.
func TestArgumentsKeepTheirBytes(t *testing.T) {
	cases := map[string]struct{ body, want string }{
		"none":                   {`{"connector":"c"}`, ""},
		"empty object":           {`{"arguments":{}}`, "{}"},
		"a large number":         {`{"arguments":{"id":9007199254740993}}`, `{"id":9007199254740993}`},
		"numbers as written":     {`{"arguments":{"a":1.0,"b":1e2,"c":-0}}`, `{"a":1.0,"b":1e2,"c":-0}`},
		"order and repeats":      {`{"arguments":{"z":1,"a":2,"z":3}}`, `{"z":1,"a":2,"z":3}`},
		"space inside":           {"{\"arguments\" : \t{ \"a\" :\n1 }\n}", "{ \"a\" :\n1 }"},
		"escapes":                {`{"arguments":{"\u0061":"\u00e9\/<&>"}}`, `{"\u0061":"\u00e9\/<&>"}`},
		"lone surrogates":        {`{"arguments":{"a":"\ud800"}}`, `{"a":"\ud800"}`},
		"characters":             {`{"arguments":{"a":"é\u2028👋"}}`, `{"a":"é\u2028👋"}`},
		"a field's name inside":  {`{"arguments":{"argumentsJson":1,"arguments":{}}}`, `{"argumentsJson":1,"arguments":{}}`},
		"an escaped member name": {`{"argu\u006dents":{"a":1}}`, `{"a":1}`},
		"between other members":  {`{"tool":"t","arguments":{"a":1},"connector":"c"}`, `{"a":1}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var seen []string
			conn, _ := connect(t, &broker{
				invoke: func(_ context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
					seen = append(seen, string(r.GetArgumentsJson()))
					return &onedoorv1.InvokeResponse{}, nil
				},
				explain: func(_ context.Context, r *onedoorv1.ExplainRequest) (*onedoorv1.ExplainResponse, error) {
					seen = append(seen, string(r.GetArgumentsJson()))
					return &onedoorv1.ExplainResponse{}, nil
				},
				stream: func(r *onedoorv1.InvokeStreamRequest, s events) error {
					seen = append(seen, string(r.GetArgumentsJson()))
					return s.Send(end(0))
				},
			})
			h := rest.NewHandler(conn, rest.Options{})
			for _, path := range []string{"/v1/invoke", "/v1/explain", "/v1/invoke:stream"} {
				w := ask(h, post(path, c.body))
				require.Equal(t, 200, w.Code, "%s", w.Body)
			}
			require.Equal(t, []string{c.want, c.want, c.want}, seen)
		})
	}
}

func TestFieldsInBothSpellings(t *testing.T) {
	for _, body := range []string{
		`{"connector":"c","tool":"t","idempotencyKey":"k"}`,
		`{"connector":"c","tool":"t","idempotency_key":"k"}`,
		" {\"connector\":\"c\",\"tool\":\"t\",\"idempotency_key\":\"k\"}\r\n",
	} {
		var got *onedoorv1.InvokeRequest
		conn, _ := connect(t, &broker{invoke: func(_ context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
			got = r
			return &onedoorv1.InvokeResponse{}, nil
		}})
		w := ask(rest.NewHandler(conn, rest.Options{}), post("/v1/invoke", body))
		require.Equal(t, 200, w.Code)
		require.Equal(t, []string{"c", "t", "k"}, []string{got.GetConnector(), got.GetTool(), got.GetIdempotencyKey()})
	}
}

func TestMalformedBodiesAreRefused(t *testing.T) {
	cases := map[string]struct{ path, body, field, message string }{
		"no JSON":                {"/v1/invoke", `nonsense`, "body", "body: not valid JSON at byte 2"},
		"cut":                    {"/v1/invoke", `{"tool":"t"`, "body", "body: not valid JSON at byte 11"},
		"more than one value":    {"/v1/invoke", `{} {}`, "body", "body: not valid JSON at byte 4"},
		"a comma too many":       {"/v1/invoke", `{"tool":"t",}`, "body", "body: not valid JSON at byte 13"},
		"a list":                 {"/v1/invoke", `[{}]`, "body", "body: not a JSON object"},
		"null":                   {"/v1/invoke", `null`, "body", "body: not a JSON object"},
		"a string":               {"/v1/invoke", `"{}"`, "body", "body: not a JSON object"},
		"not UTF-8":              {"/v1/invoke", "{\"tool\":\"\xff\"}", "body", "body: not UTF-8"},
		"a byte order mark":      {"/v1/invoke", "\ufeff{}", "body", "body: not valid JSON at byte 1"},
		"unknown field":          {"/v1/invoke", `{"headers":{}}`, "headers", "headers: unknown field"},
		"another case":           {"/v1/invoke", `{"Tool":"t"}`, "Tool", "Tool: unknown field"},
		"the message's field":    {"/v1/invoke", `{"argumentsJson":"e30="}`, "argumentsJson", "argumentsJson: unknown field"},
		"… in snake case":        {"/v1/explain", `{"arguments_json":"e30="}`, "arguments_json", "arguments_json: unknown field"},
		"no arguments there":     {"/v1/tasks", `{"arguments":{}}`, "arguments", "arguments: unknown field"},
		"repeated":               {"/v1/invoke", `{"tool":"a","tool":"a"}`, "tool", "tool: given twice"},
		"repeated, two names":    {"/v1/invoke", `{"idempotencyKey":"a","idempotency_key":"a"}`, "idempotency_key", "idempotency_key: given twice"},
		"repeated arguments":     {"/v1/invoke", `{"arguments":{},"arguments":{}}`, "arguments", "arguments: given twice"},
		"repeated by escape":     {"/v1/invoke:stream", `{"arguments":{},"\u0061rguments":{}}`, "arguments", "arguments: given twice"},
		"arguments null":         {"/v1/invoke", `{"arguments":null}`, "arguments", "arguments: must be a JSON object"},
		"arguments a list":       {"/v1/explain", `{"arguments":[]}`, "arguments", "arguments: must be a JSON object"},
		"arguments a string":     {"/v1/invoke:stream", `{"arguments":"{}"}`, "arguments", "arguments: must be a JSON object"},
		"wrong type":             {"/v1/invoke", `{"connector":"c","tool":5}`, "tool", "tool: not a value of this field"},
		"wrong enum":             {"/v1/keys:rotate", `{"purpose":"KEY_PURPOSE_X"}`, "purpose", "purpose: not a value of this field"},
		"a duration in minutes":  {"/v1/task:delegate", `{"ttl":"5m"}`, "ttl", `ttl: not a duration: write seconds, such as "300s"`},
		"a secret is not quoted": {"/v1/credentials", `{"secret":"hunter2 hunter2"}`, "secret", "secret: not a value of this field"},
		"both of a oneof":        {"/v1/credentials", `{"user":"u","workspaceOwned":true}`, "body", "body: two of its fields exclude each other"},
		"a long name":            {"/v1/invoke", `{"` + strings.Repeat("é", 100) + `":1}`, strings.Repeat("é", 64) + "…", strings.Repeat("é", 64) + "…: unknown field"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, chain := connect(t, &broker{})
			w := ask(rest.NewHandler(conn, rest.Options{}), post(c.path, c.body))
			requireInvalid(t, w, 400, c.field)
			require.Equal(t, c.message, parse(t, w.Body.Bytes()).Message)
			require.Empty(t, chain.methods)
		})
	}
}

func TestAnEmptyBodyIsAnEmptyMessage(t *testing.T) {
	for _, body := range []string{"", " \n", "{}"} {
		conn, chain := connect(t, &broker{})
		w := ask(rest.NewHandler(conn, rest.Options{}), post("/v1/invoke", body))
		require.Equal(t, 200, w.Code)
		require.Len(t, chain.methods, 1)
	}
}

// FuzzRequest holds that a body either is refused in our form, or reaches the handler
// with arguments that are a JSON object and a piece of what was received.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"connector":"c","tool":"t","arguments":{"id":9007199254740993},"idempotencyKey":"k"}`,
		`{"arguments":{},"arguments":{}}`, `{"arguments":[1]}`, `{"a":1,}`, "{\"\xff\":1}", `{} {}`, `[`, ` `, `{"tool":null}`,
	} {
		f.Add([]byte(seed))
	}
	var got *onedoorv1.InvokeRequest
	conn, _ := connect(f, &broker{invoke: func(_ context.Context, r *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		got = r
		return &onedoorv1.InvokeResponse{}, nil
	}})
	h := rest.NewHandler(conn, rest.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		got = nil
		w := ask(h, post("/v1/invoke", string(body)))
		if w.Code != 200 {
			require.Equal(t, 400, w.Code)
			require.Nil(t, got)
			require.Equal(t, "ARGUMENT_INVALID", parse(t, w.Body.Bytes()).Details[0].Reason)
			return
		}
		if arguments := got.GetArgumentsJson(); len(arguments) > 0 {
			require.Contains(t, string(body), string(arguments))
			var object map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(arguments, &object))
		}
	})
}
