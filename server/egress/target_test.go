package egress_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

func TestDoRefusesBeforeSending(t *testing.T) {
	var hits atomic.Int64
	b := upstream(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	for _, c := range []struct {
		name string
		edit func(*egress.Request)
	}{
		{"no origin", func(r *egress.Request) { r.Origin = egress.Origin{} }},
		{"no path", func(r *egress.Request) { r.Path = "" }},
		{"relative path", func(r *egress.Request) { r.Path = "a" }},
		{"another host by path", func(r *egress.Request) { r.Path = "@evil.test/" }},
		{"another port by path", func(r *egress.Request) { r.Path = ":1/" }},
		{"double slash", func(r *egress.Request) { r.Path = "//evil.test/" }},
		{"backslash", func(r *egress.Request) { r.Path = `/a\b` }},
		{"query in the path", func(r *egress.Request) { r.Path = "/a?b" }},
		{"fragment in the path", func(r *egress.Request) { r.Path = "/a#b" }},
		{"fragment in the query", func(r *egress.Request) { r.Query = "a#b" }},
		{"space", func(r *egress.Request) { r.Path = "/a b" }},
		{"line break in the path", func(r *egress.Request) { r.Path = "/a\r\nHost: evil" }},
		{"line break in the query", func(r *egress.Request) { r.Query = "a\nb" }},
		{"NUL", func(r *egress.Request) { r.Path = "/a\x00" }},
		{"not ASCII", func(r *egress.Request) { r.Path = "/é" }},
		{"broken escape", func(r *egress.Request) { r.Path = "/%zz" }},
		{"unescaped quote", func(r *egress.Request) { r.Path = `/"` }},
		{"dot segment", func(r *egress.Request) { r.Path = "/a/../b" }},
		{"escaped dot segment", func(r *egress.Request) { r.Path = "/a/%2e%2E/b" }},
		{"dot segment behind an escaped slash", func(r *egress.Request) { r.Path = "/a%2f..%2fb" }},
		{"dot segment behind an escaped backslash", func(r *egress.Request) { r.Path = "/a%5c..%5Cb" }},
		{"dot segment with a parameter", func(r *egress.Request) { r.Path = "/a/..;x/b" }},
		{"single dot", func(r *egress.Request) { r.Path = "/a/." }},
		{"CONNECT", func(r *egress.Request) { r.Method = "CONNECT" }},
		{"TRACE", func(r *egress.Request) { r.Method = "TRACE" }},
		{"no method", func(r *egress.Request) { r.Method = "" }},
		{"lower-case method", func(r *egress.Request) { r.Method = "get" }},
		{"method with a line break", func(r *egress.Request) { r.Method = "GET / HTTP/1.1\r\nX: " }},
		{"line break in a header", func(r *egress.Request) { r.Header = http.Header{"X-A": {"a\r\nX-B: canary"}} }},
		{"NUL in a header", func(r *egress.Request) { r.Header = http.Header{"X-A": {"a\x00"}} }},
		{"header name with a colon", func(r *egress.Request) { r.Header = http.Header{"X-A: canary": {"a"}} }},
		{"header without a name", func(r *egress.Request) { r.Header = http.Header{"": {"a"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := b.get("/path")
			c.edit(req)
			b.refuse(t, req, egress.Denied, false)
		})
	}
	require.Zero(t, hits.Load())
}

// What is accepted goes over the wire as it was judged, to where it was judged.
func FuzzTarget(f *testing.F) {
	for _, path := range []string{"/a/b", "/%2e%2e/", "//evil.test/", "/a;x/..;y", "/@evil.test", "/:80", `/\evil`, "/%252e", "/a%2Fb", "/?", "/#"} {
		f.Add(path, "q=1")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		u, err := egress.Target(&egress.Request{Origin: origin(t, "https://crm.test:8443"), Path: path, Query: query})
		if err != nil {
			return
		}
		want := path
		if query != "" {
			want += "?" + query
		}
		require.Equal(t, want, u.RequestURI())
		require.Equal(t, "crm.test:8443", u.Host)
		require.Nil(t, u.User)
		require.NotContains(t, strings.Split(u.Path, "/"), "..")
	})
}
