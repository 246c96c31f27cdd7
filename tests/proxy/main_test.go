// Package proxy_test has brokers go through proxies that are not ours: squid, as a
// company's proxy that wants to know who comes, and mitmproxy, as one that inspects TLS.
package proxy_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const (
	bearer = "{main: {owner: user, attach: bearer}}"
	canary = "canary-7f1d9c2be4a65830fa"
	login  = "broker:proxy-canary-3e9a51c7b0d2"
)

// folder is one that a proxy can read which has given up being root.
func folder(t *testing.T) string {
	t.Helper()
	dir := testenv.ShortDir(t)
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// writePair writes a certificate and its key.
func writePair(t *testing.T, dir, name string, pair tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return write(t, filepath.Join(dir, name+".pem"), cert, 0o644), write(t, filepath.Join(dir, name+".key"), key, 0o644)
}

// freePort is one on loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// output collects what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run runs a proxy until the test ends, and returns once it listens on all its ports.
func run(t *testing.T, command *exec.Cmd, ports ...string) *output {
	t.Helper()
	said := &output{}
	command.Stdout, command.Stderr = said, said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(command.Path), said)
		}
	})
	for _, port := range ports {
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				return false
			}
			return c.Close() == nil
		}, time.Minute, 20*time.Millisecond, "nobody listens on port %s", port)
	}
	return said
}

// proxied is a broker that has everything go through one proxy on loopback.
func proxied(t *testing.T, p config.Proxy, env ...string) *testenv.Broker {
	t.Helper()
	p.Name, p.For, p.Allow = "casb", []string{"*"}, []config.Range{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}
	p.Auth, p.Workspace = "basic", "default"
	if p.Send == "" {
		p.Send = "address"
	}
	site := testenv.NewSite(t, "", 0)
	site.Env = env
	return site.Start(t, func(c *config.Config) { c.Egress.Proxies = []config.Proxy{p} })
}

func putLogin(t *testing.T, b *testenv.Broker, secret string) {
	t.Helper()
	said := b.CLIWith(t, testenv.Operator, "", secret, "credential", "put", "proxy/casb", "--workspace", "--from-file", "-")
	require.Zero(t, said.Code, said.Stderr)
}

// upstream is one that says in which protocol it was asked, and with what.
func upstream(t *testing.T) (origin, ca string) {
	t.Helper()
	pair, ca := testenv.Certificate(t, "localhost")
	return testenv.ServeTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(r.Proto))
			for name := range r.Header {
				_, _ = w.Write([]byte(" " + name))
			}
		})), ca
}

// connect applies a connector and stores alice's credential for it.
func connect(t *testing.T, b *testenv.Broker, name, origin, ca string) {
	t.Helper()
	b.Apply(t, testenv.Manifest(name, origin, ca, bearer, testenv.Things))
	b.Put(t, name, "alice", canary)
}

func call(t *testing.T, b *testenv.Broker, connector string) (*client.Response, error) {
	t.Helper()
	task := b.Mint(t, nil, connector+": things.get READ thing:*")
	return b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), connector, "things.get", map[string]string{"id": "1"})
}

// works: the call came to the upstream, over HTTP/2, and without what was for the proxy.
func works(t *testing.T, b *testenv.Broker, connector string) {
	t.Helper()
	answer, err := call(t, b, connector)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(answer.Body), "HTTP/2.0 "), string(answer.Body))
	require.Contains(t, string(answer.Body), "Authorization")
	require.NotContains(t, string(answer.Body), "Proxy-")
}
