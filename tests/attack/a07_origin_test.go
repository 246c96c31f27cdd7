package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// An origin has one spelling, names a host, and speaks TLS. Anything else is refused
// when it is applied, with the line on which it stands, and nothing of it is kept.
func TestAttack07_HostnameSpelling(t *testing.T) {
	b := testenv.Dev(t)
	operator := b.Client(t, testenv.Operator, "")
	for _, origin := range []string{
		"http://api.example.com", "https://127.0.0.1", "https://[::1]", "https://[::ffff:169.254.169.254]", "https://169.254.169.254",
		"https://2130706433", "https://0x7f000001", "https://0177.0.0.1", "https://127.1",
		"https://api.example.com.", "https://API.example.com", "https://[[api.example.com]]", "https://bücher.example",
		"https://user:pass@api.example.com", "https://api.example.com@evil.example", "https://api.example.com#@evil.example",
		"https://api.example.com/path", "https://api.example.com?x", "https://api.example.com:443", "https://api.example.com:0",
		"https://api.example.com:99999", "https://*.example.com", "https://*", "https://api..example.com", "https://api_x%2eexample.com",
		"https://api.example.com\\@evil.example", "https:api.example.com", "//api.example.com", "https://", "ftp://api.example.com",
		"https://api.example.com ", "https://api.example\u3002com", "https://ａpi.example.com",
	} {
		t.Run(origin, func(t *testing.T) {
			manifest := testenv.Manifest("spelling", `"`+strings.ReplaceAll(origin, `\`, `\\`)+`"`, "", "", testenv.Things)
			_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: manifest})
			require.ErrorIs(t, err, client.ArgumentInvalid)
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "manifest", e.Metadata["field"])
			require.Contains(t, e.Message, "line 3")
		})
	}
	_, err := operator.Connectors().Get(t.Context(), &onedoorv1.ConnectorsGetRequest{Name: "spelling"})
	require.ErrorIs(t, err, client.ConnectorUnknown)
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
