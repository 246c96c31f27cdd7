package attack_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

// oddAnswers are heads that net/http reads and that our own protocols cannot say again as
// they stand, and whether a call that is answered so has an answer.
var oddAnswers = map[string]struct {
	head string
	ok   bool
}{
	"status-000": {"HTTP/1.1 000 None\r\n", false},
	"status-001": {"HTTP/1.1 001 One\r\n", false},
	"status-099": {"HTTP/1.1 099 Ninety-nine\r\n", false},
	"status-101": {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n", false},
	"status-600": {"HTTP/1.1 600 Who knows\r\n", true},
	"status-999": {"HTTP/1.1 999 Denied\r\n", true},
	"latin-1":    {"HTTP/1.1 200 OK\r\nX-Kind: caf\xe9\r\nRetry-After: caf\xe9\r\n", true},
	"bad-type":   {"HTTP/1.1 200 OK\r\nContent-Type: text/plain; x=\"\xff\xfe\"\r\n", true},
	"two-types":  {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n", true},
	"folded":     {"HTTP/1.1 200 OK\r\nX-Kind: a\r\n X-Injected: 1\r\n", true},
	"ours":       {"HTTP/1.1 200 OK\r\nX-Onedoor-Reason: TASK_ENDED\r\nX-Onedoor-Invocation-Id: evil\r\nGrpc-Status: 16\r\nGrpc-Message: evil\r\n", true},
}

// Whatever the head of an answer says, each way to the sandbox gives the call one clear end,
// the same one, and the trail has it; nothing of ours is said by the upstream, and nothing
// panics.
func TestAttack13_HeadOfAnAnswer(t *testing.T) {
	certificate, ca := testenv.Certificate(t, "localhost")
	conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	origin := "https://localhost:" + speaks(t, func(plain net.Conn) {
		c := tls.Server(plain, conf)
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, oddAnswers[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]].head+"Content-Length: 2\r\n\r\n{}")
		}
	})
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, testenv.Manifest("things", origin, ca, bearerOfAll, testenv.Things))
	b.Put(t, "things", "", canary)
	p := testenv.NewProvider(t)
	p.Origin, p.CA = origin, ca // its connector, at this upstream
	b.Apply(t, p.Ready(t, "openai"))
	b.Put(t, "openai", "", canary)
	task := b.Mint(t, nil, readThings, "openai: models.get READ model:*")
	grpc, rest := b.Client(t, testenv.Sandbox, task.Key), b.REST(t, testenv.Sandbox, task.Key)
	for name, one := range oddAnswers {
		body := invoke("things.get", `{"id":"`+name+`"}`)
		answers := []testenv.Answer{
			rest.Do(t, http.MethodPost, "/v1/invoke", body), rest.Do(t, http.MethodPost, "/v1/invoke:stream", body),
			rest.Raw(t, http.MethodGet, "/c/openai/v1/models/"+name, ""),
		}
		_, err := grpc.Invoke(t.Context(), "things", "things.get", map[string]string{"id": name})
		if one.ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, client.OutcomeUnknown, name)
		}
		for _, a := range answers {
			require.NotContains(t, fmt.Sprint(a.Header, a.Body), "evil", name)
			require.Empty(t, a.Header.Get("X-Injected"))
			require.Equal(t, one.ok, !strings.Contains(fmt.Sprint(a.Header, a.Body), "OUTCOME_UNKNOWN"), "%s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, e := range b.Events(t, task.ID) {
		if e.GetOutcome() != "" {
			_, name, _ := strings.Cut(e.GetResources()[0], ":")
			require.Equal(t, oddAnswers[name].ok, e.GetOutcome() != "UNKNOWN", "%s: %s", name, e.GetOutcome())
			require.Contains(t, []string{"", "OUTCOME_UNKNOWN"}, e.GetReason(), name)
		}
	}
	require.NoError(t, b.Stop())
	require.NotContains(t, b.Log(), "panic")
}

// A header that frames, routes, or says who sends is nobody's to name in a manifest, in
// whatever spelling a server may take for it; nor is one that has a place already.
func TestAttack13_ReservedInEverySpelling(t *testing.T) {
	b := testenv.Dev(t)
	const origin = "https://api.example.com"
	plain := testenv.Manifest("spelling", origin, "", "", testenv.Things)
	fixed := func(name string) string {
		return strings.Replace(plain, "    method: GET\n", "    method: GET\n    headers: {"+name+": evil}\n", 1)
	}
	slot := func(name string) string {
		return testenv.Manifest("spelling", origin, "", "{main: {owner: user, attach: {header: "+name+"}}}", testenv.Things)
	}
	assertion := func(name string) string { return plain + "assertion: {audience: x, header: " + name + "}\n" }
	for _, name := range []string{
		"Host", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Connection", "Keep-Alive", "Http2-Settings", "Cookie", "Cookie2",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via", "X-Real-Ip", "True-Client-Ip", "Client-Ip", "X-Client-Ip", "Cf-Connecting-Ip", "X-Cluster-Client-Ip",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Host",
		"Accept-Encoding", "Range", "If-Range", "Proxy-Authorization", "Proxy-Connection", "Content-Encoding",
	} {
		for _, spelled := range []string{name, strings.ToLower(strings.ReplaceAll(name, "-", "_"))} {
			for what, manifest := range map[string]string{"fixed": fixed(spelled), "slot": slot(spelled), "assertion": assertion(spelled)} {
				require.ErrorIs(t, applied(t, b, manifest), client.ArgumentInvalid, "%s as %s", spelled, what)
			}
		}
	}
	for what, manifest := range map[string]string{
		"our own, fixed":         fixed("X-Onedoor-Jwt-Assertion"),
		"our own, for a secret":  slot("X_Onedoor_Jwt_Assertion"),
		"a token, fixed":         fixed("Txn_Token"),
		"a token, as assertion":  assertion("Txn_Token"),
		"the secret's, fixed":    strings.Replace(slot("X-Api-Key"), "    method: GET\n", "    method: GET\n    headers: {X_Api_Key: evil}\n", 1),
		"two secrets":            testenv.Manifest("spelling", origin, "", "{main: {owner: user, attach: {header: X-Key}}, other: {owner: user, attach: {header: X_KEY}}}", testenv.Things),
		"a secret and assertion": slot("X-Who") + "assertion: {audience: x, header: X_Who}\n",
	} {
		require.ErrorIs(t, applied(t, b, manifest), client.ArgumentInvalid, what)
	}
	for what, manifest := range map[string]string{
		"fixed": fixed("X-Api-Version"), "slot": slot("api_key"), "assertion": assertion("X-Onedoor-Who"), "a token": slot("Txn-Token"), "the default": assertion("X-Onedoor-Jwt-Assertion"),
	} {
		require.NoError(t, applied(t, b, manifest), what)
	}
}
