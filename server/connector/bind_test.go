package connector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

func resourceTexts(b *connector.Bound) []string {
	var texts []string
	for _, r := range b.Resources {
		texts = append(texts, r.String())
	}
	return texts
}

func TestBind(t *testing.T) {
	c := crm(t)
	tests := []struct {
		name, tool, args  string
		path, query, body string
		resources         []string
	}{
		{"a string in the path", "contacts.get", `{"id":"42"}`, "/contacts/42", "", "", []string{"contact:42"}},
		{"an integer beyond float64", "contacts.get", `{"id":9007199254740993}`, "/contacts/9007199254740993", "", "", []string{"contact:9007199254740993"}},
		{"a negative integer", "contacts.get", `{"id":-7}`, "/contacts/-7", "", "", []string{"contact:-7"}},
		{"an escaped letter", "contacts.get", `{"id":"\u0041\u007e"}`, "/contacts/A~", "", "", []string{"contact:A~"}},
		{"dots within", "contacts.get", `{"id":"...a"}`, "/contacts/...a", "", "", []string{"contact:...a"}},
		{"the longest value", "contacts.get", `{"id":"` + strings.Repeat("a", 256) + `"}`, "/contacts/" + strings.Repeat("a", 256), "", "", []string{"contact:" + strings.Repeat("a", 256)}},
		{"a query of every kind", "contacts.get", ` { "deep" : true , "fields" : ["a b", 10, false, "&=;#%/?ä\u0000\r\n"] , "id" : "1" } `,
			"/contacts/1", "fields=a%20b&fields=10&fields=false&fields=%26%3D%3B%23%25%2F%3F%C3%A4%00%0D%0A&deep%5B%5D=true", "", []string{"contact:1"}},
		{"an empty list in the query", "contacts.get", `{"id":"1","fields":[]}`, "/contacts/1", "", "", []string{"contact:1"}},
		{"a body byte for byte, in the caller's order", "contacts.update",
			`{"extra": {"b" : [1.10, 1e2, 9007199254740993], "a":"\u0041é"} ,"id":"x","age":1.10,"dry":false,"name":"N"}`,
			"/contacts/x", "dry=false", `{"extra":{"b" : [1.10, 1e2, 9007199254740993], "a":"\u0041é"},"age":1.10,"name":"N"}`,
			[]string{"contact:x", "book:main"}},
		{"a body of nothing", "contacts.update", `{"id":"x"}`, "/contacts/x", "", `{}`, []string{"contact:x", "book:main"}},
		{"null is a value", "contacts.update", `{"id":"x","extra":null}`, "/contacts/x", "", `{"extra":null}`, []string{"contact:x", "book:main"}},
		{"a resource an element", "contacts.merge", `{"ids":["b",1,"b","a"]}`, "/contacts/merge", "", `{"ids":["b",1,"b","a"]}`,
			[]string{"contact:b", "contact:1", "contact:a"}},
		{"the whole type", "contacts.search", `{"filter":{"name":"Ad"}}`, "/contacts/search", "", `{"filter":{"name":"Ad"}}`, []string{"contact:*"}},
		{"a resource with slashes", "files.read", `{"drive":"d1","path":"a/b.txt"}`, "/drives/d1/files", "path=a%2Fb.txt", "", []string{"file:d1/a/b.txt"}},
		{"no arguments", "ping", ``, "/", "", "", []string{"crm:status"}},
		{"an empty object", "ping", "\t{ }\r\n", "/", "", "", []string{"crm:status"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := c.Bind(tt.tool, []byte(tt.args))
			require.NoError(t, err)
			require.Equal(t, tt.path, b.Path)
			require.Equal(t, tt.query, b.Query)
			require.Equal(t, tt.body, string(b.Body))
			require.Equal(t, tt.resources, resourceTexts(b))
			require.Same(t, c, b.Connector)
			require.Equal(t, tt.tool, b.Tool.Name)
			require.Equal(t, b.Tool.Severity, b.Severity)
			require.Equal(t, c.Origin, b.Origin)
		})
	}
}

func TestBindHeaders(t *testing.T) {
	c := crm(t)
	b, err := c.Bind("contacts.get", []byte(`{"id":"1"}`))
	require.NoError(t, err)
	require.Equal(t, "GET", b.Method)
	require.Equal(t, map[string][]string{"Accept": {"application/json"}}, map[string][]string(b.Header))
	require.Nil(t, b.Body)

	b.Header["Accept"][0] = "text/html"
	b.Header.Set("Authorization", "Bearer x")
	again, err := c.Bind("contacts.get", []byte(`{"id":"1"}`))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"Accept": {"application/json"}}, map[string][]string(again.Header), "one call's headers are not another's")

	b, err = c.Bind("contacts.update", []byte(`{"id":"1"}`))
	require.NoError(t, err)
	require.Equal(t, "PATCH", b.Method)
	require.Equal(t, map[string][]string{"Content-Type": {"application/json"}}, map[string][]string(b.Header))
}

