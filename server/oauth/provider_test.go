package oauth_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// nodeProvider starts the npm package oidc-provider, which knows two clients by their
// keys: RS256 and ES256.
func nodeProvider(t *testing.T) *testenv.Upstream {
	t.Helper()
	node, err := exec.LookPath("node")
	modules, absolute := filepath.Abs("../../.node/node_modules")
	require.NoError(t, absolute)
	if err == nil {
		_, err = os.Stat(filepath.Join(modules, "oidc-provider"))
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("Node: not run (node, or a package in .node, is missing: run `make deps`)")
	}
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
	script, err := os.ReadFile("testdata/provider.mjs")
	require.NoError(t, err)
	certificate, ca := testenv.Certificate(t, "localhost")
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: theKeys().rsa.Public(), KeyID: "r", Use: "sig", Algorithm: "RS256"}, {Key: theKeys().p256.Public(), KeyID: "e", Use: "sig", Algorithm: "ES256"},
	}})
	require.NoError(t, err)
	for name, text := range map[string][]byte{
		"provider.mjs": script, "jwks.json": jwks,
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		"key.pem":  []byte(pkcs8(t, certificate.PrivateKey)),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	process := exec.CommandContext(t.Context(), node, "provider.mjs", "cert.pem", "key.pem", "jwks.json")
	process.Dir, process.WaitDelay = dir, 10*time.Second
	input, err := process.StdinPipe()
	require.NoError(t, err)
	output, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() { _ = input.Close(); _ = process.Wait() })
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if port, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return &testenv.Upstream{Origin: "https://localhost:" + port, CA: ca}
		}
	}
	t.Fatal("the provider did not start")
	return nil
}

// TestARealProviderKnowsAClientByItsKey, with nothing of ours in it.
func TestARealProviderKnowsAClientByItsKey(t *testing.T) {
	at := nodeProvider(t)
	k := theKeys()
	for name, k := range map[string]struct {
		client, key string
		code        string // empty: a token
	}{
		"RSA":            {"id: RS256, algorithm: RS256, key_id: r", pkcs1(k.rsa), ""},
		"EC":             {"id: ES256, algorithm: ES256, key_id: e", sec1(t, k.p256), ""},
		"for the issuer": {"id: ES256, algorithm: ES256, audience: \"" + at.Origin + "\"", sec1(t, k.p256), ""},
		"another key":    {"id: RS256, algorithm: RS256, key_id: r", pkcs1(otherKey(t)), "invalid_client"},
		"another's key":  {"id: RS256, algorithm: ES256, key_id: e", sec1(t, k.p256), "invalid_client"},
		"for another":    {"id: ES256, algorithm: ES256, audience: https://other.example", sec1(t, k.p256), "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			slot := slotOf(t, at, "oauth: {grant: client_credentials, scopes: [read], token_endpoint: {{at}}/token, client: {auth: private_key_jwt, "+k.client+"}, {{tls}}}")
			token, err := newClient(t, time.Now).Ask(t.Context(), oauth.Request{
				Workspace: "default", Connector: "things", OAuth: slot.OAuth, GrantType: "client_credentials", ClientSecret: vault.NewSecret([]byte(k.key)),
			})
			if k.code == "" {
				require.NoError(t, err)
				require.NotEmpty(t, token.Access.Reveal())
				require.Positive(t, token.Life)
				return
			}
			var e *oauth.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, k.code, e.Code)
		})
	}
}
