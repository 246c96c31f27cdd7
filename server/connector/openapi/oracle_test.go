package openapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
)

// spoken loads a fixture with a library that was made by others, which does not follow
// references out of the document either.
func spoken(t *testing.T, name string) *openapi3.T {
	t.Helper()
	text := fixture(t, name)
	if strings.HasPrefix(name, "jobs20") {
		var old openapi2.T
		require.NoError(t, json.Unmarshal(text, &old))
		d, err := openapi2conv.ToV3(&old)
		require.NoError(t, err)
		return d
	}
	d, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return d
}

// TestRequestsAreWhatTheDocumentSays binds generated arguments to every imported tool
// and has another reader of the document judge the request: it is one of the very
// operation of which the tool was made, and valid by its parameters and body.
func TestRequestsAreWhatTheDocumentSays(t *testing.T) {
	for _, name := range []string{"crm30.yaml", "jobs20.json"} {
		d := spoken(t, name)
		router, err := gorillamux.NewRouter(d)
		require.NoError(t, err)
		r, err := openapi.Import(t.Context(), fixture(t, name), fixtures()[name])
		require.NoError(t, err)
		c, err := connector.Parse([]byte(r.Manifest))
		require.NoError(t, err)
		for _, tool := range c.Tools {
			t.Run(name+" "+tool.Name, func(t *testing.T) {
				var schema map[string]any
				require.NoError(t, json.Unmarshal([]byte(tool.Schema), &schema))
				bound := 0
				rapid.Check(t, func(rt *rapid.T) {
					arguments, err := json.Marshal(generator{schema}.value(rt, schema, 0))
					require.NoError(rt, err)
					b, err := c.Bind(tool.Name, arguments)
					if err != nil {
						rt.Skip(err) // a format or choice that the generator does not know
					}
					bound++
					judge(rt, router.FindRoute, tool, b)
				})
				require.Positive(t, bound)
			})
		}
	}
}

type routeFinder = func(*http.Request) (*routers.Route, map[string]string, error)

// judge has the library find the route of a bound call and validate it.
func judge(t *rapid.T, find routeFinder, tool *connector.Tool, b *connector.Bound) {
	target := b.Origin.String() + b.Path
	if b.Query != "" {
		target += "?" + b.Query
	}
	request, err := http.NewRequest(b.Method, target, bytes.NewReader(b.Body))
	require.NoError(t, err)
	request.Header = b.Header
	route, parameters, err := find(request)
	require.NoError(t, err, "%s %s", b.Method, target)
	if id := route.Operation.OperationID; id != "" && len(id) < 40 {
		require.Equal(t, tool.Name, strings.ReplaceAll(id, "/", "."))
	}
	known := queryNames(route)
	for name := range request.URL.Query() {
		require.Contains(t, known, name, "the document has no such query parameter")
	}
	err = openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
		Request: request, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	require.NoError(t, err, "%s %s %s", b.Method, target, b.Body)
}

// queryNames are the names of an operation's query parameters, those of objects one by
// one: the library ignores what it does not know.
func queryNames(route *routers.Route) (names []string) {
	for _, p := range slices.Concat(route.PathItem.Parameters, route.Operation.Parameters) {
		if p.Value.In != "query" {
			continue
		}
		if p.Value.Schema == nil || !p.Value.Schema.Value.Type.Is("object") {
			names = append(names, p.Value.Name)
			continue
		}
		for property := range p.Value.Schema.Value.Properties {
			if p.Value.Style == "deepObject" {
				property = p.Value.Name + "[" + property + "]"
			}
			names = append(names, property)
		}
	}
	return names
}

// generator makes values by a schema, as far as fixtures need it.
type generator struct{ root map[string]any }

func (g generator) value(t *rapid.T, schema any, depth int) any {
	s, ok := schema.(map[string]any)
	if !ok {
		return "any"
	}
	if ref, ok := s["$ref"].(string); ok {
		return g.value(t, g.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")], depth+1)
	}
	if values, ok := s["enum"].([]any); ok {
		return rapid.SampledFrom(values).Draw(t, "value")
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if branches, ok := s[key].([]any); ok {
			return g.value(t, rapid.SampledFrom(branches).Draw(t, "branch"), depth+1)
		}
	}
	kind, _ := s["type"].(string)
	if kinds, ok := s["type"].([]any); ok {
		kind = rapid.SampledFrom(kinds).Draw(t, "type").(string)
	}
	switch kind {
	case "object":
		return g.object(t, s, depth)
	case "array":
		most := 3
		if bound, ok := s["maxItems"].(float64); ok {
			most = int(bound)
		}
		list := []any{}
		for range rapid.IntRange(1, most).Draw(t, "items") {
			list = append(list, g.value(t, s["items"], depth+1))
		}
		return list
	case "integer":
		return rapid.IntRange(1, 1000).Draw(t, "integer")
	case "number":
		return 1.25
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "null":
		return nil
	}
	return g.text(t, s)
}

func (g generator) text(t *rapid.T, s map[string]any) string {
	switch {
	case s["format"] == "date":
		return "2026-11-28"
	case s["format"] == "email":
		return "a@b.example"
	case s["format"] == "uuid":
		return "3b0b1a52-6b1e-4b5e-8f0e-0d7f3f3c1a11"
	case strings.HasPrefix(fmt.Sprint(s["pattern"]), "^-?(0|"):
		return rapid.SampledFrom([]string{"0", "1.5", "12", "0.25"}).Draw(t, "decimal")
	}
	return rapid.StringMatching(`[A-Za-z0-9_.~-]{1,12}|[a-z ,&=é/?%+]{1,8}`).Draw(t, "text")
}

func (g generator) object(t *rapid.T, s map[string]any, depth int) any {
	out := map[string]any{}
	required, _ := s["required"].([]any)
	properties, _ := s["properties"].(map[string]any)
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if slices.Contains(required, any(name)) || depth < 2 && rapid.Bool().Draw(t, "has "+name) {
			out[name] = g.value(t, properties[name], depth+1)
		}
	}
	return out
}
