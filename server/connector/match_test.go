package connector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// typed is a model connector with an argument of each form, and paths that overlap.
const typed = `
connector: typed
kind: model
origin: https://api.example.com
model: {dialect: openai}
tools:
  - name: list
    severity: READ
    method: GET
    path: /v1/models
    query: {limit: limit, deep: deep, "include[]": include, ids: ids, after: after}
    arguments:
      type: object
      properties:
        limit: {type: [integer, "null"]}
        deep: {type: boolean}
        include: {type: array, items: {type: string}}
        ids: {type: array, items: {type: integer}}
        after: {type: [string, integer]}
    resources: ["model:*"]
  - name: stats
    severity: READ
    method: GET
    path: /v1/models/stats
    resources: ["model:*"]
  - name: get
    severity: READ
    method: GET
    path: /v1/models/{model}
    arguments: {type: object, required: [model], properties: {model: {type: string}}}
    resources: ["model:{model}"]
  - name: a-x
    severity: READ
    method: GET
    path: /v1/pairs/a-{model}
    arguments: {type: object, required: [model], properties: {model: {type: string}}}
    resources: ["model:{model}"]
  - name: x-b
    severity: READ
    method: GET
    path: /v1/pairs/{model}-b
    arguments: {type: object, required: [model], properties: {model: {type: string}}}
    resources: ["model:{model}"]
  - name: numbered
    severity: READ
    method: GET
    path: /v1/numbers/{model}
    arguments: {type: object, required: [model], properties: {model: {type: integer}}}
    resources: ["model:{model}"]
  - name: cancel
    severity: WRITE
    method: POST
    path: /v1/models/{model}/cancel
    arguments: {type: object, required: [model], properties: {model: {type: string}}}
    resources: ["model:{model}"]
  - name: ask
    severity: READ
    method: POST
    path: /v1/models/{model}:ask
    query: {alt: alt}
    body: [text, max]
    arguments:
      type: object
      required: [model]
      properties: {model: {type: string}, alt: {enum: [sse]}, text: {}, max: {type: integer}}
    resources: ["model:{model}"]
`

func parsed(t testing.TB, manifest string) *connector.Connector {
	t.Helper()
	c, err := connector.Parse([]byte(manifest))
	require.NoError(t, err)
	return c
}