func TestBindRefuses(t *testing.T) {
	c := crm(t)
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	tests := []struct {
		name, tool, args string
		field            string
	}{
		{"no object", "ping", `[]`, "arguments"},
		{"null", "ping", `null`, "arguments"},
		{"spaces alone", "ping", ` `, "arguments"},
		{"something after", "ping", `{} {}`, "arguments"},
		{"a trailing comma", "contacts.get", `{"id":"1",}`, "arguments"},
		{"a comment", "contacts.get", `{"id":"1"/**/}`, "arguments"},
		{"a byte order mark", "ping", "\ufeff{}", "arguments"},
		{"invalid UTF-8", "contacts.update", "{\"id\":\"1\",\"name\":\"\xff\"}", "arguments"},
		{"an overlong encoding", "contacts.update", "{\"id\":\"1\",\"name\":\"\xc0\xaf\"}", "arguments"},
		{"half a pair", "contacts.update", `{"id":"1","name":"\ud800"}`, "arguments"},
		{"the other half", "contacts.update", `{"id":"1","name":"\udc00"}`, "arguments"},
		{"two first halves", "contacts.update", `{"id":"1","name":"\ud800\ud800"}`, "arguments"},
		{"a name twice", "contacts.get", `{"id":"1","id":"2"}`, "arguments"},
		{"a name twice, once escaped", "contacts.get", `{"id":"1","\u0069d":"2"}`, "arguments"},
		{"a name twice, deep", "contacts.update", `{"id":"1","extra":[{"a":{"b":1,"b":1}}]}`, "arguments"},
		{"too deep", "contacts.update", `{"id":"1","extra":` + deep + `}`, "arguments"},
		{"a control character", "contacts.update", "{\"id\":\"1\",\"name\":\"a\nb\"}", "arguments"},
		{"a leading zero", "contacts.update", `{"id":"1","age":01}`, "arguments"},
		{"a plus", "contacts.update", `{"id":"1","age":+1}`, "arguments"},
		{"no number", "contacts.update", `{"id":"1","age":NaN}`, "arguments"},
		{"a huge exponent", "contacts.update", `{"id":"1","age":1e1000}`, "arguments"},
		{"a huge number", "contacts.update", `{"id":"1","age":` + strings.Repeat("1", 129) + `}`, "arguments"},
		{"too long", "contacts.update", `{"id":"` + strings.Repeat("a", 8<<20) + `"}`, "arguments"},

		{"missing", "contacts.get", `{}`, "id"},
		{"unknown", "contacts.get", `{"id":"1","host":"evil.example"}`, "host"},
		{"unknown in capitals", "contacts.get", `{"ID":"1"}`, "ID"},
		{"equal but for case", "contacts.get", `{"id":"1","ID":"2"}`, "ID"},
		{"unknown with odd characters", "contacts.get", `{"id":"1","a\nb":1}`, `"a\nb"`},
		{"of the wrong type", "contacts.get", `{"id":true}`, "id"},
		{"too long by the schema", "contacts.update", `{"id":"1","name":"` + strings.Repeat("a", 41) + `"}`, "name"},
		{"too small", "contacts.update", `{"id":"1","age":-0.01}`, "age"},
		{"deep in the schema", "contacts.search", `{"filter":{"name":"Ada","tags":["a","c"]}}`, "filter.tags.1"},
		{"missing, deep", "contacts.search", `{"filter":{}}`, "filter.name"},

		{"dot", "contacts.get", `{"id":"."}`, "id"},
		{"dot dot", "contacts.get", `{"id":".."}`, "id"},
		{"empty", "contacts.get", `{"id":""}`, "id"},
		{"slash", "contacts.get", `{"id":"a/b"}`, "id"},
		{"up", "contacts.get", `{"id":"../admin"}`, "id"},
		{"escaped dots", "contacts.get", `{"id":"%2e%2e"}`, "id"},
		{"escaped slash", "contacts.get", `{"id":"a%2fb"}`, "id"},
		{"escaped twice", "contacts.get", `{"id":"%252e%252e"}`, "id"},
		{"escaped backslash", "contacts.get", `{"id":"..%5cadmin"}`, "id"},
		{"backslash", "contacts.get", `{"id":"..\\admin"}`, "id"},
		{"parameter", "contacts.get", `{"id":"a;x=1"}`, "id"},
		{"query", "contacts.get", `{"id":"a?x=1"}`, "id"},
		{"fragment", "contacts.get", `{"id":"a#x"}`, "id"},
		{"at", "contacts.get", `{"id":"a@evil.example"}`, "id"},
		{"colon", "contacts.get", `{"id":"a:443"}`, "id"},
		{"line end", "contacts.get", `{"id":"a\r\nHost: evil"}`, "id"},
		{"NUL", "contacts.get", `{"id":"a\u0000"}`, "id"},
		{"space", "contacts.get", `{"id":"a b"}`, "id"},
		{"not ASCII", "contacts.get", `{"id":"ä"}`, "id"},
		{"full-width dots", "contacts.get", `{"id":"．．"}`, "id"},
		{"too long for a path", "contacts.get", `{"id":"` + strings.Repeat("a", 257) + `"}`, "id"},
		{"1.0 in the path", "contacts.get", `{"id":1.0}`, "id"},
		{"1e2 in the path", "contacts.get", `{"id":1e2}`, "id"},
		{"-0 in the path", "contacts.get", `{"id":-0}`, "id"},
		{"1.5 in the query", "contacts.get", `{"id":"1","fields":[1.5]}`, "fields"},
		{"a query that is too long", "contacts.get", `{"id":"1","fields":["` + strings.Repeat("a", 16<<10) + `"]}`, "arguments"},
		{"another tool's path", "contacts.touch", `{"id":"merge"}`, "id"},

		{"star", "contacts.merge", `{"ids":["*"]}`, "ids"},
		{"star at the end", "contacts.merge", `{"ids":["a","a*"]}`, "ids"},
		{"no resource", "contacts.merge", `{"ids":[]}`, "ids"},
		{"empty resource", "contacts.merge", `{"ids":[""]}`, "ids"},
		{"null resource", "contacts.merge", `{"ids":[null]}`, "ids"},
		{"comma", "contacts.merge", `{"ids":["a,contact:b"]}`, "ids"},
		{"space in a resource", "contacts.merge", `{"ids":["a b"]}`, "ids"},
		{"not in normal form", "contacts.merge", `{"ids":["a\u0301"]}`, "ids"},
		{"invisible", "contacts.merge", `{"ids":["a\u200b"]}`, "ids"},
		{"turned around", "contacts.merge", `{"ids":["\u202ea"]}`, "ids"},
		{"control in a resource", "contacts.merge", `{"ids":["a\u0085"]}`, "ids"},
		{"1.0 as a resource", "contacts.merge", `{"ids":[1.0]}`, "ids"},
		{"too long for a resource", "contacts.merge", `{"ids":["` + strings.Repeat("a", 1024) + `"]}`, "ids"},
		{"too many resources", "contacts.merge", `{"ids":["a"` + strings.Repeat(`,"a"`, 256) + `]}`, "ids"},
		{"up from a resource", "files.read", `{"drive":"d1","path":"a/../../d2/b"}`, "path"},
		{"here in a resource", "files.read", `{"drive":"d1","path":"./b"}`, "path"},
		{"backslash in a resource", "files.read", `{"drive":"d1","path":"a\\..\\b"}`, "path"},
		{"escape in a resource", "files.read", `{"drive":"d1","path":"%2e%2e/b"}`, "path"},
		{"separator in a resource's first part", "files.read", `{"drive":"d1/a","path":"b"}`, "drive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := c.Bind(tt.tool, []byte(tt.args))
			require.Nil(t, b)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			if tt.name == "another tool's path" {
				require.ErrorContains(t, err, "contacts.merge")
				return
			}
			require.Equal(t, tt.field, fault.From(err).Metadata["field"], "%v", err)
			require.Less(t, len(err.Error()), 300)
		})
	}
}

