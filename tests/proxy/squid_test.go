package proxy_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// squid is one with a port in the clear and one in TLS, which wants client certificates
// of clients. On both it wants to know who comes, and connects to no port of forbidden.
type squid struct {
	plain, secure string
	ca            string // of its own certificate
	log           string
}

func startSquid(t *testing.T, clients *testenv.ClientCA, forbidden string) *squid {
	t.Helper()
	program, err := exec.LookPath("squid")
	if err != nil {
		program = "/usr/sbin/squid"
	}
	require.FileExists(t, program, "squid is not installed: run `make deps`")
	dir := folder(t)
	pair, ca := testenv.Certificate(t, "localhost")
	cert, key := writePair(t, dir, "squid", pair)
	clientCA := write(t, filepath.Join(dir, "clients.pem"), clients.PEM(), 0o644)
	user, password, _ := strings.Cut(login, ":")
	helper := write(t, filepath.Join(dir, "helper.sh"), "#!/bin/sh\nwhile read -r line; do\n  if [ \"$line\" = '"+user+" "+password+"' ]; then echo OK; else echo ERR; fi\ndone\n", 0o755)
	s := &squid{plain: freePort(t), secure: freePort(t), ca: write(t, filepath.Join(dir, "ca.pem"), ca, 0o644), log: filepath.Join(dir, "access.log")}
	conf := write(t, filepath.Join(dir, "squid.conf"), fmt.Sprintf(`http_port 127.0.0.1:%s
https_port 127.0.0.1:%s tls-cert=%s tls-key=%s clientca=%s
auth_param basic program %s
auth_param basic realm canary
acl known proxy_auth REQUIRED
acl CONNECT method CONNECT
acl forbidden port %s
http_access deny forbidden
http_access allow CONNECT known
http_access deny all
cache deny all
memory_cache_shared off
pinger_enable off
netdb_filename none
visible_hostname localhost
buffered_logs off
access_log stdio:%s
cache_log stdio:/dev/stderr
pid_filename none
coredump_dir %s
shutdown_lifetime 0 seconds
`, s.plain, s.secure, cert, key, clientCA, helper, forbidden, s.log, dir), 0o644)
	run(t, exec.Command(program, "-N", "-d", "1", "-f", conf), s.plain, s.secure)
	return s
}

// asked gives what squid has written of the requests that were made.
func (s *squid) asked(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.log)
	require.NoError(t, err)
	return string(text)
}

func portOf(t *testing.T, origin string) string {
	t.Helper()
	u, err := url.Parse(origin)
	require.NoError(t, err)
	return u.Port()
}

// squid lets in who is known to it, and forbids what it likes; the broker tells both from
// a proxy that is down.
func TestSquid(t *testing.T) {
	forbidden, forbiddenCA := upstream(t)
	clients := testenv.NewClientCA(t)
	s := startSquid(t, clients, portOf(t, forbidden))
	both := write(t, filepath.Join(t.TempDir(), "client.pem"), clients.Issue(t, "broker"), 0o600) // the chain and its key
	for name, p := range map[string]config.Proxy{
		"in the clear":     {URL: "http://127.0.0.1:" + s.plain},
		"in TLS, by name":  {URL: "https://localhost:" + s.secure, CAFile: s.ca, ClientCertFile: both, ClientKeyFile: both, Send: "name"},
		"in TLS, pinned":   {URL: "https://localhost:" + s.secure, CAFile: s.ca, ClientCertFile: both, ClientKeyFile: both},
		"its URL from env": {URLFromEnvironment: true},
	} {
		t.Run(name, func(t *testing.T) {
			origin, ca := upstream(t) // one's own, by whose port its lines in squid's log are known
			b := proxied(t, p, "HTTPS_PROXY=http://127.0.0.1:"+s.plain, "NO_PROXY=elsewhere.test")
			connect(t, b, "things", origin, ca)
			connect(t, b, "forbidden", forbidden, forbiddenCA)
			_, err := call(t, b, "things")
			require.ErrorIs(t, err, client.EgressDenied, "no secret is stored")
			putLogin(t, b, "broker:proxy-canary-another")
			_, err = call(t, b, "things")
			require.ErrorIs(t, err, client.EgressDenied)
			require.ErrorContains(t, err, "refuses how the broker authenticates")
			putLogin(t, b, login)
			works(t, b, "things")
			works(t, b, "things")
			_, err = call(t, b, "forbidden")
			require.ErrorIs(t, err, client.EgressDenied)
			require.ErrorContains(t, err, "refuses to connect")
			require.NoError(t, b.Stop()) // squid writes of a tunnel when it ends
			host := "127.0.0.1:"
			if p.Send == "name" {
				host = "localhost:"
			}
			tunnel := regexp.MustCompile(`TCP_TUNNEL/200 \d+ CONNECT ` + regexp.QuoteMeta(host+portOf(t, origin)) + ` broker `)
			testenv.Eventually(t, "the tunnel in squid's log", func() bool { return tunnel.MatchString(s.asked(t)) })
			require.NotContains(t, b.Log(), "canary")
		})
	}
	t.Run("without the client certificate", func(t *testing.T) {
		origin, ca := upstream(t)
		b := proxied(t, config.Proxy{URL: "https://localhost:" + s.secure, CAFile: s.ca})
		connect(t, b, "things", origin, ca)
		putLogin(t, b, login)
		_, err := call(t, b, "things")
		require.ErrorIs(t, err, client.UpstreamUnavailable)
	})
}