func TestMatch(t *testing.T) {
	c := parsed(t, typed)
	for _, tt := range []struct{ name, request, body, tool, arguments string }{
		{"no argument", "GET /v1/models", "", "list", `{}`},
		{"a query of every form", "GET /v1/models?limit=20&deep=false&include%5B%5D=a%20b&include[]=%C3%A4&ids=7&after=07", "", "list",
			`{"limit":20,"deep":false,"include":["a b","ä"],"ids":[7],"after":"07"}`},
		{"a negative integer, and an empty text", "GET /v1/models?limit=-1&after=", "", "list", `{"limit":-1,"after":""}`},
		{"what separates, escaped", "GET /v1/models?after=%26%3D%2B%25%22%00", "", "list", `{"after":"\u0026=+%\"\u0000"}`},
		{"a plus for a space", "GET /v1/models?after=a+b%2B", "", "list", `{"after":"a b+"}`},
		{"the more exact path", "GET /v1/models/stats", "", "stats", `{}`},
		{"the less exact path", "GET /v1/models/stat", "", "get", `{"model":"stat"}`},
		{"a path with text before the argument", "GET /v1/pairs/a-1", "", "a-x", `{"model":"1"}`},
		{"an integer in the path", "GET /v1/numbers/12", "", "numbered", `{"model":12}`},
		{"no body", "POST /v1/models/m/cancel", "", "cancel", `{"model":"m"}`},
		{"path, query and body", "POST /v1/models/m.1:ask?alt=sse", ` { "max" : 9007199254740993 , "te\u0078t": {"a" : [1.10]} } `, "ask",
			`{"model":"m.1","alt":"sse","max":9007199254740993,"text":{"a" : [1.10]}}`},
		{"an empty object", "POST /v1/models/m:ask", "{}", "ask", `{"model":"m"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool, arguments, err := c.Match(request(tt.request, tt.body))
			require.NoError(t, err)
			require.Equal(t, tt.tool, tool)
			require.Equal(t, tt.arguments, string(arguments))
			_, err = c.Bind(tool, arguments)
			require.NoError(t, err)
		})
	}
}

func TestMatchRefuses(t *testing.T) {
	c := parsed(t, typed)
	for _, tt := range []struct{ name, request, body, field, tool string }{
		{"a path that two tools could have", "GET /v1/pairs/a-b-b", "", "path", ""},
		{"an escaped letter", "GET /v1/models/%61", "", "path", ""},
		{"an escaped slash", "GET /v1/models/a%2Fcancel", "", "path", ""},
		{"escaped dots", "GET /v1/models/%2e%2e", "", "path", ""},
		{"dots", "GET /v1/models/..", "", "path", ""},
		{"a dot", "GET /v1/./models", "", "path", ""},
		{"dots that lead to a tool", "GET /v1/x/../models", "", "path", ""},
		{"two slashes", "GET /v1//models", "", "path", ""},
		{"two slashes at the start", "GET //v1/models", "", "path", ""},
		{"a slash at the end", "GET /v1/models/", "", "path", ""},
		{"a semicolon", "GET /v1/models;x", "", "path", ""},
		{"a backslash", `GET /v1\models`, "", "path", ""},
		{"no path", "GET ", "", "path", ""},
		{"a path argument that is no integer", "GET /v1/numbers/x", "", "model", "numbered"},
		{"an integer with a zero before it", "GET /v1/numbers/012", "", "model", "numbered"},
		{"an unknown parameter", "GET /v1/models?x=1", "", "x", "list"},
		{"a parameter in other letters", "GET /v1/models?Limit=1", "", "Limit", "list"},
		{"a parameter where there is none", "GET /v1/models/m?limit=1", "", "limit", "get"},
		{"the path's argument in the query", "GET /v1/models/m?model=n", "", "model", "get"},
		{"a scalar twice", "GET /v1/models?limit=1&limit=1", "", "limit", "list"},
		{"an integer with a sign", "GET /v1/models?limit=%2B1", "", "limit", "list"},
		{"an integer as a fraction", "GET /v1/models?limit=1.0", "", "limit", "list"},
		{"an integer as a power", "GET /v1/models?limit=1e2", "", "limit", "list"},
		{"no digits", "GET /v1/models?limit=", "", "limit", "list"},
		{"minus nought", "GET /v1/models?limit=-0", "", "limit", "list"},
		{"half an integer", "GET /v1/models?ids=1&ids=1x", "", "ids", "list"},
		{"a boolean as a number", "GET /v1/models?deep=1", "", "deep", "list"},
		{"no value", "GET /v1/models?deep", "", "query", "list"},
		{"an empty parameter", "GET /v1/models?limit=1&", "", "query", "list"},
		{"an equals sign", "GET /v1/models?after=a=b", "", "after", "list"},
		{"a semicolon in the query", "GET /v1/models?after=a;limit=1", "", "after", "list"},
		{"half an escape", "GET /v1/models?after=%4", "", "after", "list"},
		{"a broken escape", "GET /v1/models?after=%zz", "", "after", "list"},
		{"no UTF-8", "GET /v1/models?after=%ff", "", "after", "list"},
		{"a broken name", "GET /v1/models?%zz=1", "", "query", "list"},
		{"a body with GET", "GET /v1/models", "{}", "body", "list"},
		{"a body where none goes", "POST /v1/models/m/cancel", "{}", "body", "cancel"},
		{"no body where one goes", "POST /v1/models/m:ask", "", "content-type", "ask"},
		{"no JSON", "POST /v1/models/m:ask", "text", "body", "ask"},
		{"no object", "POST /v1/models/m:ask", "[]", "body", "ask"},
		{"two objects", "POST /v1/models/m:ask", "{}{}", "body", "ask"},
		{"a member twice", "POST /v1/models/m:ask", `{"text":1,"te\u0078t":2}`, "body", "ask"},
		{"an unknown member", "POST /v1/models/m:ask", `{"stream":true}`, "stream", "ask"},
		{"the path's argument in the body", "POST /v1/models/m:ask", `{"model":"n"}`, "model", "ask"},
		{"the query's argument in the body", "POST /v1/models/m:ask", `{"alt":"sse"}`, "alt", "ask"},
		{"too long", "POST /v1/models/m:ask", `{"text":"` + strings.Repeat("a", 8<<20) + `"}`, "body", "ask"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool, arguments, err := c.Match(request(tt.request, tt.body))
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Equal(t, tt.field, fault.From(err).Metadata["field"], err.Error())
			require.Equal(t, tt.tool, tool)
			require.Empty(t, arguments)
		})
	}
	for name, contentType := range map[string]string{
		"a form": "application/x-www-form-urlencoded", "parts": "multipart/form-data; boundary=x", "text": "text/plain",
		"another charset": "application/json; charset=utf-16", "a parameter": "application/json; version=1", "none": "", "like JSON": "application/jsonp",
	} {
		t.Run("content type: "+name, func(t *testing.T) {
			r := request("POST /v1/models/m:ask", "{}")
			r.ContentType = contentType
			_, _, err := c.Match(r)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.Equal(t, "content-type", fault.From(err).Metadata["field"])
		})
	}
	r := request("POST /v1/models/m:ask", "{}")
	r.ContentType = "application/json; charset=UTF-8"
	_, _, err := c.Match(r)
	require.NoError(t, err)
}

// A model connector's path names a model and nothing else: any other id in it would be
// that of something which one user made and another could read.
func TestModelPaths(t *testing.T) {
	_, err := connector.Parse([]byte(strings.ReplaceAll(strings.ReplaceAll(typed, "/v1/numbers/{model}", "/v1/responses/{id}"),
		"required: [model], properties: {model: {type: integer}}}\n    resources: [\"model:{model}\"]", "required: [id], properties: {id: {type: integer}}}\n    resources: [\"model:{id}\"]")))
	require.ErrorContains(t, err, "only {model} may stand there")
}

// FuzzMatch: whatever the request, no panic; and what is matched comes to the very path,
// and to the same parameters and members as another reader finds.
func FuzzMatch(f *testing.F) {
	c := parsed(f, typed)
	for _, one := range []string{
		"GET /v1/models?limit=20&include[]=a&include%5B%5D=%C3%A4", "GET /v1/models/stats", "GET /v1/models/..%2f", "POST /v1/models/m:ask?alt=sse", "POST /v1/models/m/cancel", "GET //?&&==%",
	} {
		f.Add(one, `{"text":{"a":[1.10,"\ud83d\ude00"]},"max":1}`)
		f.Add(one, "")
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		r := request(text, body)
		if _, b := matched(t, c, r); b != nil {
			checkBound(t, b)
			checkSame(t, r, b)
		}
	})
}

// matched is the tool that a request stands for and the call it is bound to, or nil where it is
// refused for one of the reasons for which it may be.
func matched(t *testing.T, c *connector.Connector, r connector.Request) (string, *connector.Bound) {
	t.Helper()
	tool, arguments, err := c.Match(r)
	if err != nil {
		if !fault.Is(err, fault.ArgumentInvalid) && !fault.Is(err, fault.ToolUnknown) {
			t.Fatalf("refused with %v", err)
		}
		return "", nil
	}
	b, err := c.Bind(tool, arguments)
	if err != nil {
		if !fault.Is(err, fault.ArgumentInvalid) {
			t.Fatalf("bound with %v", err)
		}
		return "", nil
	}
	return tool, b
}
