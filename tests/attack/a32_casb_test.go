package attack_test

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// proxyLogin is what the proxy demands, and another one that it refuses.
const (
	proxyLogin = "broker:proxy-canary-3e9a51c7b0d2"
	staleLogin = "broker:proxy-canary-stale-77f0e1"
)

func basicOf(login string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(login)) }

// putProxy stores the proxy's secret as an operator does.
func putProxy(t *testing.T, b *testenv.Broker, secret string) {
	t.Helper()
	said := b.CLIWith(t, testenv.Operator, "", secret, "credential", "put", "proxy/casb", "--workspace", "--from-file", "-")
	require.Zero(t, said.Code, said.Stderr)
	absent(t, "what the operator is shown", said.Stdout+said.Stderr, secret)
}

// What proves the broker to the proxy is told to it by CONNECT and to nobody else; what
// proves the user to the upstream goes by the proxy unseen. Neither comes back to the
// sandbox, although the proxy and the upstream both try, nor into the log or the trail.
func TestAttack32_TheProxysSecretAndTheUpstreams(t *testing.T) {
	proxy := testenv.NewForward(t, testenv.ForwardOptions{TLS: true, Authorization: basicOf(proxyLogin)})
	ca := filepath.Join(t.TempDir(), "proxy.pem")
	require.NoError(t, os.WriteFile(ca, []byte(proxy.CA), 0o600))
	b, upstream := target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Kind", basicOf(proxyLogin)) // as if the two had told each other
		w.Header().Set("Proxy-Authenticate", "Basic realm=\"say it\"")
		w.Header().Set("Proxy-Authorization", basicOf(proxyLogin))
		_, _ = io.WriteString(w, "it is "+proxyLogin+" "+basicOf(proxyLogin))
	}, through(proxy.Addr, func(e *config.Egress) {
		p := &e.Proxies[0]
		p.URL, p.CAFile, p.Auth, p.Workspace = "https://localhost:"+port(t, "https://"+proxy.Addr), ca, "basic", "default"
	}))
	var seen strings.Builder
	rest := func() testenv.Answer {
		task := b.Mint(t, nil, readThings)
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`), "Proxy-Authorization", "Basic evil")
		seen.WriteString(answer.Body)
		for name, values := range answer.Header {
			seen.WriteString(name + strings.Join(values, " "))
		}
		if answer.Status == http.StatusOK {
			body, err := base64.StdEncoding.DecodeString(between(answer.Body, `"bodyBase64":"`))
			require.NoError(t, err)
			seen.Write(body)
		}
		return answer
	}
	require.Equal(t, "EGRESS_DENIED", rest().Reason(t), "no secret is stored")
	require.Empty(t, proxy.Asked(), "and nobody comes without one")
	putProxy(t, b, staleLogin)
	require.Equal(t, "EGRESS_DENIED", rest().Reason(t), "the proxy refuses it")
	require.Contains(t, proxy.Asked()[0], basicOf(staleLogin))
	require.Empty(t, upstream.Wire())
	putProxy(t, b, proxyLogin)
	for range 2 {
		answer := rest()
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		require.NotContains(t, answer.Body, "roxy-")
	}
	require.Contains(t, seen.String(), "it is [redacted]")

	asked := proxy.Asked()
	require.Greater(t, len(asked), 1)
	for _, head := range asked[1:] {
		require.Equal(t, 1, strings.Count(head, "Proxy-Authorization: "+basicOf(proxyLogin)+"\r\n"))
	}
	require.Equal(t, 2, strings.Count(upstream.Wire(), "\r\nAuthorization: Bearer "+canary+"\r\n"))
	require.NotContains(t, strings.ToLower(upstream.Wire()), "\r\nproxy-")
	heard, said := proxy.Wire()
	absent(t, "what the proxy heard and said", heard+said, canary)
	var listed strings.Builder
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		listed.WriteString(protojson.Format(e))
	}
	require.NoError(t, b.Stop())
	testenv.Eventually(t, "the log", func() bool { return strings.Contains(b.Log(), `"proxy":"casb"`) })
	for where, text := range map[string]string{"the sandbox": seen.String(), "the upstream": upstream.Wire(), "the trail": listed.String(), "the log": b.Log()} {
		absent(t, where, text, proxyLogin, staleLogin, basicOf(proxyLogin), basicOf(staleLogin))
	}
}

