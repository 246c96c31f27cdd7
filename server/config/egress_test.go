package config_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/tests/testenv"
)

// proxied is the good configuration with proxies, in flow style, and what is to be reached
// without them.
func proxied(noProxy string, proxies ...string) string {
	return good + "egress: {no_proxy: [" + noProxy + "], proxies: [" + strings.Join(proxies, ", ") + "]}\n"
}

const plainProxy = `{name: casb, url: "http://10.0.0.1:3128", for: ["*"], allow: [10.0.0.0/8]}`

func TestProxyFaults(t *testing.T) {
	change := func(from, to string) string {
		require.Contains(t, plainProxy, from)
		return proxied("", strings.Replace(plainProxy, from, to, 1))
	}
	_, err := config.Parse([]byte(proxied("a.example, .b.example, \"https://c.example:8443\"", plainProxy,
		`{name: two, url: "https://p.example:1", for: [default/crm, default/*, issuers], auth: basic, workspace: default, send: name,
		  ca_file: /ca, client_cert_file: /c, client_key_file: /k, inspects: {ca_file: /i, connectors: [default/crm]}}`)))
	require.NoError(t, err, "checking opens no file")
	for name, c := range map[string]struct{ text, want string }{
		"no name":                     {change("name: casb, ", ""), "egress.proxies[0].name"},
		"name in capitals":            {change("casb", "CASB"), "egress.proxies[0].name"},
		"name too long":               {change("casb", strings.Repeat("a", 41)), "egress.proxies[0].name"},
		"the same name twice":         {proxied("", plainProxy, strings.Replace(plainProxy, `"*"`, "default/*", 1)), "egress.proxies[1].name"},
		"no url":                      {change(`url: "http://10.0.0.1:3128", `, ""), "exactly one of url and url_from_environment"},
		"two urls":                    {change("for:", "url_from_environment: true, for:"), "exactly one of url and url_from_environment"},
		"a password in it":            {change("10.0.0.1", "u:hunter2@10.0.0.1"), "egress.proxies[0].url"},
		"SOCKS":                       {change("http:", "socks5:"), "egress.proxies[0].url"},
		"for nobody":                  {change(`for: ["*"], `, ""), "egress.proxies[0].for"},
		"for half a pattern":          {change(`["*"]`, "[default/c*]"), "egress.proxies[0].for[0]"},
		"for another workspace":       {change(`["*"]`, "[defualt/*]"), `egress.proxies[0].for[0]: "defualt/*": "defualt" is not one of workspaces`},
		"two for all":                 {proxied("", plainProxy, strings.Replace(plainProxy, "casb", "two", 1)), "goes through casb already"},
		"send what":                   {change("for:", "send: both, for:"), "egress.proxies[0].send"},
		"auth how":                    {change("for:", "auth: ntlm, workspace: default, for:"), "egress.proxies[0].auth"},
		"whose secret":                {change("for:", "auth: basic, for:"), "egress.proxies[0].workspace"},
		"secret of another workspace": {change("for:", "auth: basic, workspace: defualt, for:"), "egress.proxies[0].workspace"},
		"a secret of nothing":         {change("for:", "workspace: default, for:"), "belongs to auth"},
		"the secret itself":           {change("for:", "password: hunter2, for:"), "password"},
		"CA without TLS":              {change("for:", "ca_file: /c, for:"), "belong to an https:// url"},
		"certificate without TLS":     {change("for:", "client_cert_file: /c, client_key_file: /k, for:"), "belong to an https:// url"},
		"certificate without key":     {change("http:", "https:")[:0] + proxied("", strings.Replace(strings.Replace(plainProxy, "http:", "https:", 1), "for:", "client_cert_file: /c, for:", 1)), "go together"},
		"a range that is none":        {change("10.0.0.0/8", "10.1.2.3/8"), "10.1.2.3/8"},
		"inspects without CA":         {change("for:", "inspects: {connectors: [default/crm]}, for:"), "egress.proxies[0].inspects.ca_file"},
		"inspects nobody":             {change("for:", "inspects: {ca_file: /c}, for:"), "egress.proxies[0].inspects.connectors"},
		"inspects all":                {change("for:", `inspects: {ca_file: /c, connectors: ["*"]}, for:`), "want WORKSPACE/CONNECTOR"},
		"inspects a workspace":        {change("for:", `inspects: {ca_file: /c, connectors: [default/*]}, for:`), "want WORKSPACE/CONNECTOR"},
		"inspects issuers":            {change("for:", `inspects: {ca_file: /c, connectors: [issuers]}, for:`), "want WORKSPACE/CONNECTOR"},
		"inspects what goes elsewhere": {
			proxied("", strings.Replace(plainProxy, "for:", "inspects: {ca_file: /c, connectors: [default/crm]}, for:", 1), `{name: two, url: "http://p.example:1", for: [default/crm]}`),
			"does not go through it",
		},
		"no_proxy is an address":    {proxied("10.0.0.1", plainProxy), "egress.no_proxy[0]"},
		"no_proxy is everything":    {proxied(`a.example, "*"`, plainProxy), "egress.no_proxy[1]"},
		"no_proxy with a password":  {proxied(`"https://u:hunter2@a.example"`, plainProxy), "egress.no_proxy[0]"},
		"unknown field of the part": {good + "egress: {use_environment: true}\n", "use_environment"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte(c.text))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func routing(t *testing.T, text string) ([]credential.Proxy, error) {
	t.Helper()
	c, err := config.Parse([]byte(text))
	require.NoError(t, err)
	r, proxies, err := c.EgressRouting()
	require.Equal(t, err == nil, r != nil)
	return proxies, err
}

func TestProxyFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	text := proxied("", `{name: casb, url: "https://p.example:1", for: ["*"], ca_file: `+file("ca")+", client_cert_file: "+file("cert")+
		", client_key_file: "+file("key")+", auth: bearer, workspace: default, inspects: {ca_file: "+file("casb")+", connectors: [default/crm]}}")
	pair, ca := testenv.Certificate(t, "p.example")
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	for _, step := range []struct{ name, content, want string }{
		{"ca", ca, "egress.proxies[0].ca_file"},
		{"casb", ca, "egress.proxies[0].inspects.ca_file"},
		{"cert", string(certificate), "egress.proxies[0].client_cert_file"},
		{"key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), "egress.proxies[0].client_cert_file"},
	} {
		_, err := routing(t, text)
		require.ErrorContains(t, err, step.want)
		require.NoError(t, os.WriteFile(file(step.name), []byte("nothing"), 0o600))
		_, err = routing(t, text)
		require.ErrorContains(t, err, step.want)
		require.NoError(t, os.WriteFile(file(step.name), []byte(step.content), 0o600))
	}
	proxies, err := routing(t, text)
	require.NoError(t, err)
	require.Equal(t, []credential.Proxy{{Workspace: "default", Name: "casb", URL: "https://p.example:1", Kind: "bearer"}}, proxies)
	_, err = tls.LoadX509KeyPair(file("cert"), file("key"))
	require.NoError(t, err)
}

func TestProxyFromTheEnvironment(t *testing.T) {
	const text = `{name: corp, url_from_environment: true, for: ["*"], auth: basic, workspace: default}`
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "")
	}
	t.Setenv("HTTP_PROXY", "http://other.example:1")
	t.Setenv("ALL_PROXY", "http://other.example:1")
	_, err := routing(t, proxied("", text))
	require.ErrorContains(t, err, "HTTPS_PROXY is not set")
	t.Setenv("https_proxy", "http://lower.example:1")
	for value, want := range map[string]string{"": "http://lower.example:1", "http://P.example:3128": "http://p.example:3128"} {
		t.Setenv("HTTPS_PROXY", value)
		proxies, err := routing(t, proxied("", text))
		require.NoError(t, err)
		require.Equal(t, want, proxies[0].URL)
	}
	t.Setenv("HTTPS_PROXY", "http://u:hunter2@p.example:3128")
	_, err = routing(t, proxied("", text))
	require.ErrorContains(t, err, "a secret is put with auth")
	require.NotContains(t, err.Error(), "hunter2")
	t.Setenv("HTTPS_PROXY", "http://p.example:3128")
	_, err = routing(t, proxied("", strings.Replace(text, "for:", "ca_file: /c, for:", 1)))
	require.ErrorContains(t, err, "belong to an https:// proxy")
	t.Setenv("NO_PROXY", "*")
	_, err = routing(t, proxied("", text))
	require.ErrorContains(t, err, "NO_PROXY")
	_, err = routing(t, proxied("", plainProxy))
	require.NoError(t, err, "it is not looked at unless asked for")
}
