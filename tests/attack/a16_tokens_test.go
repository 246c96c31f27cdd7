package attack_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// aToken is every token that a provider of these tests gives.
var aToken = regexp.MustCompile(`canary-[\w-]+`)

// TestAttack16_Refreshed: an upstream that knows what its provider has just given, the
// refresh token too, cannot hand it to the sandbox: neither in the first answer after a
// refresh, nor in a later one.
func TestAttack16_Refreshed(t *testing.T) {
	provider := testenv.NewAuthServer(t, time.Second)
	var mu sync.Mutex
	var given []string
	provider.Behave(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		kept := httptest.NewRecorder()
		honest(kept, r)
		mu.Lock()
		given = append(given, aToken.FindAllString(kept.Body.String(), -1)...)
		mu.Unlock()
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
	})
	b, _ := accounts(t, provider, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		latest := given[len(given)-2:] // an access token and a refresh token
		w.Header().Set("X-Kind", strings.Join(latest, " "))
		_, _ = fmt.Fprintf(w, "you sent %s, have %q, and %s", r.Header.Get("Authorization"), latest, base64.StdEncoding.EncodeToString([]byte(latest[0]+latest[1])))
	})
	sandbox := b.Client(t, testenv.Sandbox, b.Mint(t, nil, readThings).Key)
	var got strings.Builder
	require.Eventually(t, func() bool {
		answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		require.NoError(t, err)
		_, _ = fmt.Fprintf(&got, "%+v %s\n", answer, answer.Body)
		return provider.Counts().Refreshes >= 2
	}, 20*time.Second, 20*time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.GreaterOrEqual(t, len(given), 4)
	require.Contains(t, got.String(), "you sent Bearer [redacted]")
	absent(t, "what the sandbox got", got.String(), slices.Compact(given)...)
	absent(t, "what the sandbox got, decoded", decodeBase64Members(got.String()), given...)
}

// TestAttack16_AssertionEcho: an upstream that gives back the assertion it was shown does
// not hand the sandbox one that it could show itself.
func TestAttack16_AssertionEcho(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := r.Header.Get("X-Onedoor-Jwt-Assertion")
		w.Header().Set("X-Kind", shown)
		_, _ = fmt.Fprintf(w, "you showed %s, in base64 %s", shown, base64.StdEncoding.EncodeToString([]byte(shown)))
	}))
	b := testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) { c.Assertions = config.Assertions{Issuer: "https://broker.test"} })
	b.Apply(t, strings.Replace(upstream.Manifest("things", "", testenv.Things), "tools:\n", "assertion: {audience: \"https://internal.test\"}\ntools:\n", 1))
	rest := b.REST(t, testenv.Sandbox, b.Mint(t, nil, readThings).Key)
	var got strings.Builder
	for _, path := range []string{"/v1/invoke", "/v1/invoke:stream"} {
		answer := rest.Do(t, http.MethodPost, path, invoke("things.get", `{"id":"1"}`))
		require.Equal(t, http.StatusOK, answer.Status, answer.Body)
		_, _ = fmt.Fprintf(&got, "%v %s", answer.Header, answer.Body)
	}
	shown := aJWT.FindAllString(upstream.Wire(), -1)
	require.Len(t, shown, 2)
	require.Contains(t, opened(got.String()), "you showed eyJ", "the claims are no secret")
	for _, token := range shown {
		signature := token[strings.LastIndexByte(token, '.')+1:]
		absent(t, "what the sandbox got", got.String(), signature)
		absent(t, "what the sandbox got, decoded", opened(got.String()), signature)
	}
}

// TestAttack16_TokenEndpointIsNoTool: no tool leads to where the connector's own tokens
// are given out.
func TestAttack16_TokenEndpointIsNoTool(t *testing.T) {
	provider := testenv.NewAuthServer(t, time.Minute)
	b := testenv.NewSite(t, "", 0).Start(t)
	for place, path := range map[string]string{"as it is": "/token", "by a template": "/{id}"} {
		tools := strings.Replace(testenv.Things, "path: /things/{id}", "path: "+path, 1)
		if path == "/token" {
			tools = strings.Replace(tools, `    resources: ["thing:{id}"]`, `    query: {id: id}`+"\n"+`    resources: ["thing:{id}"]`, 1)
		}
		manifest := provider.Manifest("things", "{main: {owner: user, attach: bearer, oauth: "+provider.OAuth("authorization_code", "{id: onedoor, auth: none}")+"}}", tools)
		refused := b.CLIWith(t, testenv.Operator, "", manifest, "connector", "apply", "-f", "-")
		require.NotZero(t, refused.Code, place)
		require.Contains(t, refused.Stderr, "the endpoint that gives out the tokens", place)
	}
}
