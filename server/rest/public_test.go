package rest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/rest"
)

func TestPublic(t *testing.T) {
	ready := func(context.Context) error { return nil }
	fail := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	cases := map[string]struct {
		ready  func(context.Context) error
		method string
		path   string
		status int
		body   string
	}{
		"alive":                 {ready, "GET", "/healthz", 200, `{"status":"ok"}`},
		"alive, not ready":      {fail(errors.New("x")), "GET", "/healthz", 200, `{"status":"ok"}`},
		"ready":                 {ready, "GET", "/readyz", 200, `{"status":"ready"}`},
		"not ready":             {fail(fault.New(fault.StoreUnavailable, "the store cannot be reached", errors.New("password=x"))), "GET", "/readyz", 503, `{"code":14,"message":"the store cannot be reached","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"STORE_UNAVAILABLE","domain":"onedoor"}]}`},
		"not ready, no reason":  {fail(errors.New("password=x")), "GET", "/readyz", 503, `{"code":14,"message":"internal error","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INTERNAL","domain":"onedoor"}]}`},
		"the document":          {ready, "GET", "/openapi.json", 200, string(rest.OpenAPI())},
		"no API":                {ready, "GET", "/v1/task", 404, `{"code":5,"message":"no such path","details":[]}`},
		"nothing below a page":  {ready, "GET", "/healthz/", 404, `{"code":5,"message":"no such path","details":[]}`},
		"the root":              {ready, "GET", "/", 404, `{"code":5,"message":"no such path","details":[]}`},
		"POST":                  {ready, "POST", "/healthz", 405, `{"code":12,"message":"method not allowed","details":[]}`},
		"POST to the document":  {ready, "POST", "/openapi.json", 405, `{"code":12,"message":"method not allowed","details":[]}`},
		"OPTIONS of the unkown": {ready, "OPTIONS", "/x", 404, `{"code":5,"message":"no such path","details":[]}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			rest.Public(c.ready, nil, nil).ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.body, w.Body.String())
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			if c.status == 405 {
				require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
			}
		})
	}
}

func TestHEADHasNoBody(t *testing.T) {
	client, url := listen(t, rest.Public(func(context.Context) error { return nil }, nil, nil), false)
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		answer, err := client.Head(url + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, 200, answer.StatusCode)
		require.Positive(t, answer.ContentLength)
	}
}

func TestTheDocumentIsKeptByItsETag(t *testing.T) {
	h := rest.Public(func(context.Context) error { return nil }, nil, nil)
	first := httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	etag := first.Header().Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{64}"$`, etag)
	require.Equal(t, "public, max-age=300", first.Header().Get("Cache-Control"))

	again := httptest.NewRequest(http.MethodGet, "/openapi.json", nil)
	again.Header.Set("If-None-Match", etag)
	second := httptest.NewRecorder()
	h.ServeHTTP(second, again)
	require.Equal(t, 304, second.Code)
	require.Empty(t, second.Body.String())
}

// TestDocumentsAreMadeAnew for every request: a key that is gone is gone from here at
// once, though a cache may keep it for five minutes.
func TestDocumentsAreMadeAnew(t *testing.T) {
	text, failed := `{"keys":[1]}`, error(nil)
	h := rest.Public(func(context.Context) error { return nil }, map[string]func() ([]byte, error){
		"/.well-known/jwks.json": func() ([]byte, error) { return []byte(text), failed },
	}, nil)
	get := func(etag string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)
		r.Header.Set("If-None-Match", etag)
		h.ServeHTTP(w, r)
		return w
	}
	first := get("")
	require.Equal(t, 200, first.Code)
	require.Equal(t, text, first.Body.String())
	require.Equal(t, "public, max-age=300", first.Header().Get("Cache-Control"))
	require.Equal(t, "application/json", first.Header().Get("Content-Type"))
	require.Equal(t, 304, get(first.Header().Get("ETag")).Code)

	text = `{"keys":[2]}`
	second := get(first.Header().Get("ETag"))
	require.Equal(t, 200, second.Code)
	require.Equal(t, text, second.Body.String())

	failed = errors.New("password=x")
	third := get("")
	require.Equal(t, 503, third.Code)
	require.Equal(t, "no-store", third.Header().Get("Cache-Control"), "a failure is not kept")
	require.NotContains(t, third.Body.String(), "password")
}