// A proxy that ends TLS is trusted for the connectors that the operator names, and for no
// other; and its CA is worth nothing where the connection does not go through it.
func TestAttack32_InspectionOnlyWhereNamed(t *testing.T) {
	pair, inspector := testenv.Certificate(t, "localhost")
	proxy := testenv.NewForward(t, testenv.ForwardOptions{Inspect: &pair})
	ca := filepath.Join(t.TempDir(), "casb.pem")
	require.NoError(t, os.WriteFile(ca, []byte(inspector), 0o600))
	impostor := testenv.ServeTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the CA was trusted without the proxy") }))
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, through(proxy.Addr, func(e *config.Egress) {
		e.Proxies[0].Inspects = &config.Inspects{CAFile: ca, Connectors: []string{"default/things", "default/direct"}}
		e.NoProxy = []string{impostor}
	}))
	const others = "canary-of-others-5c0d17e3"
	b.Apply(t, upstream.Manifest("things2", bearer, testenv.Things))
	b.Put(t, "things2", "alice", others)
	b.Apply(t, testenv.Manifest("direct", impostor, upstream.CA, bearer, testenv.Things))
	b.Put(t, "direct", "alice", others)

	answer, err := getOne(t, b, "things")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	heard, _ := proxy.Wire()
	require.Contains(t, heard, canary, "the operator lets the proxy read this")
	require.Equal(t, 1, upstream.Requests())

	_, err = getOne(t, b, "things2")
	require.ErrorIs(t, err, client.UpstreamUnavailable)
	asked := len(proxy.Asked())
	require.Greater(t, asked, 1, "it went there")
	_, err = getOne(t, b, "direct")
	require.ErrorIs(t, err, client.UpstreamUnavailable)
	require.Len(t, proxy.Asked(), asked, "it did not")
	require.Equal(t, 1, upstream.Requests())
	heard, said := proxy.Wire()
	absent(t, "what the proxy heard and said", heard+said, others)
}

// Whoever must be known to the upstream by a certificate cannot be where a proxy ends
// TLS: that is refused, and not left out.
func TestAttack32_NoCertificateThroughInspection(t *testing.T) {
	pair, inspector := testenv.Certificate(t, "localhost")
	proxy := testenv.NewForward(t, testenv.ForwardOptions{Inspect: &pair})
	ca := filepath.Join(t.TempDir(), "casb.pem")
	require.NoError(t, os.WriteFile(ca, []byte(inspector), 0o600))
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, through(proxy.Addr, func(e *config.Egress) {
		e.Proxies[0].Inspects = &config.Inspects{CAFile: ca, Connectors: []string{"default/certified", "default/known"}}
	}))
	b.Apply(t, upstream.Manifest("certified", "{main: {owner: workspace, attach: certificate}}", testenv.Things))
	b.Put(t, "certified", "", testenv.NewClientCA(t).Issue(t, "broker"))
	b.Apply(t, testenv.Manifest("known", upstream.Origin, "", "", testenv.Things)+"tls: {server_id: \"spiffe://"+testenv.Domain+"/upstream\"}\n")
	for _, connector := range []string{"certified", "known"} {
		_, err := getOne(t, b, connector)
		require.ErrorIs(t, err, client.EgressDenied)
		require.ErrorContains(t, err, "inspects")
	}
	require.Empty(t, proxy.Asked())
	require.Empty(t, upstream.Wire())
}
