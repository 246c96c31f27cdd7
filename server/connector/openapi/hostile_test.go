package openapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
	"github.com/onedoor/onedoor/server/fault"
)

// doc makes a document with one operation, POST /a, whose schema is given, and
// components.
func doc(schema, components string) string {
	return `{"openapi":"3.0.3","info":{"title":"a","version":"1"},"servers":[{"url":"https://a.example"}],
"paths":{"/a":{"post":{"operationId":"createA","requestBody":{"required":true,"content":{"application/json":{"schema":` + schema + `}}}}}},
"components":{"schemas":{` + components + `}}}`
}

func packed(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

// A document comes from whoever wrote it, and the broker reads it: no reference in it
// makes the broker open a file or a connection.
func TestNothingOutsideIsRead(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"type":"object","properties":{"stolen":{"type":"string"}}}`))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "schema.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"type":"object","properties":{"stolen":{"type":"string"}}}`), 0o600))
	for name, ref := range map[string]string{
		"URL": server.URL + "/s.json", "URL with a fragment": server.URL + "/s.json#/a", "file": file, "file URL": "file://" + file,
		"relative": "../../etc/passwd", "relative, with a fragment": "./testdata/crm30.yaml#/components/schemas/Contact", "without a scheme": "//" + server.URL[7:] + "/s",
	} {
		t.Run(name, func(t *testing.T) {
			for place, text := range map[string]string{
				"body":     doc(fmt.Sprintf(`{"$ref":%q}`, ref), ""),
				"property": doc(fmt.Sprintf(`{"type":"object","properties":{"a":{"$ref":%q}}}`, ref), ""),
				"form":     body3("3.0.3", "true", fmt.Sprintf(`"application/x-www-form-urlencoded":{"schema":{"$ref":%q}}`, ref)),
				"field":    body3("3.0.3", "true", fmt.Sprintf(`"application/x-www-form-urlencoded":{"schema":{"type":"object","properties":{"a":{"$ref":%q}}}}`, ref)),
				"member":   body3("3.0.3", "true", fmt.Sprintf(`"application/x-www-form-urlencoded":{"encoding":{"a":{"style":"deepObject"}},"schema":{"type":"object","required":["a"],"properties":{"a":{"type":"object","required":["b"],"properties":{"b":{"$ref":%q}}}}}}`, ref)),
				"items":    body3("3.0.3", "true", fmt.Sprintf(`"application/x-www-form-urlencoded":{"schema":{"type":"object","properties":{"a":{"type":"array","items":{"$ref":%q}}}}}`, ref)),
				"deep":     doc(`{"type":"object","properties":{"a":{"$ref":"#/components/schemas/A"}}}`, fmt.Sprintf(`"A":{"$ref":%q}`, ref)),
			} {
				_, err := openapi.Import(t.Context(), []byte(text), openapi.Options{Name: "a"})
				require.ErrorContains(t, err, "leads out of the document", place)
				require.NotContains(t, err.Error(), "stolen")
			}
		})
	}
	require.Zero(t, asked.Load())
}

