package connector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

// oauthManifest has a user's account, and the workspace's secret of the client.
const oauthManifest = `
connector: crm
kind: http
origin: https://crm.example
credentials:
  main:
    owner: user
    attach: bearer
    oauth:
      grant: authorization_code
      authorization_endpoint: https://id.example/authorize?prompt=consent
      token_endpoint: https://id.example:8443/oauth/token
      issuer: https://id.example
      client: {id: onedoor, auth: basic, secret: client}
      scopes: [contacts.read, offline_access]
      parameters: {audience: "https://crm.example", resource: "urn:crm"}
      refresh_tokens: single-use
      network: {allow: [10.0.0.0/8]}
  client: {owner: workspace, attach: token-endpoint}
tools:
  - {name: get, severity: READ, method: GET, path: /get, resources: ["contact:*"]}
`

func TestParseOAuth(t *testing.T) {
	c, err := connector.Parse([]byte(oauthManifest))
	require.NoError(t, err)
	main, client := c.Slots["main"], c.Slots["client"]
	require.Equal(t, "authorization_code", main.Stores())
	require.Equal(t, "bearer", main.Kind)
	require.Equal(t, "token-endpoint", client.Stores())
	o := main.OAuth
	require.Equal(t, "https://id.example:8443/oauth/token", o.TokenEndpoint.String())
	require.Equal(t, "https://id.example/authorize?prompt=consent", o.AuthorizationEndpoint.String())
	require.Equal(t, "https://id.example", o.Issuer)
	require.Equal(t, "contacts.read offline_access", o.Scope())
	require.Equal(t, []connector.Parameter{{Name: "audience", Value: "https://crm.example"}, {Name: "resource", Value: "urn:crm"}}, o.Parameters)
	require.Equal(t, connector.ClientBasic, o.Auth)
	require.Equal(t, "client", o.SecretSlot)
	require.False(t, o.Reusable, "unless it is said, a refresh token is good once")
	require.Len(t, o.Egress.AllowRanges, 1)
	require.Empty(t, c.Egress.AllowRanges, "what the token endpoint may is no leave for the upstream")
}