func TestBindUnknownTool(t *testing.T) {
	_, err := crm(t).Bind("contacts.GET", nil)
	require.True(t, fault.Is(err, fault.ToolUnknown), "%v", err)
}

// What the caller gave is told neither to the log nor back: it may be personal.
func TestBindNeverEchoesValues(t *testing.T) {
	c := crm(t)
	const canary = "canary-7f3a"
	for tool, args := range map[string]string{
		"contacts.get":    `{"id":"` + canary + `/"}`,
		"contacts.update": `{"id":"1","name":"` + strings.Repeat(canary, 10) + `"}`,
		"contacts.merge":  `{"ids":["` + canary + `,"]}`,
		"contacts.search": `{"filter":{"name":"Ada","tags":["` + canary + `"]}}`,
		"files.read":      `{"drive":"` + canary + `","path":"../` + canary + `"}`,
	} {
		_, err := c.Bind(tool, []byte(args))
		require.Error(t, err)
		require.NotContains(t, err.Error(), canary)
		long := strings.Repeat("x", 65)
		_, err = c.Bind(tool, []byte(`{"`+long+`":1}`))
		require.Error(t, err)
		require.NotContains(t, err.Error(), long)
	}
}

// Each of these rules holds by itself, where no other one would stop the value too.
func TestBindRulesAlone(t *testing.T) {
	c, err := connector.Parse([]byte(`connector: c
kind: http
origin: https://c.example
tools:
  - name: path
    severity: READ
    method: GET
    path: /contacts/{id}
    resources: ["contact:*"]
    arguments: {type: object, required: [id], properties: {id: {type: string}}}
  - name: parts
    severity: READ
    method: GET
    path: /files
    query: {drive: drive, path: path}
    resources: ["file:{drive}/{path}"]
    arguments: {type: object, required: [drive, path], properties: {drive: {}, path: {}}}
  - name: format
    severity: READ
    method: GET
    path: /days
    query: {day: day, other: other}
    resources: ["day:*"]
    arguments: {type: object, properties: {day: {type: string, format: date}, other: {type: string}}}
`))
	require.NoError(t, err)
	for _, tt := range []struct{ name, tool, args, field string }{
		{"dot", "path", `{"id":"."}`, "id"},
		{"dot dot", "path", `{"id":".."}`, "id"},
		{"nothing", "path", `{"id":""}`, "id"},
		{"a first part that holds the separator", "parts", `{"drive":"d/a","path":"b"}`, "drive"},
		{"a first part that leads up", "parts", `{"drive":"..","path":"b"}`, "drive"},
		{"an empty first part", "parts", `{"drive":"","path":"b"}`, "drive"},
		{"an empty last part", "parts", `{"drive":"d","path":""}`, "path"},
		{"two lists", "parts", `{"drive":["d"],"path":["a"]}`, "path"},
		{"a format", "format", `{"day":"tomorrow"}`, "day"},
	} {
		_, err := c.Bind(tt.tool, []byte(tt.args))
		require.True(t, fault.Is(err, fault.ArgumentInvalid), "%s: %v", tt.name, err)
		require.Equal(t, tt.field, fault.From(err).Metadata["field"], "%s: %v", tt.name, err)
	}
	for range 50 {
		_, err := c.Bind("format", []byte(`{"other":1,"day":"tomorrow"}`))
		require.Equal(t, "day", fault.From(err).Metadata["field"], "the same arguments get the same answer")
	}
}