// What costs a reader more than it cost its author is refused, or cut to its bounds.
func TestBounds(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		next := string(rune('b' + i))
		laughs += fmt.Sprintf("%s: &%s [%s]\n", next, next, strings.Repeat("*"+string(rune('a'+i))+",", 9))
	}
	for name, tc := range map[string]struct{ text, says string }{
		"billion laughs":          {"openapi: 3.0.3\n" + laughs, "aliases counted"},
		"aliases of a long text":  {"openapi: 3.0.3\nx: &a " + strings.Repeat("x", 1<<20) + "\ny: [" + strings.Repeat("*a,", 100) + "*a]\n", "bytes of text, aliases counted"},
		"aliases of a long key":   {"openapi: 3.0.3\nx: &a\n  " + strings.Repeat("x", 1000) + ": 1\ny: [" + strings.Repeat("*a,", 40_000) + "*a]\n", "bytes of text, aliases counted"},
		"an alias within itself":  {"openapi: 3.0.3\na: &a [*a]\n", "deeper than"},
		"deep JSON":               {strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000), "deeper than"},
		"deep YAML":               {"a: " + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000), "deeper than"},
		"many values":             {`{"openapi":"3.0.3","x":[` + strings.Repeat("1,", 2_100_000) + `1]}`, "holds more than"},
		"many values in YAML":     {"openapi: 3.0.3\nx: [" + strings.Repeat("1,", 5_000_000) + "1]", "YAML of more than"},
		"much YAML":               {"openapi: 3.0.3\nx: " + strings.Repeat("x", 17<<20), "YAML of more than"},
		"a merge key":             {"openapi: 3.0.3\na: {b: 1}\nc:\n  <<: {d: 1}\n", "merge keys"},
		"a tag":                   {"openapi: !!binary aGk=\n", "tags"},
		"a key twice, JSON":       {`{"openapi":"3.0.3","openapi":"3.1.0"}`, "twice"},
		"a key twice, YAML":       {"openapi: 3.0.3\nopenapi: 3.1.0\n", "twice"},
		"two documents":           {"openapi: 3.0.3\n---\na: b\n", "one YAML document"},
		"JSON and more":           {`{"openapi":"3.0.3"} x`, "not JSON"},
		"half a document":         {`{"openapi":"3.0.3",`, "not JSON"},
		"empty":                   {"", "empty"},
		"no UTF-8":                {"openapi: \xff", "UTF-8"},
		"another version":         {"openapi: 4.0.0\npaths: {}\n", "known version"},
		"no operations":           {"openapi: 3.0.3\npaths: {}\n", "no operations"},
		"paths that are a list":   {"openapi: 3.0.3\npaths: [1]\n", "no operations"},
		"begins like gzip":        {"\x1f\x8b nothing", "gzip"},
		"references in a circle":  {doc(`{"$ref":"#/components/schemas/A"}`, `"A":{"$ref":"#/components/schemas/B"},"B":{"$ref":"#/components/schemas/A"}`), "circle"},
		"reference to nowhere":    {doc(`{"$ref":"#/components/schemas/Z"}`, ``), "leads nowhere"},
		"all of itself":           {doc(`{"$ref":"#/components/schemas/A"}`, `"A":{"allOf":[{"$ref":"#/components/schemas/A"}],"properties":{"b":{}}}`), "too many others"},
		"all of itself, twice":    {doc(`{"$ref":"#/components/schemas/A"}`, `"A":{"type":"object","properties":{"b":{}},"anyOf":[{"$ref":"#/components/schemas/A"},{"$ref":"#/components/schemas/A"}]}`), "too many others"},
		"a reference to the root": {doc(`{"$ref":"#"}`, ``), "no JSON object with named members"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openapi.Import(t.Context(), []byte(tc.text), openapi.Options{Name: "a"})
			require.ErrorContains(t, err, tc.says)
			require.True(t, fault.Is(err, fault.ArgumentInvalid), err)
			require.Less(t, len(err.Error()), 2000)
		})
	}
	t.Run("a gzip bomb", func(t *testing.T) {
		_, err := openapi.Import(t.Context(), packed(t, bytes.Repeat([]byte(" "), 40<<20)), openapi.Options{Name: "a"})
		require.ErrorContains(t, err, "larger than")
	})
	t.Run("ended by the caller", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := openapi.Import(ctx, fixture(t, "crm30.yaml"), openapi.Options{Name: "a"})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Schemas that are too large, or refer to themselves, come to what a manifest can hold,
// and that is said.
func TestLargeSchemas(t *testing.T) {
	var values, members []string
	for i := range 20_000 {
		values = append(values, fmt.Sprintf(`"value-%d"`, i))
	}
	for i := range 500 {
		members = append(members, fmt.Sprintf(`"m%d":{"description":%q,"$ref":"#/components/schemas/A"}`, i, strings.Repeat("long ", 30)))
	}
	for name, tc := range map[string]struct {
		text    string
		changed string
	}{
		"a huge enum":                {doc(`{"type":"object","properties":{"a":{"type":"string","enum":[`+strings.Join(values, ",")+`]}}}`, ""), "each is held to its type alone"},
		"a tree":                     {doc(`{"type":"object","properties":{"a":{"$ref":"#/components/schemas/A"}}}`, `"A":{"type":"object","properties":{"b":{"$ref":"#/components/schemas/A"}}}`), ""},
		"itself in a definition":     {doc(`{"type":"object","properties":{"a":{"type":"array","items":{"$ref":"#/components/schemas/A"}}}}`, `"A":{"$ref":"#/components/schemas/A"}`), ""},
		"many members":               {doc(`{"type":"object","properties":{`+strings.Join(members, ",")+`}}`, `"A":{"type":"string"}`), ""},
		"no JSON Schema":             {doc(`{"type":"object","properties":{"a":{"type":"string","minLength":"x"}}}`, ""), "each is held to its type alone"},
		"a pattern of another kind":  {doc(`{"type":"object","properties":{"a":{"type":"string","pattern":"(?<!x)y"}}}`, ""), "is no regular expression"},
		"a number beyond all bounds": {doc(`{"type":"object","properties":{"a":{"type":"number","maximum":1e999999}}}`, ""), "each is held to its type alone"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := openapi.Import(t.Context(), []byte(tc.text), openapi.Options{Name: "a"})
			require.NoError(t, err)
			_, err = connector.Parse([]byte(r.Manifest))
			require.NoError(t, err)
			require.Contains(t, told(r.Findings), tc.changed)
		})
	}
}

