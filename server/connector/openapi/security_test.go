package openapi_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
)

// TestSecuritySchemes: what a manifest can attach is there, and what a person has to know
// or do about it stands in one line; what it cannot attach is told.
func TestSecuritySchemes(t *testing.T) {
	for name, tc := range map[string]struct{ scheme, manifest, told string }{
		"a client certificate": {`{"type":"mutualTLS"}`, "  main:\n    owner: workspace\n    attach: certificate\n",
			"review: credential slot main: a client certificate that all users share: put the chain and its key, as PEM"},
		"OpenID Connect": {`{"type":"openIdConnect","openIdConnectUrl":"https://login.example/.well-known/openid-configuration"}`, "  main:\n    owner: user\n    attach: bearer\n",
			"review: credential slot main: each user's own; if all share one, make it owner: workspace; the document names OpenID Connect: to have tokens fetched and refreshed, add oauth by hand"},
		"digest":      {`{"type":"http","scheme":"digest"}`, "", `not mapped: security s: the scheme s: HTTP authentication "digest" cannot be attached`},
		"another":     {`{"type":"odd"}`, "", `not mapped: security s: the scheme s: the type "odd" is not known`},
		"of no type":  {`{}`, "", `not mapped: security s: the scheme s: the type "" is not known`},
		"a cookie":    {`{"type":"apiKey","in":"cookie","name":"s"}`, "", "not mapped: security s: the scheme s: a key in a cookie cannot be attached"},
		"in the form": {`{"type":"apiKey","in":"formData","name":"s"}`, "", "not mapped: security s: the scheme s: a key in a formData cannot be attached"},
	} {
		for version, document := range map[string]string{
			"2.0": `{"swagger":"2.0","host":"a.example","schemes":["https"],"security":[{"s":[]}],"paths":{"/a":{"get":{"operationId":"a"}}},"securityDefinitions":{"s":SCHEME}}`,
			"3.0": `{"openapi":"3.0.3","servers":[{"url":"https://a.example"}],"security":[{"s":[]}],"paths":{"/a":{"get":{"operationId":"a"}}},"components":{"securitySchemes":{"s":SCHEME}}}`,
			"3.1": `{"openapi":"3.1.0","servers":[{"url":"https://a.example"}],"security":[{"s":[]}],"paths":{"/a":{"get":{"operationId":"a"}}},"components":{"securitySchemes":{"s":SCHEME}}}`,
		} {
			t.Run(name+" "+version, func(t *testing.T) {
				r, err := openapi.Import(t.Context(), []byte(strings.Replace(document, "SCHEME", tc.scheme, 1)), openapi.Options{Name: "a"})
				require.NoError(t, err)
				_, err = connector.Parse([]byte(r.Manifest))
				require.NoError(t, err)
				require.Contains(t, told(r.Findings), tc.told)
				require.Contains(t, r.Manifest, tc.manifest)
				if tc.manifest == "" {
					require.NotContains(t, r.Manifest, "credentials:")
					require.Contains(t, told(r.Findings), "review: credentials: none of the document's can be attached; add the section by hand")
				}
			})
		}
	}
}
