package testenv

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Node gives the path of node and of the folder that holds the packages of
// tests/packages.txt, for a package that a test needs. Where they are missing the test
// is skipped; in CI it fails.
func Node(t testing.TB, module string) (node, modules string) {
	t.Helper()
	node, err := exec.LookPath("node")
	modules = filepath.Join(root(), ".node")
	if err == nil {
		_, err = os.Stat(filepath.Join(modules, "node_modules", module))
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("Node: not run (node, or %s in .node, is missing: run `make deps`)", module)
	}
	require.NoError(t, err)
	return node, modules
}

// root is the top of this checkout.
func root() string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "..", "..")
}

// script gives the path of a program in js.
func script(name string) string { return filepath.Join(root(), "tests", "testenv", "js", name) }

// OIDCClient is a client of an OIDCProvider, as that package takes it.
type OIDCClient struct {
	ID            string   `json:"client_id"`
	Secret        string   `json:"client_secret,omitempty"`
	RedirectURIs  []string `json:"redirect_uris"`
	Auth          string   `json:"token_endpoint_auth_method"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
}

// OIDCProvider is npm's oidc-provider: an OpenID provider that somebody else wrote.
type OIDCProvider struct {
	*Process
	// URL is its issuer, and CA the certificate to trust.
	URL, CA string
}

// NewOIDCProvider serves on loopback until the test ends.
func NewOIDCProvider(t testing.TB, clients ...OIDCClient) *OIDCProvider {
	t.Helper()
	node, modules := Node(t, "oidc-provider")
	certificate, ca := Certificate(t, "localhost")
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	keyFile, certFile := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), 0o600))
	for i := range clients {
		clients[i].ResponseTypes = []string{"code"}
		if clients[i].GrantTypes == nil {
			clients[i].GrantTypes = []string{"authorization_code", "refresh_token"}
		}
	}
	text, err := json.Marshal(clients)
	require.NoError(t, err)
	p, err := start(node, script("provider.mjs"), modules, keyFile, certFile, string(text))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Kill() })
	return &OIDCProvider{Process: p, URL: firstLine(p.Log(), "https://"), CA: ca}
}

// firstLine gives the first line with a prefix.
func firstLine(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
