package connector_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

func TestSchemaRules(t *testing.T) {
	tests := []struct {
		name, schema string // of the one argument v
		good, bad    string // JSON
		field, want  string // of the refusal
	}{
		{"type", `{type: integer}`, `1`, `1.5`, "v", "want integer"},
		{"enum", `{enum: [a, 1, null]}`, `null`, `"b"`, "v", "is none of the values allowed"},
		{"const", `{const: 9007199254740993}`, `9007199254740993`, `9007199254740992`, "v", "is none of the values allowed"},
		{"pattern", `{type: string, pattern: "^a+$"}`, `"aa"`, `"ab"`, "v", "does not match the pattern ^a+$"},
		{"format", `{type: string, format: uuid}`, `"00000000-0000-4000-8000-000000000000"`, `"x"`, "v", "is no uuid"},
		{"minLength", `{minLength: 2}`, `"ää"`, `"ä"`, "v", "at least 2 characters"},
		{"maxLength", `{maxLength: 1}`, `"ä"`, `"ab"`, "v", "at most 1 characters"},
		{"minItems", `{minItems: 1}`, `[1]`, `[]`, "v", "at least 1 items"},
		{"maxItems", `{maxItems: 1}`, `[1]`, `[1,2]`, "v", "at most 1 items"},
		{"uniqueItems", `{uniqueItems: true}`, `[1,2]`, `[1,1.0]`, "v", "items 0 and 1 are equal"},
		{"minimum", `{minimum: 1.10}`, `1.1`, `1.09`, "v", "want at least 11/10"},
		{"maximum", `{maximum: 9007199254740992}`, `9007199254740992`, `9007199254740993`, "v", "want at most 9007199254740992"},
		{"exclusiveMinimum", `{exclusiveMinimum: 0}`, `0.1`, `0`, "v", "want more than 0"},
		{"exclusiveMaximum", `{exclusiveMaximum: 5}`, `4`, `5`, "v", "want less than 5"},
		{"multipleOf", `{multipleOf: 0.1}`, `0.3`, `0.35`, "v", "want a multiple of 1/10"},
		{"items", `{items: {type: string}}`, `["a"]`, `["a",1]`, "v.1", "want string"},
		{"prefixItems", `{prefixItems: [{type: string}], items: false}`, `["a"]`, `["a",1]`, "v.1", "is not allowed by the schema"},
		{"contains", `{contains: {const: a}}`, `["b","a"]`, `["b"]`, "v", "contains"},
		{"required", `{required: [a]}`, `{"a":1}`, `{}`, "v.a", "is missing"},
		{"additionalProperties", `{properties: {a: {}}, additionalProperties: false}`, `{"a":1}`, `{"b":1}`, "v.b", "is no argument"},
		{"dependentRequired", `{dependentRequired: {a: [b]}}`, `{"b":1}`, `{"a":1}`, "v", "dependentRequired"},
		{"minProperties", `{minProperties: 1}`, `{"a":1}`, `{}`, "v", "minProperties"},
		{"unevaluatedProperties", `{allOf: [{properties: {a: {}}}], unevaluatedProperties: false}`, `{"a":1}`, `{"b":1}`, "v.b", "is not allowed by the schema"},
		{"anyOf", `{anyOf: [{type: string}, {type: "null"}]}`, `null`, `1`, "v", "anyOf"},
		{"oneOf", `{oneOf: [{minimum: 1}, {minimum: 2}]}`, `1`, `3`, "v", "oneOf"},
		{"allOf", `{allOf: [{type: string}, {minLength: 1}]}`, `"a"`, `""`, "v", "at least 1 characters"},
		{"not", `{not: {type: string}}`, `1`, `"a"`, "v", "not"},
		{"if then", `{if: {required: [a]}, then: {required: [b]}}`, `{"a":1,"b":1}`, `{"a":1}`, "v.b", "is missing"},
		{"$ref to the top", `{$ref: "#/properties/w"}`, `"a"`, `1`, "v", "want string"},
		{"false", `false`, ``, `1`, "v", "is not allowed by the schema"},
		{"an odd name", `{additionalProperties: {type: string}}`, `{"a.b":"c"}`, `{"\n":1}`, `v."\n"`, "want string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := connector.Parse([]byte(`connector: c
kind: http
origin: https://c.example
tools:
  - name: t
    severity: READ
    method: POST
    path: /
    body: all
    resources: ["x:*"]
    arguments: {type: object, properties: {w: {type: string}, v: ` + tt.schema + "}}\n"))
			require.NoError(t, err)
			if tt.good != "" {
				b, err := c.Bind("t", []byte(`{"v":`+tt.good+`}`))
				require.NoError(t, err)
				require.Equal(t, `{"v":`+tt.good+`}`, string(b.Body))
			}
			_, err = c.Bind("t", []byte(`{"v":`+tt.bad+`}`))
			require.Equal(t, tt.field, fault.From(err).Metadata["field"], "%v", err)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Strings with escapes mean the same to us as to whoever reads the body.
func TestEscapes(t *testing.T) {
	c := crm(t)
	for escaped, plain := range map[string]string{
		`a\"b`:                      `a"b`,
		`\\`:                        `\`,
		`\/\b\f\n\r\t`:              "/\b\f\n\r\t",
		`\u0041\u00e9\u20AC`:        "Aé€",
		`\ud83d\ude00 \uD83D\uDE00`: "😀 😀",
	} {
		b, err := c.Bind("contacts.get", []byte(`{"id":"1","fields":["`+escaped+`"]}`))
		require.NoError(t, err, escaped)
		require.Equal(t, plain, query(t, b, "fields"), escaped)
	}
	for _, wrong := range []string{`\x41`, `\`, `\u12`, `\u12g4`, `\'`, `\ud83d\u0041`, `\ud83d\n`, `\U0041`} {
		_, err := c.Bind("contacts.get", []byte(`{"id":"1","fields":["`+wrong+`"]}`))
		require.True(t, fault.Is(err, fault.ArgumentInvalid), "%s: %v", wrong, err)
	}
	for _, wrong := range []string{`-`, `1.`, `.5`, `1e`, `1e+`, `0x1`, `00`, `--1`, `Infinity`, `truefalse`, `nul`} {
		_, err := c.Bind("contacts.update", []byte(`{"id":"1","extra":`+wrong+`}`))
		require.True(t, fault.Is(err, fault.ArgumentInvalid), "%s: %v", wrong, err)
	}
}

func query(t *testing.T, b *connector.Bound, name string) string {
	t.Helper()
	values, err := url.ParseQuery(b.Query)
	require.NoError(t, err)
	return values.Get(name)
}

// Schemas that refer to each other have as many ways through them as powers of their
// number: reading their types must not go them all.
func TestSchemasOfManyWays(t *testing.T) {
	var defs strings.Builder
	const deep, wide = 10, 20
	for i := range deep {
		ways := make([]string, wide)
		for j := range ways {
			ways[j] = fmt.Sprintf("{$ref: '#/$defs/d%d'}", i+1)
		}
		fmt.Fprintf(&defs, "d%d: {anyOf: [%s]}, ", i, strings.Join(ways, ", "))
	}
	manifest := `
connector: a
kind: http
origin: https://a.example
tools:
  - name: get
    severity: READ
    method: GET
    path: /a
    query: {n: n}
    arguments: {type: object, properties: {n: {$ref: '#/$defs/d0'}}, $defs: {` + defs.String() + fmt.Sprintf("d%d: {type: integer}", deep) + `}}
    resources: ["a:*"]
`
	done := make(chan error, 1)
	go func() {
		c, err := connector.Parse([]byte(manifest))
		if err == nil {
			var arguments []byte
			_, arguments, err = c.Match(connector.Request{Method: "GET", Path: "/a", Query: "n=7"})
			if err == nil && string(arguments) != `{"n":7}` {
				err = errors.New(string(arguments))
			}
		}
		done <- err
	}()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("it goes them all")
	}
}
