package openapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
)

// body3 makes a document whose POST /a takes the bodies given, by media type.
func body3(version, required, content string) string {
	return fmt.Sprintf(`{"openapi":%q,"servers":%s,"paths":{"/a":{"post":{"operationId":"a","requestBody":{"required":%s,"content":{%s}}}}},
"components":{"schemas":{"Color":{"type":"object","properties":{"R":{"type":"integer"},"G":{"type":"integer"},"B":{"type":"integer"}}},"Names":{"type":"array","items":{"type":"string"}}}}}`,
		version, atA, required, content)
}

// form3 is one whose body is a form of a field color, of a schema and an encoding, and of e.
func form3(version, schema, encoding string) string {
	return body3(version, "true", fmt.Sprintf(`"application/x-www-form-urlencoded":{"encoding":{"color":%s},"schema":{"type":"object","properties":{"color":%s,"e":{"type":"string"}}}}`, encoding, schema))
}

// form2 is its like in Swagger 2.0, with a field as a whole and more of the operation.
func form2(field, more string) string {
	return fmt.Sprintf(`{"swagger":"2.0","host":"a.example","schemes":["https"],"paths":{"/a":{"post":{"operationId":"a"%s,"parameters":[{"name":"e","in":"formData","type":"string"},%s]}}}}`, more, field)
}

const consumesForms = `,"consumes":["application/x-www-form-urlencoded"]`

// sent binds a call of the document's one tool.
func sent(t *testing.T, document, arguments string) (*connector.Bound, string) {
	t.Helper()
	r, err := openapi.Import(t.Context(), []byte(document), openapi.Options{Name: "a"})
	require.NoError(t, err)
	c, err := connector.Parse([]byte(r.Manifest))
	require.NoError(t, err)
	b, err := c.Bind("a", []byte(arguments))
	require.NoError(t, err, r.Manifest)
	return b, told(r.Findings)
}

