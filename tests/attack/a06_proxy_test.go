package attack_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// through has everything go through a proxy on loopback; edit may change it.
func through(address string, edit func(*config.Egress)) func(*config.Config) {
	return func(c *config.Config) {
		loopback := config.Range{Prefix: netip.MustParsePrefix("127.0.0.0/8")}
		c.Egress.Proxies = []config.Proxy{{
			Name: "casb", URL: "http://" + address, For: []string{"*"}, Send: "address", Allow: []config.Range{loopback},
		}}
		if edit != nil {
			edit(&c.Egress)
		}
	}
}

// getOne calls things.get of a connector as alice's agent would.
func getOne(t *testing.T, b *testenv.Broker, connector string) (*client.Response, error) {
	t.Helper()
	task := b.Mint(t, nil, connector+": things.get READ thing:*")
	return b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), connector, "things.get", map[string]string{"id": "1"})
}

// port is what stands behind the host of an origin.
func port(t *testing.T, origin string) string {
	t.Helper()
	u, err := url.Parse(origin)
	require.NoError(t, err)
	return u.Port()
}

// A name that leads to an address which the connector may not reach is refused before the
// proxy hears of it, whether it would be told the address or the name. To be named in
// no_proxy changes the way, and not what may be reached.
func TestAttack06_JudgedBeforeTheProxy(t *testing.T) {
	proxy := testenv.NewForward(t, testenv.ForwardOptions{})
	for name, edit := range map[string]func(*config.Egress){
		"address":  nil,
		"name":     func(e *config.Egress) { e.Proxies[0].Send = "name" },
		"no_proxy": func(e *config.Egress) { e.NoProxy = []string{"localhost"} },
	} {
		t.Run(name, func(t *testing.T) {
			b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, through(proxy.Addr, edit))
			b.Apply(t, strings.Replace(upstream.Manifest("inward", bearer, testenv.Things), "network: {allow: [127.0.0.0/8]}\n", "", 1))
			b.Put(t, "inward", "alice", canary)
			_, err := getOne(t, b, "inward")
			require.ErrorIs(t, err, client.EgressDenied)
			require.Empty(t, proxy.Asked())
			require.Empty(t, upstream.Wire())
		})
	}
}

// The proxy is asked for the address that was judged, so that it has no name to resolve
// anew; and it is told the name only where the configuration trusts it to.
func TestAttack06_ProxyReceivesTheJudgedAddress(t *testing.T) {
	for send, host := range map[string]string{"address": "127.0.0.1", "name": "localhost"} {
		t.Run(send, func(t *testing.T) {
			proxy := testenv.NewForward(t, testenv.ForwardOptions{})
			b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, through(proxy.Addr, func(e *config.Egress) { e.Proxies[0].Send = send }))
			for range 2 {
				answer, err := getOne(t, b, "things")
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, answer.Status)
			}
			at := host + ":" + port(t, upstream.Origin)
			require.NotEmpty(t, proxy.Asked())
			for _, head := range proxy.Asked() {
				require.Equal(t, "CONNECT "+at+" HTTP/1.1\r\nHost: "+at+"\r\n\r\n", head)
			}
		})
	}
}

// What the environment says of proxies is nobody's decision: neither does anything go to
// the one that it names, nor around the one that is configured. (Go's own net/http, were it
// to ask, spares localhost: server/egress has its tests run in such an environment too.)
func TestAttack06_EnvironmentIsIgnored(t *testing.T) {
	trap, proxy := testenv.NewForward(t, testenv.ForwardOptions{}), testenv.NewForward(t, testenv.ForwardOptions{})
	for name, edit := range map[string]func(*config.Config){
		"no proxy":              func(*config.Config) {},
		"a proxy":               through(proxy.Addr, nil),
		"its NO_PROXY, unasked": through(proxy.Addr, func(e *config.Egress) { e.NoProxy = []string{"elsewhere.test"} }),
	} {
		t.Run(name, func(t *testing.T) {
			before := len(proxy.Asked())
			upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			site := testenv.NewSite(t, "", 0)
			for _, variable := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "PROXY"} {
				site.Env = append(site.Env, variable+"=http://"+trap.Addr, strings.ToLower(variable)+"=http://"+trap.Addr)
			}
			if name != "no proxy" {
				site.Env = append(site.Env, "NO_PROXY=*,localhost,127.0.0.1", "no_proxy=*,localhost,127.0.0.1")
			}
			b := site.Start(t, edit)
			b.Apply(t, upstream.Manifest("things", bearer, testenv.Things))
			b.Put(t, "things", "alice", canary)
			answer, err := getOne(t, b, "things")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer.Status)
			require.Equal(t, 1, upstream.Requests())
			require.Empty(t, trap.Asked())
			require.Equal(t, name != "no proxy", len(proxy.Asked()) > before)
		})
	}
}

// Where the proxy is down, nothing reaches anybody: no upstream, no token endpoint, no
// STS, and no issuer of ID tokens.
func TestAttack06_ADeadProxyIsNoWayOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	endpoints := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	issuer := testenv.NewIssuer(t)
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, through(l.Addr().String(), func(e *config.Egress) {
		e.Proxies[0].For = []string{"default/things", "default/bought", "default/role", "issuers"} // no more than is tried
	}), func(c *config.Config) {
		c.Issuers = []config.Issuer{issuer.Config(t, "default")}
	})
	ca, err := json.Marshal(endpoints.CA)
	require.NoError(t, err)
	reach := "network: {allow: [127.0.0.0/8]}, tls: {ca: " + string(ca) + "}"
	for name, slots := range map[string]string{
		"bought": "{main: {owner: workspace, attach: bearer, oauth: {token_endpoint: " + endpoints.Origin + "/token, grant: client_credentials, " +
			"client: {id: c, auth: basic}, " + reach + "}}}",
		"role": "{main: {owner: workspace, attach: {aws: {region: us-east-1, service: s3, role: \"arn:aws:iam::123456789012:role/r\", external_id: onedoor, " +
			"session_policy: {thing: {actions: [\"s3:GetObject\"], arn: \"arn:aws:s3:::b/{id}\"}}, sts: {endpoint: \"" +
			endpoints.Origin + "/\", " + reach + "}}}}}",
	} {
		b.Apply(t, upstream.Manifest(name, slots, testenv.Things))
		b.Put(t, name, "", "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00")
	}
	for _, connector := range []string{"things", "bought", "role"} {
		_, err := getOne(t, b, connector)
		require.ErrorIs(t, err, client.UpstreamUnavailable, connector)
	}
	_, err = b.Client(t, testenv.Orchestrator, "").Tasks().Create(t.Context(), &onedoorv1.TasksCreateRequest{
		Agent: "tester", IdToken: issuer.Sign(t, issuer.Claims("alice")), Sandbox: b.SPIFFEID(testenv.Sandbox), Grants: []string{readThings}, Ttl: durationpb.New(time.Minute),
	})
	require.ErrorIs(t, err, client.IssuerUnavailable)
	require.Empty(t, upstream.Wire())
	require.Empty(t, endpoints.Wire())
	require.Empty(t, issuer.Wire())
}
