package testenv

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
)

// Callback is where providers send browsers back to, below a broker's connect.url.
const Callback = "/connect/callback"

// ConnectURL chooses where browsers will reach a broker: what a provider must know of it
// has to be known before the broker runs.
func ConnectURL(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return "https://localhost:" + port
}

// Connecting has a broker connect accounts at a URL that ConnectURL chose.
func Connecting(url string) func(*config.Config) {
	return func(c *config.Config) {
		c.Connect.URL = url
		c.Listeners.Public.Address = strings.Replace(url, "https://localhost", "127.0.0.1", 1)
	}
}

// SignInConfig describes an OpenID provider on loopback at which users sign in.
func SignInConfig(t testing.TB, url, ca, clientSecret string, workspaces ...string) config.Issuer {
	t.Helper()
	issuer := IssuerConfig(t, url, ca, workspaces...)
	issuer.Allow = []config.Range{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}
	file := filepath.Join(t.TempDir(), "client")
	require.NoError(t, os.WriteFile(file, []byte(clientSecret+"\n"), 0o600))
	issuer.SignIn = &config.SignIn{ClientID: Audience, ClientSecretFile: file, Auth: "basic"}
	return issuer
}

// OAuthSlots are the credentials of a manifest whose user connects an account at a
// provider on loopback; more is indented YAML that goes into oauth.
func OAuthSlots(authorize, token, ca string, more ...string) string {
	var b strings.Builder
	b.WriteString("\n  main:\n    owner: user\n    attach: bearer\n    oauth:\n      grant: authorization_code\n")
	b.WriteString("      authorization_endpoint: " + authorize + "\n      token_endpoint: " + token + "\n")
	b.WriteString("      client: {id: onedoor, auth: basic, secret: client}\n      network: {allow: [127.0.0.0/8]}\n      tls:\n        ca: |\n")
	for line := range strings.Lines(ca) {
		b.WriteString("          " + line)
	}
	for _, line := range more {
		b.WriteString("      " + line + "\n")
	}
	b.WriteString("  client: {owner: workspace, attach: token-endpoint}")
	return b.String()
}

// PutClient stores the client's secret of such a connector.
func (b *Broker) PutClient(t testing.TB, connector, secret string) {
	t.Helper()
	said := b.CLIWith(t, Operator, "", secret, "credential", "put", connector, "--workspace", "--slot", "client", "--from-file", "-")
	require.Zero(t, said.Code, said.Stderr)
}

// Connect makes a link for a user, as an operator does.
func (b *Broker) Connect(t testing.TB, connector, user string, more ...string) string {
	t.Helper()
	said := b.CLI(t, Operator, "", append([]string{"credential", "connect", connector, "--user", user}, more...)...)
	require.Zero(t, said.Code, said.Stderr)
	link, _, _ := strings.Cut(said.Stdout, "\n")
	return link
}
