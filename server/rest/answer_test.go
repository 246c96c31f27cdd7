package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/rest"
)

func TestAnswers(t *testing.T) {
	const open = `{"invocationId":"i","status":200,"headers":{"a":"<1>","b":"2"},"contentType":`
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	cases := map[string]struct{ contentType, body, want string }{
		"JSON":                    {"application/json", `{"a":1}`, `"application/json","body":{"a":1}}`},
		"with a charset":          {"application/json; charset=utf-8", `1`, `"application/json; charset=utf-8","body":1}`},
		"in upper case":           {"Application/JSON", `1`, `"Application/JSON","body":1}`},
		"a kind of JSON":          {"application/problem+json", `{}`, `"application/problem+json","body":{}}`},
		"a large number":          {"application/json", `{"id":9007199254740993}`, `"application/json","body":{"id":9007199254740993}}`},
		"order, repeats, forms":   {"application/json", `{"z":1.0,"a":1e2,"z":-0}`, `"application/json","body":{"z":1.0,"a":1e2,"z":-0}}`},
		"space and newline":       {"application/json", " {\n \"a\" : 1 }\n", "\"application/json\",\"body\": {\n \"a\" : 1 }\n}"},
		"escapes":                 {"application/json", `"\u00e9\/\ud800<&>"`, `"application/json","body":"\u00e9\/\ud800<&>"}`},
		"separators":              {"application/json", "\"\u2028é👋\"", "\"application/json\",\"body\":\"\u2028é👋\"}"},
		"null":                    {"application/json", `null`, `"application/json","body":null}`},
		"empty JSON":              {"application/json", ``, `"application/json"}`},
		"empty text":              {"text/plain", ``, `"text/plain"}`},
		"text":                    {"text/plain", `{"a":1}`, `"text/plain","bodyBase64":"eyJhIjoxfQ=="}`},
		"no type":                 {"", `{}`, `"","bodyBase64":"e30="}`},
		"a type that is none":     {"application/json/x", `{}`, `"application/json/x","bodyBase64":"e30="}`},
		"JSON in name only":       {"application/json", `{"a":`, `"application/json","bodyBase64":"eyJhIjo="}`},
		"two values":              {"application/json", `{} {}`, `"application/json","bodyBase64":"e30ge30="}`},
		"an escape from the body": {"application/json", `1,"status":500`, `"application/json","bodyBase64":"MSwic3RhdHVzIjo1MDA="}`},
		"lines of JSON":           {"application/x-ndjson", "{}\n{}\n", `"application/x-ndjson","bodyBase64":"e30Ke30K"}`},
		"not UTF-8":               {"application/json", "\"\xff\"", `"application/json","bodyBase64":"Iv8i"}`},
		"byte order mark":         {"application/json", "\ufeff1", `"application/json","bodyBase64":"77u/MQ=="}`},
		"too deep":                {"application/json", deep, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, &broker{invoke: func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
				return &onedoorv1.InvokeResponse{
					InvocationId: "i", Status: 200, Headers: map[string]string{"b": "2", "a": "<1>"},
					ContentType: c.contentType, Body: []byte(c.body),
				}, nil
			}})
			w := ask(rest.NewHandler(conn, rest.Options{}), post("/v1/invoke", "{}"))
			require.Equal(t, 200, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.True(t, json.Valid(w.Body.Bytes()))
			if c.want != "" {
				require.Equal(t, open+c.want, w.Body.String())
			}
			requireBody(t, w.Body.Bytes(), []byte(c.body))
		})
	}
}

// requireBody reads an answer as a client would.
func requireBody(t testing.TB, answer, want []byte) {
	var read struct {
		Body       json.RawMessage
		BodyBase64 []byte
	}
	require.NoError(t, json.Unmarshal(answer, &read))
	if read.Body == nil {
		require.Equal(t, string(want), string(read.BodyBase64))
		return
	}
	require.Nil(t, read.BodyBase64)
	require.Equal(t, string(bytes.TrimSpace(want)), string(read.Body))
}

func TestEmptyAnswersHaveTheirFields(t *testing.T) {
	conn, _ := connect(t, &broker{})
	w := ask(rest.NewHandler(conn, rest.Options{}), post("/v1/invoke", "{}"))
	require.Equal(t, `{"invocationId":"","status":0,"headers":{},"contentType":""}`, w.Body.String())
}

// FuzzAnswer holds that no body of an upstream can change the answer around it.
func FuzzAnswer(f *testing.F) {
	f.Add("application/json", []byte(`{"a":1}`))
	f.Add("application/json", []byte(`1,"status":500`))
	f.Add("text/plain\"", []byte("\xff"))
	var answer *onedoorv1.InvokeResponse
	conn, _ := connect(f, &broker{invoke: func(context.Context, *onedoorv1.InvokeRequest) (*onedoorv1.InvokeResponse, error) {
		return answer, nil
	}})
	h := rest.NewHandler(conn, rest.Options{})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		answer = &onedoorv1.InvokeResponse{Status: 204, ContentType: contentType, Body: body}
		w := ask(h, post("/v1/invoke", "{}"))
		require.Equal(t, 200, w.Code)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &members))
		require.Equal(t, "204", string(members["status"]))
		if len(body) > 0 {
			require.Len(t, members, 5)
			requireBody(t, w.Body.Bytes(), body)
		}
	})
}
