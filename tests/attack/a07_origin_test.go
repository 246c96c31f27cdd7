package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// authorities are spellings of where to go that are none, or not the one: addresses,
// names that only look like another one, and templates.
var authorities = []string{
	"127.0.0.1", "[::1]", "[::ffff:169.254.169.254]", "169.254.169.254", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "127.1", "1.2.3.0x4", "0", "a.0x",
	"[fe80::1%25eth0]", "[fe80::1%eth0]", "::1", "[::1", "[v1.x]", "[api.example.com]", "[[api.example.com]]", "api.example.com]",
	"api.example.com.", "api.example.com.:443", ".api.example.com", "api..example.com", ".", "API.example.com", "api.Example.com", "-api.example.com", "api-.example.com", "api_x.example.com",
	"user:pass@api.example.com", "user@api.example.com", "@api.example.com", ":@api.example.com", "api.example.com@evil.example", "api.example.com%40evil.example", `api.example.com\@evil.example`,
	"api.example.com:443", "api.example.com:", "api.example.com:0", "api.example.com:65536", "api.example.com:99999", "api.example.com:+8443", "api.example.com:-1", "api.example.com:08443",
	"api.example.com:8443:8443", "api.example.com:8443@evil.example", "api.example.com:4e3", "api.example.com: 8443", "api.example.com:\uff14\uff14\uff13",
	"*.example.com", "*", "api_x%2eexample.com", "api%2eexample.com", "%61pi.example.com", "api.example.com%00", "api.example.com%0d%0a", "api.example.com%2f",
	"b\u00fccher.example", "api.example\u3002com", "api.example\uff0ecom", "api.example\uff61com", "\uff41pi.example.com", "ap\u00adi.example.com", "\u212aelvin.example.com", "a\u0440i.example.com",
	"api\u200b.example.com", "\u202eapi.example.com", "api.example.com ", " api.example.com", "api.exa\tmple.com", "api.exa\nmple.com",
	strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 127) + "com",
	"metadata", "metadata.google.internal", "Metadata.Google.Internal", "x.metadata.google.internal", "metadata.google.internal:8443", "instance-data", "metadata.tencentyun.com",
	"{tenant}.example.com", "{tenant}", "api.{zone}", "api.example.com:{port}", "{tenant}@api.example.com", "${tenant}.example.com", "%(tenant)s.example.com", "{{tenant}}.example.com",
	"api.example.com,evil.example", "api.example.com;evil.example", "api.example.com|evil.example", "api.example.com evil.example", "",
}

// quoted is a text in YAML, whatever it holds.
func quoted(text string) string {
	said, _ := json.Marshal(text) // a string always can be
	return string(said)
}

// An origin has one spelling, names a host, and speaks TLS. Anything else is refused
// when it is applied, with the line on which it stands, and nothing of it is kept. So it
// is wherever else a manifest says where something goes.
func TestAttack07_HostnameSpelling(t *testing.T) {
	b := testenv.Dev(t)
	operator := b.Client(t, testenv.Operator, "")
	refused := func(t *testing.T, manifest, line string) {
		t.Helper()
		_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: manifest})
		require.ErrorIs(t, err, client.ArgumentInvalid)
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "manifest", e.Metadata["field"])
		require.Contains(t, e.Message, line)
		require.NotContains(t, e.Message, "pass@")
	}
	origins := []string{
		"http://api.example.com", "HTTPS://api.example.com", "ftp://api.example.com", "https:api.example.com", "https:/api.example.com", "https:///api.example.com", "//api.example.com", "api.example.com",
		"https://api.example.com#@evil.example", "https://api.example.com?@evil.example", "https://api.example.com/", "https://api.example.com/path", "https://api.example.com?x", "https://api.example.com#",
		"\ufeffhttps://api.example.com", "https:\u2215\u2215api.example.com", "javascript:https://api.example.com", "",
	}
	for _, authority := range authorities {
		origins = append(origins, "https://"+authority)
	}
	for _, origin := range origins {
		t.Run(origin, func(t *testing.T) {
			refused(t, testenv.Manifest("spelling", quoted(origin), "", "", testenv.Things), "line 3")
		})
	}
	const good = "https://login.example/x"
	_, ca := testenv.Certificate(t, "login.example")
	for _, authority := range authorities {
		if bad := quoted("https://" + authority + "/x"); authority != "" {
			refused(t, testenv.Manifest("spelling", "https://api.example.com", "", testenv.OAuthSlots(good, bad, ca), testenv.Things), "token_endpoint")
			refused(t, testenv.Manifest("spelling", "https://api.example.com", "", testenv.OAuthSlots(bad, good, ca), testenv.Things), "authorization_endpoint")
		}
	}
	_, err := operator.Connectors().Get(t.Context(), &onedoorv1.ConnectorsGetRequest{Name: "spelling"})
	require.ErrorIs(t, err, client.ConnectorUnknown)
}