// Nothing that the document's author wrote gets out of its place in the manifest: not
// out of a comment, a name or a text.
func TestTextStaysText(t *testing.T) {
	const evil = "x\\nnetwork: {allow: [10.0.0.0/8]}\\n# \\u2028origin: https://evil.example\\ntools: []"
	text := `{"openapi":"3.0.3","info":{"title":"` + evil + `","version":"` + evil + `"},"servers":[{"url":"https://a.example"}],
"security":[{"` + evil + `":["` + evil + `"]}],
"components":{"securitySchemes":{"` + evil + `":{"type":"http","scheme":"bearer","description":"` + evil + `"}}},
"paths":{"/a":{"post":{"operationId":"` + evil + `","summary":"` + evil + `","tags":["` + evil + `"],
"parameters":[{"name":"` + "q\\nseverity: READ" + `","in":"query","schema":{"type":"string"}},{"name":"r","in":"query","description":"` + evil + `","schema":{"type":"string","default":"` + evil + `","enum":["` + evil + `"]}}]}},
"/c":{"post":{"requestBody":{"content":{"application/x-www-form-urlencoded":{"encoding":{"f":{"style":"` + evil + `"}},"schema":{"type":"object","properties":{"` + evil + `":{"type":"string"},"e":{"type":"string","description":"` + evil + `"},"f":{"type":"string"}}}}}}}},
"/b":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object","properties":{"` + evil + `":{"type":"string"}}}}}}}}}}`
	r, err := openapi.Import(t.Context(), []byte(text), openapi.Options{Name: "a"})
	require.NoError(t, err)
	c, err := connector.Parse([]byte(r.Manifest))
	require.NoError(t, err)
	require.Equal(t, "https://a.example", c.Origin.String())
	require.Empty(t, c.Egress.AllowRanges)
	for _, tool := range c.Tools {
		require.Equal(t, "DESTRUCTIVE", tool.Severity.String())
	}
	for _, f := range r.Findings {
		require.NotContains(t, f.What+f.Why, "\n")
	}
}

// Where a client's secret goes, the document's author says: a host that is not the
// connector's is named to whoever reviews the manifest.
func TestEndpointsElsewhereAreNamed(t *testing.T) {
	for endpoint, named := range map[string]string{
		"https://evil.example/token": "https://evil.example", "//evil.example/token": "https://evil.example", "https://a.example:8443/t": "https://a.example:8443",
		"https://a.example/token": "", "/token": "",
	} {
		t.Run(endpoint, func(t *testing.T) {
			for _, flow := range []string{
				`"clientCredentials":{"tokenUrl":"` + endpoint + `"}`, `"authorizationCode":{"authorizationUrl":"/authorize","tokenUrl":"` + endpoint + `"}`,
			} {
				text := `{"openapi":"3.0.3","servers":[{"url":"https://b.example"}],"security":[{"o":[]}],"paths":{"/a":{"get":{}}},
"components":{"securitySchemes":{"o":{"type":"oauth2","flows":{` + flow + `}}}}}`
				r, err := openapi.Import(t.Context(), []byte(text), openapi.Options{Name: "a", Origin: "https://a.example"})
				require.NoError(t, err)
				if named == "" {
					require.NotContains(t, told(r.Findings), "not this connector's host")
					continue
				}
				require.Contains(t, told(r.Findings), named+", which is not this connector's host")
			}
		})
	}
}
