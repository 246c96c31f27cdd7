package sidecar_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/sidecar"
)

func TestGuard(t *testing.T) {
	r := newRig(t, seen, func(o *sidecar.Options) { o.AllowOrigins = []string{"https://app.example"} })
	for name, tc := range map[string]struct {
		header []string
		reason string // empty: it comes in
	}{
		"loopback":                       {nil, ""},
		"localhost":                      {[]string{"Host", "localhost:1"}, ""},
		"IPv6":                           {[]string{"Host", "[::1]:80"}, ""},
		"another loopback address":       {[]string{"Host", "127.9.9.9"}, ""},
		"a foreign name":                 {[]string{"Host", "evil.example"}, "HOST_REFUSED"},
		"a name below localhost":         {[]string{"Host", "evil.localhost"}, "HOST_REFUSED"},
		"a name that looks like one":     {[]string{"Host", "127.0.0.1.evil.example"}, "HOST_REFUSED"},
		"localhost with a dot":           {[]string{"Host", "localhost."}, "HOST_REFUSED"},
		"an address in another form":     {[]string{"Host", "2130706433"}, "HOST_REFUSED"},
		"every address":                  {[]string{"Host", "0.0.0.0"}, "HOST_REFUSED"},
		"a name of a socket":             {[]string{"Host", "unix"}, "HOST_REFUSED"},
		"a page of loopback":             {[]string{"Origin", "http://localhost:6274"}, ""},
		"a page that is allowed":         {[]string{"Origin", "https://app.example"}, ""},
		"a page":                         {[]string{"Origin", "https://evil.example"}, "ORIGIN_REFUSED"},
		"the allowed one over http":      {[]string{"Origin", "http://app.example"}, "ORIGIN_REFUSED"},
		"a page below the allowed one":   {[]string{"Origin", "https://x.app.example"}, "ORIGIN_REFUSED"},
		"an opaque page":                 {[]string{"Origin", "null"}, "ORIGIN_REFUSED"},
		"a file":                         {[]string{"Origin", "file://"}, "ORIGIN_REFUSED"},
		"loopback as somebody's login":   {[]string{"Origin", "http://localhost@evil.example"}, "ORIGIN_REFUSED"},
		"a second origin":                {[]string{"Origin", "http://localhost", "Origin", "https://evil.example"}, "ORIGIN_REFUSED"},
		"an empty origin":                {[]string{"Origin", ""}, "ORIGIN_REFUSED"},
		"a picture of a page":            {[]string{"Sec-Fetch-Site", "cross-site"}, "ORIGIN_REFUSED"},
		"a picture of a neighbour":       {[]string{"Sec-Fetch-Site", "same-site"}, "ORIGIN_REFUSED"},
		"what a person types":            {[]string{"Sec-Fetch-Site", "none"}, ""},
		"an allowed page says both":      {[]string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}, ""},
		"rebinding with the right names": {[]string{"Host", "evil.example", "Origin", "http://localhost"}, "HOST_REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/tools", "/mcp", "/readyz", "/nothing"} {
				answer := r.do(t, http.MethodGet, path, nil, tc.header...)
				if tc.reason == "" {
					require.NotEqual(t, http.StatusForbidden, answer.StatusCode, answer.text)
					continue
				}
				require.Equal(t, http.StatusForbidden, answer.StatusCode, path)
				require.Equal(t, tc.reason, answer.reason(t))
			}
		})
	}
	t.Run("no host at all", func(t *testing.T) {
		all := r.raw(t, "GET /v1/tools HTTP/1.0\r\n\r\n")
		require.Len(t, all, 1)
		require.Equal(t, "HOST_REFUSED", all[0].reason(t))
	})
}