// TestFormFields holds the bytes of a form against the table of styles in OpenAPI 3.1.2,
// 4.8.12.3 (Style Examples), and against what Swagger 2.0 says of collectionFormat. Where
// either says nothing exact, the field is told and left out.
func TestFormFields(t *testing.T) {
	const words, color = `{"type":"array","items":{"type":"string"}}`, `{"$ref":"#/components/schemas/Color"}`
	const three, rgb = `{"color": ["blue", "black", "brown"]}`, `{"color[R]": 100, "color[G]": 200, "color[B]": 150}`
	for name, tc := range map[string]struct{ schema, encoding, arguments, want, told string }{
		"text":                                    {`{"type":"string"}`, `{}`, `{"color": "blue"}`, "color=blue", ""},
		"text that would mean something":          {`{"type":"string"}`, `{}`, `{"color": "a&b=c d+é"}`, "color=a%26b%3Dc%20d%2B%C3%A9", ""},
		"no text at all":                          {`{"type":"string"}`, `{}`, `{"color": ""}`, "color=", ""},
		"an integer":                              {`{"type":"integer"}`, `{}`, `{"color": 9007199254740993}`, "color=9007199254740993", ""},
		"true":                                    {`{"type":"boolean"}`, `{}`, `{"color": true}`, "color=true", ""},
		"a number":                                {`{"type":"number"}`, `{}`, `{"color": "1.50"}`, "color=1.50", "decimal text"},
		"text or nothing":                         {`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{}`, `{"color": "x"}`, "color=x", ""},
		"plain text, it says":                     {`{"type":"string"}`, `{"contentType":"text/plain"}`, `{"color": "x"}`, "color=x", ""},
		"a style beside a media type":             {`{"type":"string"}`, `{"contentType":"application/json","style":"form"}`, `{"color": "x"}`, "color=x", ""},
		"reserved characters in JSON":             {`{"type":"string"}`, `{"contentType":"application/json","allowReserved":true}`, `{"color": "/"}`, "color=%2F", ""},
		"reserved characters":                     {`{"type":"string"}`, `{"allowReserved":true}`, `{"color": "/"}`, "color=%2F", ""},
		"a list":                                  {words, `{}`, three, "color=blue&color=black&color=brown", ""},
		"a list, referred to":                     {`{"$ref":"#/components/schemas/Names"}`, `{}`, three, "color=blue&color=black&color=brown", ""},
		"a list or nothing":                       {`{"anyOf":[{"type":"array","items":{"type":"integer"}},{"type":"null"}],"title":"Color"}`, `{}`, `{"color": [1, 2]}`, "color=1&color=2", ""},
		"a list within allOf":                     {`{"allOf":[{"$ref":"#/components/schemas/Names"}],"description":"c"}`, `{}`, three, "color=blue&color=black&color=brown", ""},
		"a list, form and explode":                {words, `{"style":"form","explode":true}`, three, "color=blue&color=black&color=brown", ""},
		"a list, form alone":                      {words, `{"style":"form"}`, three, "color=blue&color=black&color=brown", ""},
		"a list without explode":                  {words, `{"explode":false}`, three, "color=blue,black,brown", ""},
		"a list with pipes":                       {words, `{"style":"pipeDelimited"}`, `{"color": ["blue"]}`, "color=blue", "a call names one"},
		"a list with spaces":                      {words, `{"style":"spaceDelimited"}`, `{"color": ["blue"]}`, "color=blue", "a call names one"},
		"a list or a text":                        {`{"oneOf":[{"type":"string"},` + words + `]}`, `{}`, `{"color": "x"}`, "color=x", "those of one value are taken"},
		"a deep object":                           {color, `{"style":"deepObject","explode":true}`, rgb, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150", ""},
		"a deep object, explode not said":         {color, `{"style":"deepObject"}`, rgb, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150", ""},
		"an object of fields":                     {color, `{"style":"form","explode":true}`, `{"R": 100, "G": 200, "B": 150}`, "R=100&G=200&B=150", ""},
		"an object of fields, by explode":         {color, `{"explode":true}`, `{"R": 100, "B": 150}`, "R=100&B=150", ""},
		"a deep object or a text":                 {`{"anyOf":[` + color + `,{"type":"string","enum":[""]}]}`, `{"style":"deepObject"}`, rgb, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150", "the object is taken"},
		"a deep object that takes more":           {`{"type":"object","properties":{"R":{"type":"integer"}},"additionalProperties":true}`, `{"style":"deepObject"}`, `{"color[R]": 1}`, "color%5BR%5D=1", "members that the document does not name"},
		"a deep object of what only answers have": {`{"type":"object","required":["id"],"properties":{"id":{"readOnly":true},"R":{"type":"integer"}}}`, `{"style":"deepObject"}`, `{"color[R]": 1}`, "color%5BR%5D=1", ""},
		"a deep object of objects":                {`{"type":"object","properties":{"R":{"type":"integer"},"of":` + color + `}}`, `{"style":"deepObject"}`, `{"color[R]": 1}`, "color%5BR%5D=1", "form parameter color[of]: is no text"},
		"a deep object of lists":                  {`{"type":"object","properties":{"R":{"type":"integer"},"of":` + words + `}}`, `{"style":"deepObject"}`, `{"color[R]": 1}`, "color%5BR%5D=1", "form parameter color[of]: is no text"},
		"a deep object of what is not said":       {`{"type":"object","properties":{"R":{"type":"integer"},"of":{}}}`, `{"style":"deepObject"}`, `{"color[R]": 1}`, "color%5BR%5D=1", "form parameter color[of]: is of no type"},
		"a field twice":                           {`{"type":"object","properties":{"e":{"type":"string"}}}`, `{"explode":true}`, `{"e": "x"}`, "e=x", "form parameter e: has the name of another"},
		// What follows is told, and the form goes without it.
		"an object, and nothing more":      {color, `{}`, "", "", "does not say how a form has it"},
		"an object as JSON":                {color, `{"contentType":"application/json"}`, "", "", "a media type of its own"},
		"an object with commas":            {color, `{"explode":false}`, "", "", "is no text"},
		"an object of any members":         {`{"type":"object","additionalProperties":{"type":"string"}}`, `{"style":"deepObject"}`, "", "", "without properties"},
		"an object of several":             {`{"type":"object","properties":{"R":{"type":"integer"}},"allOf":[` + color + `]}`, `{"style":"deepObject"}`, "", "", "put together of several"},
		"an object of two that are one":    {`{"type":"object","properties":{"r":{"type":"integer"},"R":{"type":"integer"}}}`, `{"style":"deepObject"}`, "", "", "has the name of another"},
		"an object that wants a list":      {`{"type":"object","required":["of"],"properties":{"R":{"type":"integer"},"of":` + words + `}}`, `{"style":"deepObject"}`, "", "", "its property of is no text"},
		"a deep object without explode":    {color, `{"style":"deepObject","explode":false}`, "", "", "OpenAPI does not define"},
		"a deep list":                      {words, `{"style":"deepObject","explode":true}`, "", "", "for objects alone"},
		"a deep text":                      {`{"type":"string"}`, `{"style":"deepObject"}`, "", "", "for objects alone"},
		"a list of objects":                {`{"type":"array","items":` + color + `}`, `{}`, "", "", "is a list of what is no text"},
		"a list of lists":                  {`{"type":"array","items":` + words + `}`, `{}`, "", "", "is a list of what is no text"},
		"a list of files":                  {`{"type":"array","items":{"type":"string","format":"binary"}}`, `{}`, "", "", "is a list of what is a file"},
		"a list of anything":               {`{"type":"array","items":{}}`, `{}`, "", "", "is a list of what is of no type"},
		"a list of what is not said":       {`{"type":"array"}`, `{}`, "", "", "does not say of what"},
		"a file":                           {`{"type":"string","format":"binary"}`, `{}`, "", "", "is a file"},
		"a file of 3.1":                    {`{"type":"string","contentMediaType":"application/octet-stream"}`, `{}`, "", "", "is a file"},
		"text as JSON":                     {`{"type":"string"}`, `{"contentType":"application/json"}`, "", "", "a media type of its own"},
		"anything":                         {`{}`, `{}`, "", "", "of no type that the document says"},
		"an explode that is no boolean":    {words, `{"explode":"false"}`, "", "", "an encoding that cannot be read"},
		"a style that is no text":          {color, `{"style":1}`, "", "", "an encoding that cannot be read"},
		"a style that there is not":        {`{"type":"string"}`, `{"style":"matrix"}`, "", "", "which cannot be written"},
		"a reference that leads elsewhere": {`{"$ref":"other.json#/c"}`, `{"style":"form"}`, "", "", "leads out of the document"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []string{"3.0.3", "3.1.0"} {
				document, arguments, want := form3(version, tc.schema, tc.encoding), tc.arguments, tc.want
				if tc.want == "" && tc.arguments == "" {
					arguments, want = `{"e": "x"}`, "e=x"
				}
				b, findings := sent(t, document, arguments)
				require.Equal(t, want, string(b.Body))
				require.Equal(t, []string{"application/x-www-form-urlencoded"}, b.Header["Content-Type"])
				if tc.told == "" {
					require.NotContains(t, findings, "form parameter color")
				}
				require.Contains(t, findings, tc.told)
				if tc.arguments == "" { // what is needed and cannot be written takes the operation with it
					_, err := openapi.Import(t.Context(), []byte(strings.Replace(document, `{"type":"object","properties":{"color"`, `{"type":"object","required":["color"],"properties":{"color"`, 1)), openapi.Options{Name: "a"})
					require.ErrorContains(t, err, "none of its operations can be a tool")
					require.ErrorContains(t, err, tc.told)
				}
			}
		})
	}
}

func TestFormFieldsOfSwagger2(t *testing.T) {
	const list = `{"name":"c","in":"formData","type":"array","items":{"type":"string"},"collectionFormat":`
	for name, tc := range map[string]struct{ field, arguments, want, told string }{
		"text":                {`{"name":"c","in":"formData","type":"string"}`, `{"c": "a b"}`, "c=a%20b", ""},
		"an integer":          {`{"name":"c","in":"formData","type":"integer"}`, `{"c": 3}`, "c=3", ""},
		"false":               {`{"name":"c","in":"formData","type":"boolean"}`, `{"c": false}`, "c=false", ""},
		"a number":            {`{"name":"c","in":"formData","type":"number"}`, `{"c": "0.5"}`, "c=0.5", "decimal text"},
		"a list":              {strings.TrimSuffix(list, `,"collectionFormat":`) + `}`, `{"c": ["a", "b"]}`, "c=a,b", ""},
		"a list, csv":         {list + `"csv"}`, `{"c": ["a", "b"]}`, "c=a,b", ""},
		"a list, multi":       {list + `"multi"}`, `{"c": ["a", "b"]}`, "c=a&c=b", ""},
		"a list, ssv":         {list + `"ssv"}`, `{"c": ["a"]}`, "c=a", "a call names one"},
		"a list, tsv":         {list + `"tsv"}`, `{"c": ["a"]}`, "c=a", "a call names one"},
		"a list, pipes":       {list + `"pipes"}`, `{"c": ["a"]}`, "c=a", "a call names one"},
		"a list, otherwise":   {list + `"odd"}`, "", "", "which cannot be written"},
		"several at least":    {list + `"pipes","minItems":2}`, "", "", "takes several at least"},
		"a list of lists":     {`{"name":"c","in":"formData","type":"array","items":{"type":"array","items":{"type":"string"}}}`, "", "", "is a list of what is no text"},
		"a list, by a number": {list + `7}`, "", "", "an encoding that cannot be read"},
		"a file":              {`{"name":"c","in":"formData","type":"file"}`, "", "", "is a file"},
		"of no type":          {`{"name":"c","in":"formData"}`, "", "", "of no type"},
		"an object":           {`{"name":"c","in":"formData","type":"object"}`, "", "", "does not say how a form has it"},
		"named as no one is":  {`{"name":"ö","in":"formData","type":"string"}`, "", "", "has a name that cannot be written"},
		"only by case":        {`{"name":"E","in":"formData","type":"string"}`, "", "", "has the name of another"},
	} {
		t.Run(name, func(t *testing.T) {
			arguments, want := tc.arguments, tc.want
			if arguments == "" {
				arguments, want = `{"e": "x"}`, "e=x"
			}
			b, findings := sent(t, form2(tc.field, consumesForms), arguments)
			require.Equal(t, want, string(b.Body))
			require.Contains(t, findings, tc.told)
			if tc.told == "" {
				require.Empty(t, strings.TrimPrefix(findings, findings[strings.Index(findings, "review: "):]))
			}
			if tc.arguments == "" {
				_, err := openapi.Import(t.Context(), []byte(form2(strings.TrimSuffix(tc.field, "}")+`,"required":true}`, consumesForms)), openapi.Options{Name: "a"})
				require.ErrorContains(t, err, tc.told)
			}
		})
	}
}

// TestWhichBody: of what an operation offers, JSON comes before a form, and a form before
// what is not named.
func TestWhichBody(t *testing.T) {
	const fields = `{"schema":{"type":"object","properties":{"e":{"type":"string"}}}}`
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct{ document, sent, refused string }{
		"both":                          {body3("3.0.3", "true", `"`+formType+`":`+fields+`,"application/json":`+fields), jsonType, ""},
		"JSON by another name":          {body3("3.0.3", "true", `"`+formType+`":`+fields+`,"application/x+json":`+fields), "application/x+json", ""},
		"a form or anything":            {body3("3.0.3", "true", `"*/*":`+fields+`,"`+formType+`":`+fields), formType, ""},
		"a form or XML":                 {body3("3.0.3", "true", `"application/xml":`+fields+`,"`+formType+`":`+fields), formType, ""},
		"in capitals":                   {body3("3.0.3", "true", `"Application/X-WWW-Form-Urlencoded":`+fields), formType, ""},
		"in UTF-8":                      {body3("3.0.3", "true", `"application/x-www-form-urlencoded; charset=UTF-8":`+fields), formType, ""},
		"in another charset":            {body3("3.0.3", "true", `"application/x-www-form-urlencoded; charset=latin1":`+fields), "", "charset=latin1, and only bodies"},
		"with a word that says nothing": {body3("3.0.3", "true", `"application/x-www-form-urlencoded; x=y":`+fields), "", "x=y, and only bodies"},
		"multipart":                     {body3("3.0.3", "true", `"multipart/form-data":`+fields), "", "the body is multipart/form-data"},
		"XML":                           {body3("3.0.3", "true", `"application/xml":`+fields), "", "the body is application/xml"},
		"an optional form":              {body3("3.0.3", "false", `"`+formType+`":`+fields), formType, ""},
		"no fields, optional":           {body3("3.0.3", "false", `"`+formType+`":{"schema":{"type":"object"}}`), "", ""},
		"no fields, needed":             {body3("3.0.3", "true", `"`+formType+`":{"schema":{"type":"object"}}`), "", "have no names"},
		"fields, but none of text":      {body3("3.0.3", "true", `"`+formType+`":{"schema":{"type":"object","properties":{"e":{"type":"object"}}}}`), "", "no field that can be written"},
		"no schema":                     {body3("3.0.3", "true", `"`+formType+`":{}`), "", "no form with named members"},
		"fields in parts":               {body3("3.0.3", "false", `"`+formType+`":{"schema":{"allOf":[{"type":"object","properties":{"e":{"type":"string"}}}]}}`), formType, ""},
		"one form of several":           {body3("3.0.3", "true", `"`+formType+`":{"schema":{"type":"object","oneOf":[{"type":"object","properties":{"e":{"type":"string"}}}]}}`), "", "the form is one of several"},
		"a list":                        {body3("3.0.3", "true", `"`+formType+`":{"schema":{"type":"array","items":{"type":"string"}}}`), "", "no form with named members"},
		"an optional picture":           {body3("3.0.3", "false", `"image/png":{}`), "", "the body is image/png"},
		"2.0":                           {form2(`{"name":"c","in":"formData","type":"string"}`, consumesForms), formType, ""},
		"2.0, two kinds of forms":       {form2(`{"name":"c","in":"formData","type":"string"}`, `,"consumes":["multipart/form-data","application/x-www-form-urlencoded"]`), formType, ""},
		"2.0, multipart":                {form2(`{"name":"c","in":"formData","type":"string"}`, `,"consumes":["multipart/form-data"]`), "", "goes as multipart/form-data"},
		"2.0, JSON":                     {form2(`{"name":"c","in":"formData","type":"string"}`, `,"consumes":["application/json"]`), "", "goes as application/json"},
		"2.0, nothing said":             {form2(`{"name":"c","in":"formData","type":"string"}`, ``), "", "consumes wants application/x-www-form-urlencoded"},
		"2.0, a form with a schema":     {form2(`{"name":"c","in":"body","schema":{"type":"object","properties":{"e":{"type":"string"}}}}`, consumesForms), "", "it has a body and form fields"},
		"2.0, a form by its schema":     {strings.Replace(form2(`{"name":"c","in":"body","schema":{"type":"object","properties":{"e":{"type":"string"}}}}`, consumesForms), `{"name":"e","in":"formData","type":"string"},`, "", 1), "", "by parameters in formData"},
		"2.0, JSON, with form named":    {strings.Replace(form2(`{"name":"c","in":"body","schema":{"type":"object","properties":{"e":{"type":"string"}}}}`, `,"consumes":["application/x-www-form-urlencoded","application/json"]`), `{"name":"e","in":"formData","type":"string"},`, "", 1), jsonType, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.refused != "" {
				_, err := openapi.Import(t.Context(), []byte(tc.document), openapi.Options{Name: "a"})
				require.ErrorContains(t, err, "none of its operations can be a tool")
				require.ErrorContains(t, err, tc.refused)
				return
			}
			if tc.sent == "" {
				b, findings := sent(t, tc.document, `{}`)
				require.Empty(t, b.Body)
				require.Empty(t, b.Header)
				require.NotContains(t, findings, "body")
				return
			}
			b, _ := sent(t, tc.document, `{"e": "x"}`)
			require.Equal(t, []string{tc.sent}, b.Header["Content-Type"])
			require.Equal(t, map[bool]string{true: "e=x", false: `{"e":"x"}`}[tc.sent == formType], string(b.Body))
		})
	}
}

// TestFormsStayWithinBounds: a caller brings no key in a field, and no part of an object
// without what it wants beside it.
func TestFormsStayWithinBounds(t *testing.T) {
	t.Run("the place of a key", func(t *testing.T) {
		for required, want := range map[string]string{
			`"required":[]`:          "form parameter API_key: has the name under which the credential of the scheme k goes, which a caller must not bring; the tool does without",
			`"required":["API_key"]`: "form parameter API_key has the name under which the credential",
		} {
			document := strings.Replace(body3("3.0.3", "true", `"application/x-www-form-urlencoded":{"schema":{"type":"object",`+required+`,"properties":{"API_key":{"type":"string"},"e":{"type":"string"}}}}`),
				`"components":{`, `"components":{"securitySchemes":{"k":{"type":"apiKey","in":"query","name":"api_key"}},`, 1)
			r, err := openapi.Import(t.Context(), []byte(document), openapi.Options{Name: "a"})
			if err != nil {
				require.ErrorContains(t, err, want)
				continue
			}
			require.Contains(t, told(r.Findings), want)
			require.NotContains(t, r.Manifest, "API_key")
		}
	})
	t.Run("an object that belongs together", func(t *testing.T) {
		document := form3("3.0.3", `{"type":"object","required":["a","b"],"properties":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string"}}}`, `{"style":"deepObject"}`)
		r, err := openapi.Import(t.Context(), []byte(document), openapi.Options{Name: "a"})
		require.NoError(t, err)
		c, err := connector.Parse([]byte(r.Manifest))
		require.NoError(t, err)
		for arguments, fine := range map[string]bool{
			`{"e": "x"}`: true, `{"color[a]": "x", "color[b]": "y"}`: true, `{"color[a]": "x", "color[b]": "y", "color[c]": "z"}`: true,
			`{"color[a]": "x"}`: false, `{"color[c]": "x"}`: false, `{"color[c]": "z", "color[b]": "y"}`: false,
		} {
			_, err := c.Bind("a", []byte(arguments))
			require.Equal(t, fine, err == nil, "%s: %v", arguments, err)
		}
	})
	t.Run("an optional form that cannot be written", func(t *testing.T) {
		document := body3("3.0.3", "false", `"application/x-www-form-urlencoded":{"schema":{"type":"object","required":["f"],"properties":{"of":{"type":"string","pattern":"(?!x)"},"n":{"type":"number"},"f":{"type":"string","format":"binary"}}}}`)
		b, findings := sent(t, document, `{}`)
		require.Empty(t, b.Body)
		require.Empty(t, b.Header)
		require.Contains(t, findings, "POST /a: body: form parameter f is a file, which no form of this kind carries; the tool does without")
		require.NotContains(t, findings, "pattern", "what is not there is not told as changed")
		require.NotContains(t, findings, "decimal")
	})
	t.Run("an optional form of any members", func(t *testing.T) {
		b, findings := sent(t, body3("3.0.3", "false", `"application/x-www-form-urlencoded":{"schema":{"type":"object","additionalProperties":{"type":"string"}}}`), `{}`)
		require.Empty(t, b.Body)
		require.Contains(t, findings, "POST /a: body: the body's members have no names in the document; the tool does without")
	})
}
