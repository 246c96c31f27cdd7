package openapi_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector/openapi"
)

// each writes n parts, by their number.
func each(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(strings.ReplaceAll(format, "@", "%[1]d"), i)
	}
	return strings.Join(parts, ",")
}

// many makes a document of n paths that share one path item, with a root of its own.
func many(n int, item, root string) string {
	return `{"openapi":"3.0.3","servers":[{"url":"https://a.example"}],"x-item":` + item + root +
		`,"paths":{"/first":{"get":{}},` + each(n, `"/p@":{"$ref":"#/x-item"}`) + `}}`
}

// formOf makes a document whose form has n fields of one schema, each a deep object.
func formOf(n int, schema string) string {
	return `{"openapi":"3.0.3","servers":[{"url":"https://a.example"}],"x-o":` + schema + `,"paths":{"/a":{"post":{"requestBody":{"content":{"application/x-www-form-urlencoded":{"encoding":{` +
		each(n, `"f@":{"style":"deepObject"}`) + `},"schema":{"type":"object","properties":{` + each(n, `"f@":{"$ref":"#/x-o"}`) + `}}}}}}}}}`
}

// A document of a few megabytes keeps the broker neither busy nor full, however its parts
// refer to each other: each of these took hours, or many gigabytes.
func TestWhatADocumentMayCost(t *testing.T) {
	alike := &strings.Builder{}
	refs := &strings.Builder{}
	for i := range 6_000 {
		fmt.Fprintf(alike, `"a%c":{"type":"string"},`, rune(0x4e00+i))
		fmt.Fprintf(refs, `{"$ref":"#/components/schemas/a%c"},`, rune(0x4e00+i))
	}
	within := func(schema string) string {
		return doc(`{"type":"object","properties":{"a":`+schema+`}}`, strings.TrimSuffix(alike.String(), ","))
	}
	parameter := `{"name":"q@","in":"query","schema":{"type":"string"}}`
	for name, tc := range map[string]struct {
		text    string
		options openapi.Options
		says    string // in a finding, or the error
	}{
		"names that are alike":       {text: within(`{"anyOf":[` + strings.TrimSuffix(refs.String(), ",") + `]}`), says: "each is held to its type alone"},
		"members to be read alone":   {text: within(`{"type":"object","properties":{` + each(40_000, `"m@":{"readOnly":true}`) + `}}`), says: ""},
		"members of a body":          {text: doc(`{"type":"object","properties":{`+each(40_000, `"m@":{}`)+`}}`, ""), says: "more than 3000 members"},
		"members that a body wants":  {text: doc(`{"type":"object","required":[`+each(40_000, `"m@"`)+`]}`, ""), says: "more than 3000 members"},
		"parameters":                 {text: many(1, `{"get":{"parameters":[`+each(30_000, parameter)+`]}}`, ""), says: "more than 1000 parameters"},
		"security of all operations": {text: many(900, `{"get":{}}`, `,"security":[`+each(20_000, `{"s@":[]}`)+`]`), says: "more than 32 alternatives"},
		"schemes that belong":        {text: many(900, `{"get":{}}`, `,"security":[{`+each(20_000, `"s@":[]`)+`}]`), says: "more than 16 schemes"},
		"keys in the query": {text: many(300, `{"get":{"parameters":[`+each(30, parameter)+`]}}`,
			`,"components":{"securitySchemes":{`+each(40_000, `"s@":{"type":"apiKey","in":"query","name":"k@"}`)+`}}`), says: "names none"},
		"parameters of an object": {text: many(1, `{"get":{"parameters":[{"name":"q","in":"query","style":"deepObject","schema":{"type":"object","properties":{`+each(300_000, `"m@":{"type":"number"}`)+`}}}]}}`, ""), says: "the schema is too large"},
		"operations":              {text: many(60_000, `{"get":{"tags":[`+each(40_000, `"t@"`)+`]}}`, ""), options: openapi.Options{Include: []string{"/first"}}, says: "more than 50000 operations"},
		"tags of operations":      {text: many(900, `{"get":{"tags":[`+each(40_000, `"t@"`)+`]}}`, ""), options: openapi.Options{Include: []string{"tag:t30000"}}, says: "names no operation"},
	} {
		t.Run(name, func(t *testing.T) {
			said := make(chan string, 1)
			go func() {
				o := tc.options
				o.Name = "a"
				r, err := openapi.Import(t.Context(), []byte(tc.text), o)
				if err != nil {
					said <- err.Error()
					return
				}
				said <- told(r.Findings)
			}()
			select {
			case text := <-said:
				require.Contains(t, text, tc.says)
			case <-time.After(3 * time.Minute):
				require.Fail(t, "it has no end")
			}
		})
	}
}

// What a form would hold is given up before it is written at length: the arguments of many
// objects, and that of the members of one each wants all others.
func TestWhatAFormMayHold(t *testing.T) {
	within := func(required, n int) string {
		return `{"type":"object","required":[` + each(required, `"m@"`) + `],"properties":{` + each(n, `"m@":{"type":"number"}`) + `}}`
	}
	for name, tc := range map[string]struct{ text, says string }{
		"some that belong together": {formOf(1, within(20, 20)), ""},
		"many that belong together": {formOf(1, within(200, 200)), "each is held to its type alone"},
		"all that belong together":  {formOf(1, within(3_000, 3_000)), "the schema is too large"},
		"objects of many":           {formOf(1_000, within(0, 1_000)), "the schema is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := openapi.Import(t.Context(), []byte(tc.text), openapi.Options{Name: "a"})
			runtime.ReadMemStats(&after)
			require.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(600), "MiB")
			if err != nil {
				require.ErrorContains(t, err, tc.says)
				return
			}
			require.Contains(t, told(r.Findings), tc.says)
			require.Equal(t, tc.says == "", strings.Contains(r.Manifest, "dependentRequired"))
		})
	}
}
