package openapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
	"github.com/onedoor/onedoor/server/fault"
)

// seeds are small on purpose, one feature each: what Go's fuzzer finds interesting it
// shortens first, in a number of trials that grows with the square of the length, and of
// a document of some kilobytes it does nothing else for minutes. The whole documents are
// TestGolden's.
func seeds() []string {
	const path = "openapi: 3.0.3\nservers: [{url: 'https://a.b/v1'}]\npaths: {'/a/{b}': {"
	const modern = "openapi: 3.1.0\nservers: [{url: 'https://{t}.b', variables: {t: {default: d}}}]\npaths: {/a: {"
	const old = `{"swagger":"2.0","host":"a.b","basePath":"/r","paths":{"/a":{`
	return []string{
		path + "get: {parameters: [{name: b, in: path, required: true, schema: {type: integer}}, {name: q, in: query, schema: {type: array, items: {type: string}}}]}}}\n",
		path + "parameters: [{$ref: '#/components/parameters/b'}], delete: {operationId: dropA}}}\ncomponents: {parameters: {b: {name: b, in: path, required: true, schema: {type: string}}}}\n",
		modern + "post: {requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/S'}}}}}}}\ncomponents: {schemas: {S: {type: object, properties: {s: {$ref: '#/components/schemas/S'}}}}}\n",
		modern + "put: {requestBody: {content: {application/json: {schema: {type: [object, 'null'], properties: {n: {const: 1}, t: {prefixItems: [{type: string}]}}}}}}}}}\n",
		modern + "post: {requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: integer}}}}}}}}}\n",
		modern + "post: {requestBody: {content: {application/x-www-form-urlencoded: {encoding: {a: {style: deepObject}, l: {explode: false}}, schema: {type: object, properties: {a: {type: object, required: [b], properties: {b: {type: integer}, c: {type: number}}}, l: {type: array, items: {type: string}}}}}}}}}}\n",
		modern + "get: {parameters: [{name: r, in: query, style: deepObject, schema: {type: object, properties: {g: {type: integer}}}}, {name: X-H, in: header, schema: {enum: [x]}}]}}}\n",
		modern + "get: {security: [{k: []}]}}}\ncomponents: {securitySchemes: {k: {type: apiKey, in: header, name: X-K}}}\n",
		modern + "get: {security: [{o: [r]}]}}}\ncomponents: {securitySchemes: {o: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://a.b/t', scopes: {r: r}}}}}}\n",
		old + `"get":{"parameters":[{"name":"s","in":"query","type":"string","enum":["n"],"x-nullable":true}]}}}}`,
		old + `"post":{"parameters":[{"name":"j","in":"body","schema":{"$ref":"#/definitions/J"}}]}}},"definitions":{"J":{"type":"object"}}}`,
		old + `"post":{"consumes":["application/x-www-form-urlencoded"],"parameters":[{"name":"f","in":"formData","type":"array","items":{"type":"string"},"collectionFormat":"multi"}]}}}}`,
		old + `"post":{"consumes":["multipart/form-data"],"parameters":[{"name":"f","in":"formData","type":"file"}]}}}}`,
		"openapi: 3.1.0\npaths: {'/a/{b}': {get: {parameters: [{name: b, in: path, schema: {type: [integer]}}]}}}\nservers: [{url: 'https://a.b'}]\n",
		"openapi: 3.0.0\na: &a {b: 1}\npaths: {/: *a}\n",
	}
}

// TestSeeds: the fuzzer starts from documents of which most make tools; the two others
// have what cannot be one.
func TestSeeds(t *testing.T) {
	refused := 0
	for _, seed := range seeds() {
		require.Less(t, len(seed), 400, seed)
		r, err := openapi.Import(t.Context(), []byte(seed), openapi.Options{Name: "fuzz", Origin: "https://fuzz.example"})
		if err != nil {
			refused++
			require.NotContains(t, err.Error(), "is neither JSON nor YAML", seed)
			continue
		}
		require.Equal(t, 1, r.Tools, seed)
	}
	require.Equal(t, 2, refused)
}

// FuzzImport: whatever the document, no panic; one reason, or a manifest that Apply
// takes, the same at every try.
func FuzzImport(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o := openapi.Options{Name: "fuzz", Origin: "https://fuzz.example"}
		r, err := openapi.Import(t.Context(), text, o)
		if err != nil {
			require.True(t, fault.Is(err, fault.ArgumentInvalid), err)
			require.Empty(t, r)
			return
		}
		c, err := connector.Parse([]byte(r.Manifest))
		require.NoError(t, err)
		require.Len(t, c.Tools, r.Tools)
		require.Equal(t, "https://fuzz.example", c.Origin.String())
		for _, tool := range c.Tools {
			_, _ = c.Bind(tool.Name, []byte(`{"id":"1"}`))
		}
		again, err := openapi.Import(t.Context(), text, o)
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
