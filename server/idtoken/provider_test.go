package idtoken_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

const callback = "https://app.example/callback"

// provider is an OpenID provider that somebody else wrote, and a browser before it.
type provider struct {
	*testenv.Upstream
	browser *http.Client
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	var serve http.Handler
	p := &provider{Upstream: testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve.ServeHTTP(w, r) }))}
	storage.RegisterClients(storage.WebClient(testenv.Audience, "secret", callback))
	serve = exampleop.SetupServer(p.Origin, storage.NewStorage(storage.NewUserStore(p.Origin)), nil, false)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(p.CA)))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	p.browser = &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) { // the application's page, which is not there
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return p
}

// signIn is a user's whole way through the code flow, and gives their ID token.
func (p *provider) signIn(t *testing.T, nonce string) string {
	t.Helper()
	page, err := p.browser.Get(p.Origin + "/auth?" + url.Values{
		"client_id": {testenv.Audience}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid"}, "state": {"s"}, "nonce": {nonce},
	}.Encode())
	require.NoError(t, err)
	defer page.Body.Close()
	require.Equal(t, http.StatusOK, page.StatusCode)

	back, err := p.browser.PostForm(p.Origin+"/login/username", url.Values{
		"id": {page.Request.URL.Query().Get("authRequestID")}, "username": {"test-user2"}, "password": {"verysecure"},
	})
	require.NoError(t, err)
	defer back.Body.Close()
	at, err := back.Location()
	require.NoError(t, err)
	require.NotEmpty(t, at.Query().Get("code"))

	answer, err := p.browser.PostForm(p.Origin+"/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {at.Query().Get("code")}, "redirect_uri": {callback},
		"client_id": {testenv.Audience}, "client_secret": {"secret"},
	})
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var tokens struct {
		ID string `json:"id_token"`
	}
	require.NoError(t, json.Unmarshal(text, &tokens))
	require.NotEmpty(t, tokens.ID, "%s", text)
	return tokens.ID
}

// TestARealProvider: its discovery, its keys, its tokens, with nothing of ours in them.
func TestARealProvider(t *testing.T) {
	p := newProvider(t)
	one := issuerOf(&testenv.Issuer{Upstream: p.Upstream, URL: p.Origin})
	v := verifier(t, time.Now, one)
	token := p.signIn(t, "n-0S6_WzA2Mj")
	for _, nonce := range []string{"n-0S6_WzA2Mj", ""} {
		u, err := v.Verify(t.Context(), workspace, vault.NewSecret([]byte(token)), nonce)
		require.NoError(t, err)
		require.Equal(t, task.User{Issuer: p.Origin, Subject: "id2"}, u)
	}
	for name, c := range map[string]struct {
		change func(i *idtoken.Issuer)
		nonce  string
	}{
		"another sign-in's nonce":  {func(*idtoken.Issuer) {}, "n-1"},
		"another client's":         {func(i *idtoken.Issuer) { i.Audiences = []string{"console"} }, ""},
		"another workspace's":      {func(i *idtoken.Issuer) { i.Workspaces = []string{"other"} }, ""},
		"an issuer of like a name": {func(i *idtoken.Issuer) { i.URL += "/" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			changed := one
			c.change(&changed)
			_, err := verifier(t, time.Now, changed).Verify(t.Context(), workspace, vault.NewSecret([]byte(token)), c.nonce)
			requireRefused(t, err, token)
		})
	}
	later := verifier(t, func() time.Time { return time.Now().Add(2 * time.Hour) }, one)
	_, err := later.Verify(t.Context(), workspace, vault.NewSecret([]byte(token)), "")
	requireRefused(t, err, token)
}
