package proxy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// startMitmproxy runs one that wants to know who comes, and tells all that it sees. It
// makes its own authority in the folder that it is given.
func startMitmproxy(t *testing.T, upstreamCA string) (port, ca string, said *output) {
	t.Helper()
	venv := os.Getenv("ONEDOOR_MITMPROXY")
	if venv == "" {
		venv = filepath.Join("..", "..", ".mitmproxy")
	}
	program, err := filepath.Abs(filepath.Join(venv, "bin", "mitmdump"))
	require.NoError(t, err)
	require.FileExists(t, program, "mitmproxy is not installed: run `make deps`, or set ONEDOOR_MITMPROXY")
	dir := t.TempDir()
	port = freePort(t)
	said = run(t, exec.Command(program, "--listen-host", "127.0.0.1", "--listen-port", port, "--flow-detail", "4",
		"--set", "confdir="+dir, "--set", "proxyauth="+login,
		"--set", "ssl_verify_upstream_trusted_ca="+write(t, filepath.Join(dir, "upstream.pem"), upstreamCA, 0o600)), port)
	return port, filepath.Join(dir, "mitmproxy-ca-cert.pem"), said
}

// mitmproxy reads what goes to a connector that the operator has named, and of another
// one only that somebody called.
func TestMitmproxy(t *testing.T) {
	origin, ca := upstream(t)
	port, inspector, said := startMitmproxy(t, ca)
	b := proxied(t, config.Proxy{
		URL: "http://127.0.0.1:" + port, Inspects: &config.Inspects{CAFile: inspector, Connectors: []string{"default/things"}},
	})
	connect(t, b, "things", origin, ca)
	connect(t, b, "things2", origin, ca)
	putLogin(t, b, "broker:another")
	_, err := call(t, b, "things")
	require.ErrorIs(t, err, client.EgressDenied)
	require.ErrorContains(t, err, "refuses how the broker authenticates")
	putLogin(t, b, login)
	_, err = call(t, b, "things2")
	require.ErrorIs(t, err, client.UpstreamUnavailable)
	require.NotContains(t, said.String(), canary)
	works(t, b, "things")
	testenv.Eventually(t, "the credential, which it may see", func() bool { return strings.Contains(said.String(), canary) })
}
