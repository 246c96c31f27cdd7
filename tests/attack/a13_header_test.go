package attack_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

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

// What a caller says of hop-by-hop headers, in whatever spelling, takes nothing of ours
// away and adds nothing, on the way of every call.
func TestAttack13_HopByHop(t *testing.T) {
	b, p, task := providers(t)
	send := rawSender(t, b)
	const named = "Authorization, X-Api-Key, Host, Content-Length, User-Agent, Accept-Encoding, close"
	more := "Connection: " + named + "\r\nconnection: keep-alive, authorization\r\nProxy-Connection: authorization\r\nKeep-Alive: timeout=5, max=0\r\n" +
		"TE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTrailer: Authorization\r\n" +
		headerLines("evil", "Cookie", "X-Api-Key-2", "Authorization2", "Proxy-Authorization", "Www-Authenticate", "X-Forwarded-Authorization", "X-Original-Authorization",
			"X_HTTP_METHOD_OVERRIDE", "X-Goog-Iam-Authority-Selector", "Grpc-Metadata-Authorization", "Grpc-Metadata-X-Api-Key")
	overrides := headerLines("evil", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override") // refused under /c/
	for _, c := range []struct{ head, body string }{
		{"POST /v1/invoke HTTP/1.1\r\nHost: b\r\n" + overrides, invoke("things.get", `{"id":"1"}`)},
		{"POST /v1/invoke:stream HTTP/1.1\r\nHost: b\r\n" + overrides, invoke("things.get", `{"id":"1"}`)},
		{"POST /c/openai/v1/chat/completions HTTP/1.1\r\nHost: b\r\n", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`},
	} {
		before := p.Requests()
		require.NotZero(t, send(c.head+more, task.Key, c.body))
		require.Equal(t, before+1, p.Requests(), c.head)
	}
	wire := p.Wire()
	require.Equal(t, 2, strings.Count(wire, "\r\nAuthorization: Bearer "+canary+"\r\n"))
	require.Equal(t, 1, strings.Count(wire, "\r\nAuthorization: Bearer "+testenv.ProviderKey+"\r\n"))
	require.Equal(t, 3, strings.Count(strings.ToLower(wire), "authorization"))
	for _, never := range []string{"evil", "connection", "keep-alive", "\r\nte:", "upgrade", "trailer", "method-override", task.Key} {
		require.NotContains(t, strings.ToLower(wire), strings.ToLower(never))
	}
	require.Equal(t, 400, send("POST /v1/invoke HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer evil\r\n", task.Key, invoke("things.get", `{"id":"1"}`)), "two Authorizations")
	require.Equal(t, 3, p.Requests())
}

// breaks are texts that would end the line on which they stand.
var breaks = map[string]string{"CR LF": "a\r\nX-Injected: 1", "LF": "a\nX-Injected: 1", "CR": "a\rX-Injected: 1", "NUL": "a\x00b", "CR LF at the end": "secret\r\n\r\n", "DEL": "a\x7fb"}

// A token that a provider mints, and that would break out of its header, is refused when
// it is to be used; what it would have said is in no answer.
func TestAttack13_MintedWithLineBreak(t *testing.T) {
	provider := testenv.NewAuthServer(t, time.Minute)
	b, upstream := accounts(t, provider, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	for name, token := range breaks {
		provider.Behave(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 60})
		})
		b.Put(t, "things", "alice", provider.Account("alice"))
		_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		var refused *client.Error
		require.ErrorAs(t, err, &refused, name)
		require.NotContains(t, err.Error(), "X-Injected")
	}
	require.Empty(t, upstream.Wire())
}

// Wherever a secret or a manifest's text would go, a line break in it is refused when it
// is stored, or goes up escaped within its place; and so it is with names of users and
// agents, which are attached to calls.
func TestAttack13_LineBreaksEverywhere(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	operator := b.Client(t, testenv.Operator, "")
	for _, attach := range []string{"bearer", "basic", "{header: X-Key}", "{header: X-Key, prefix: \"Token \"}", "{query: key}"} {
		b.Apply(t, upstream.Manifest("things", "{main: {owner: user, attach: "+attach+"}}", testenv.Things))
		for name, secret := range breaks {
			if attach == "basic" {
				secret = "user:" + secret
			}
			_, err := operator.Credentials().Put(t.Context(), &onedoorv1.CredentialsPutRequest{
				Connector: "things", Secret: []byte(secret), Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"},
			})
			if attach == "basic" || attach == "{query: key}" { // base64, and percent-encoding, if it is taken at all
				task := b.Mint(t, nil, readThings)
				_, _ = b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
				continue
			}
			require.ErrorIs(t, err, client.ArgumentInvalid, "%s, %s", attach, name)
		}
	}
	require.NotContains(t, upstream.Wire(), "X-Injected: 1")
	for name, text := range breaks {
		manifest := upstream.Manifest("breaks", bearer, testenv.Things)
		for what, edited := range map[string]string{
			"prefix":       strings.Replace(manifest, "attach: bearer", "attach: {header: X-Key, prefix: "+quoted(text)+"}", 1),
			"header":       strings.Replace(manifest, "attach: bearer", "attach: {header: "+quoted(text)+"}", 1),
			"query":        strings.Replace(manifest, "attach: bearer", "attach: {query: "+quoted(text)+"}", 1),
			"fixed value":  strings.Replace(manifest, "method: GET\n", "method: GET\n    headers: {X-Fixed: "+quoted(text)+"}\n", 1),
			"fixed name":   strings.Replace(manifest, "method: GET\n", "method: GET\n    headers: {"+quoted(text)+": x}\n", 1),
			"path":         strings.Replace(manifest, "/things/{id}", quoted("/"+text+"/{id}"), 1),
			"method":       strings.Replace(manifest, "method: GET", "method: "+quoted("GET "+text), 1),
			"tool's name":  strings.Replace(manifest, "things.get", quoted(text), 1),
			"query's name": strings.Replace(manifest, "query: {q: q}", "query: {"+quoted(text)+": q}", 1),
		} {
			require.NotEqual(t, manifest, edited, what)
			err := applied(t, b, edited)
			if what == "query's name" && err == nil { // percent-encoded like a value
				continue
			}
			require.ErrorIs(t, err, client.ArgumentInvalid, "%s in the %s", name, what)
		}
		for what, edit := range map[string]func(*onedoorv1.TasksCreateRequest){
			"user":  func(r *onedoorv1.TasksCreateRequest) { r.User = text },
			"agent": func(r *onedoorv1.TasksCreateRequest) { r.Agent = text },
		} {
			request := &onedoorv1.TasksCreateRequest{
				Agent: "tester", User: "alice", Sandbox: b.SPIFFEID(testenv.Sandbox), Grants: []string{readThings}, Ttl: durationpb.New(time.Minute),
			}
			edit(request)
			_, err := b.Client(t, testenv.Orchestrator, "").Tasks().Create(t.Context(), request)
			require.ErrorIs(t, err, client.ArgumentInvalid, "%s in the %s", name, what)
		}
	}
}