func TestParseOAuthRefuses(t *testing.T) {
	grant := "grant: authorization_code"
	for name, k := range map[string]struct{ old, new, says string }{
		"another grant":                 {grant, "grant: password", "want one of [authorization_code client_credentials"},
		"no grant":                      {grant + "\n", "\n", "grant is missing"},
		"no token endpoint":             {"      token_endpoint: https://id.example:8443/oauth/token\n", "", "token_endpoint is missing"},
		"plain token endpoint":          {"token_endpoint: https://", "token_endpoint: http://", "want https"},
		"token endpoint with a user":    {"https://id.example:8443", "https://a:b@id.example", "want https"},
		"token endpoint by address":     {"https://id.example:8443", "https://10.0.0.1", "want https"},
		"token endpoint without a path": {"8443/oauth/token", "8443", "it has no path"},
		"another spelling":              {"https://id.example:8443", "https://ID.example:8443", "write it as https://id.example:8443/oauth/token"},
		"no authorization endpoint":     {"authorization_endpoint: https://id.example/authorize?prompt=consent", "", "authorization_endpoint is missing"},
		"no client":                     {"client: {id: onedoor, auth: basic, secret: client}", "", "client is missing"},
		"client without auth":           {"auth: basic, ", "", "auth is missing"},
		"client with another auth":      {"auth: basic", "auth: auto", "want one of"},
		"secret without auth":           {"auth: basic", "auth: none", "go together"},
		"auth without secret":           {", secret: client", "", "go together"},
		"secret in no slot":             {"secret: client", "secret: other", `there is no slot "other"`},
		"secret that is attached":       {"attach: token-endpoint", "attach: basic", "so it is {owner: workspace"},
		"secret of a user":              {"owner: workspace, attach: token-endpoint", "owner: user, attach: token-endpoint", "so it is {owner: workspace"},
		"scope with a space":            {"contacts.read,", `"contacts read",`, "without spaces"},
		"scope twice":                   {"contacts.read,", "offline_access,", "stands twice"},
		"own parameter":                 {"audience:", "refresh_token:", "the broker sets it"},
		"parameter with a line break":   {`"urn:crm"`, `"urn\nx"`, "printable ASCII"},
		"other refresh tokens":          {"single-use", "forever", "want single-use or reusable"},
		"public range":                  {"10.0.0.0/8", "8.8.8.0/24", "private"},
		"basic attachment":              {"attach: bearer", "attach: basic", "attached as bearer"},
		"client's secret as account":    {"attach: bearer", "attach: token-endpoint", "attached as bearer"},
		"client credentials, endpoint":  {grant, "grant: client_credentials", "only beside grant: authorization_code"},
		"unknown field":                 {grant, "response_type: token\n      " + grant, `no field "response_type"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(oauthManifest, k.old, k.new, 1)
			require.NotEqual(t, oauthManifest, text, "the case changes something")
			_, err := connector.Parse([]byte(text))
			require.ErrorContains(t, err, k.says)
		})
	}
}

// TestTokenEndpointsAreNoTools: what gives out tokens is not described as a tool beside
// the slot that uses it, in no spelling of its path that a template has.
func TestTokenEndpointsAreNoTools(t *testing.T) {
	near := strings.Replace(oauthManifest, "https://id.example:8443/oauth/token", "https://crm.example/oauth/token", 1)
	for name, k := range map[string]struct {
		path    string
		refused bool
	}{
		"itself": {"/oauth/token", true}, "an argument that could be it": {"/oauth/{x}", true},
		"another path": {"/oauth/tokens", false}, "below it": {"/oauth/token/{x}", false},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := ", arguments: {type: object, required: [x], properties: {x: {type: string}}}"
			if !strings.Contains(k.path, "{x}") {
				arguments = ""
			}
			tool := "method: POST, path: '" + k.path + "'" + arguments
			_, err := connector.Parse([]byte(strings.Replace(near, "method: GET, path: /get", tool, 1)))
			if k.refused {
				require.ErrorContains(t, err, "gives out the tokens of slot main")
				return
			}
			require.NoError(t, err)
			_, err = connector.Parse([]byte(strings.Replace(oauthManifest, "method: GET, path: /get", tool, 1)))
			require.NoError(t, err, "another origin's paths are its own")
		})
	}
}

func TestParseClientCredentials(t *testing.T) {
	main := `main: {owner: workspace, attach: {header: X-Token}, oauth: {grant: client_credentials, token_endpoint: "https://id.example/t", client: {id: a, auth: post}}}`
	manifest := func(slots string) string {
		before, rest, _ := strings.Cut(oauthManifest, "  main:\n")
		_, after, _ := strings.Cut(rest, "attach: token-endpoint}\n")
		return before + "  " + slots + "\n" + after
	}
	c, err := connector.Parse([]byte(manifest(main)))
	require.NoError(t, err)
	require.Equal(t, "client_credentials", c.Slots["main"].Stores())
	for name, k := range map[string]struct{ old, new, says string }{
		"no secret":          {"auth: post", "auth: none", "needs auth"},
		"secret elsewhere":   {"auth: post", "auth: post, secret: other", "the slot itself holds the secret"},
		"unused secret slot": {"main:", "idle: {owner: workspace, attach: token-endpoint}\n  main:", "no oauth client names it"},
		"refresh tokens":     {"grant:", "refresh_tokens: reusable, grant:", "only beside grant: authorization_code"},
		"an issuer":          {"grant:", `issuer: "https://id.example", grant:`, "only beside grant: authorization_code"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connector.Parse([]byte(manifest(strings.Replace(main, k.old, k.new, 1))))
			require.ErrorContains(t, err, k.says)
		})
	}
}
