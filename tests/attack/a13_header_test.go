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

// On the wire there is exactly one Authorization, ours, and nothing that a caller or an
// argument brought along.
func TestAttack13_Headers(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings, "things: things.make WRITE thing:*")
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for _, call := range []string{
		invoke("things.get", `{"id":"1"}`), invoke("things.find", `{"q":"a\u000d\u000aX-Injected: 1"}`), invoke("things.make", `{"name":"a\r\nX-Injected: 1\r\n\r\nGET /x HTTP/1.1"}`),
	} {
		rest.Do(t, http.MethodPost, "/v1/invoke", call,
			"Cookie", "a=b", "X-Drop", "1", "Proxy-Authorization", "Basic eA==", "X-Http-Method-Override", "DELETE", "Range", "bytes=0-1")
	}
	wire := upstream.Wire()
	requests := upstream.Requests()
	require.GreaterOrEqual(t, requests, 2)
	require.Equal(t, requests, strings.Count(wire, "\r\nAuthorization: Bearer "+canary+"\r\n"))
	require.Equal(t, requests, strings.Count(strings.ToLower(wire), "authorization:"))
	for _, never := range []string{"\r\nx-injected", "\r\ncookie", "\r\nx-drop", "\r\nproxy-", "\r\nx-http-method", "\r\nrange", "\r\nx-forwarded", task.Key, "\r\nvia:"} {
		require.NotContains(t, strings.ToLower(wire), strings.ToLower(never))
	}
}

// A secret that would break out of its header is refused when it is put, and one that
// a manifest would put where it does not belong when that is applied.
func TestAttack13_SecretWithLineBreak(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	operator := b.Client(t, testenv.Operator, "")
	for name, secret := range map[string]string{"CR LF": "a\r\nX-Injected: 1", "LF": "a\nb", "CR": "a\rb", "NUL": "a\x00b"} {
		_, err := operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
			Connector: "things", Secret: []byte(secret), Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"},
		})
		require.ErrorIs(t, err, client.ArgumentInvalid, name)
		require.NotContains(t, err.Error(), secret)
	}
	for _, header := range []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Cookie", "X-Http-Method-Override", "X-Forwarded-For", "Proxy-Authorization", "Bad Name", "X\\r\\nY"} {
		manifest := upstream.Manifest("headers", `{main: {owner: user, attach: {header: "`+header+`"}}}`, testenv.Things)
		_, err := operator.Connectors().Apply(t.Context(), &onedoorv1.ConnectorsApplyRequest{Manifest: manifest})
		require.ErrorIs(t, err, client.ArgumentInvalid, header)
	}
}