// A rival is a tool whose path the arguments of another could spell.
func TestBindKeepsToolsApart(t *testing.T) {
	const rest = `, severity: READ, resources: ["x:*"]`
	c, err := connector.Parse([]byte(`connector: c
kind: http
origin: https://c.example
tools:
  - {name: export, method: GET, path: /users/export, severity: ADMIN, resources: ["user:*"]}
  - {name: old, method: GET, path: "/users/v{id}"` + rest + `, arguments: {type: object, required: [id], properties: {id: {type: string}}}}
  - {name: get, method: GET, path: "/users/{id}"` + rest + `, arguments: {type: object, required: [id], properties: {id: {type: string}}}}
  - {name: post, method: POST, path: "/users/{id}"` + rest + `, arguments: {type: object, required: [id], properties: {id: {type: string}}}}
  - {name: left, method: GET, path: "/{a}/b"` + rest + `, arguments: {type: object, required: [a], properties: {a: {type: string}}}}
  - {name: right, method: GET, path: "/a/{b}"` + rest + `, arguments: {type: object, required: [b], properties: {b: {type: string}}}}
`))
	require.NoError(t, err)
	for _, tt := range []struct {
		tool, args string
		taken      bool
	}{
		{"get", `{"id":"export"}`, true},
		{"get", `{"id":"v1"}`, true},
		{"get", `{"id":"v"}`, false},
		{"get", `{"id":"exporter"}`, false},
		{"old", `{"id":"1"}`, false},
		{"export", ``, false},
		{"post", `{"id":"export"}`, false},
		{"left", `{"a":"a"}`, true},
		{"left", `{"a":"users"}`, true},
		{"left", `{"a":"c"}`, false},
		{"right", `{"b":"b"}`, true},
		{"right", `{"b":"c"}`, false},
	} {
		_, err := c.Bind(tt.tool, []byte(tt.args))
		require.Equal(t, tt.taken, fault.Is(err, fault.ArgumentInvalid), "%s %s: %v", tt.tool, tt.args, err)
	}
}

func BenchmarkBind(b *testing.B) {
	c := crm(b)
	for _, bb := range []struct{ name, tool, args string }{
		{"get", "contacts.get", `{"id":"42"}`},
		{"update", "contacts.update", `{"id":"42","name":"Ada","age":36}`},
		{"search", "contacts.search", `{"filter":{"name":"Ada","tags":["a","b"]}}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			args := []byte(bb.args)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Bind(bb.tool, args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