// What is accepted is what is dialled: the name that stands in the manifest is the one
// that DNS is asked for, and the one in the request.
func TestAttack07_AcceptedIsDialled(t *testing.T) {
	dns := testenv.NewDNS(t)
	b := testenv.NewSite(t, "", 0).Start(t, dns.Use)
	names := []string{"a", "xn--bcher-kva.test", "1.2.3.test", "metadata.test", "0x7f.test", "a--b.test", "localhost.test", strings.Repeat("a", 63) + ".test", "printer.local", "a.onion.test"}
	upstream := testenv.NewNamedUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), names...)
	for i, name := range names {
		dns.Set(name, testenv.Addresses("127.0.0.1"))
		connector := fmt.Sprintf("things-%d", i)
		b.Apply(t, testenv.Manifest(connector, "https://"+name+":"+upstream.Port, upstream.CA, "", testenv.Things))
		task := b.Mint(t, nil, connector+": things.get READ thing:*")
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), connector, "things.get", map[string]string{"id": fmt.Sprint(i)})
		require.NoError(t, err, name)
		require.ElementsMatch(t, []string{"A " + name + ".", "AAAA " + name + "."}, dns.Asked())
		require.Contains(t, upstream.Wire(), fmt.Sprintf("GET /things/%d HTTP/1.1\r\nHost: %s:%s\r\n", i, name, upstream.Port))
	}
}

// Nothing that a caller can say changes where a call goes: arguments are placed in
// path, query and body alone, and Invoke has no other field.
func TestAttack10_HostInjection(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	evil := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, id := range []string{
		"evil.example/", "x@evil.example", "@evil.example", ":443", "//evil.example", `\\\\evil.example`, evil.Origin, "a:b@c", "?x=1", "#x", "http:", "%40evil", "",
	} {
		answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+id+`"}`))
		require.Equal(t, http.StatusBadRequest, answer.Status, "%q: %s", id, answer.Body)
		require.Equal(t, "ARGUMENT_INVALID", answer.Reason(t))
		require.Contains(t, answer.Field(t), "id")
	}
	require.Zero(t, upstream.Requests())
	answer := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"a.b"}`))
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	require.Contains(t, upstream.Wire(), "GET /things/a.b HTTP/1.1\r\nHost: "+strings.TrimPrefix(upstream.Origin, "https://")+"\r\n")
	require.Zero(t, evil.Requests())
}

func TestAttack11_NoFieldNamesAHost(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, field := range []string{
		"host", "origin", "url", "baseUrl", "base_url", "path", "method", "headers", "header", "authority", "proxy", "credential", "revision", "user", "workspace", "taskId",
	} {
		body := `{"connector":"things","tool":"things.get","arguments":{"id":"1"},"` + field + `":"https://evil.example"}`
		answer := rest.Do(t, http.MethodPost, "/v1/invoke", body)
		require.Equal(t, http.StatusBadRequest, answer.Status, field)
		require.Equal(t, field, answer.Field(t))
		inside := rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1","`+field+`":"https://evil.example"}`))
		require.Equal(t, http.StatusBadRequest, inside.Status, field)
	}
	require.Zero(t, upstream.Requests())
}
