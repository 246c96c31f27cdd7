package e2e_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestConnectAfterSigningInInABrowser: where the user's issuer signs users in, the right one comes
// to the provider and everybody else does not, whatever link they have.
func TestConnectAfterSigningInInABrowser(t *testing.T) {
	var issuer *testenv.OIDCProvider
	var url string
	a := newAccounts(t, func(c *config.Config) {
		url = c.Connect.URL
		issuer = testenv.NewOIDCProvider(t, registered(url, "authorization_code"))
		c.Issuers = []config.Issuer{testenv.SignInConfig(t, issuer.URL, issuer.CA, clientSecret, "default")}
	})
	task := a.mintFor(t, issuer)

	t.Run("somebody else", func(t *testing.T) {
		mallory := a.browser.Another("mallory")
		require.Equal(t, http.StatusOK, mallory.Open(t, a.Connect(t, "things", "8f2c", "--issuer", issuer.URL)))
		require.Contains(t, mallory.See(t).Text, "First you sign in at "+issuer.URL)
		mallory.Click(t, "Go on")
		signIn(t, mallory, "mallory")
		seen := mallory.Wait(t, "You are signed in as somebody else")
		require.NotContains(t, seen.Text, "mallory")
		require.NotContains(t, seen.URL, "code=")
		said := a.CLI(t, testenv.Operator, "", "credential", "list", "things")
		require.NotContains(t, said.Stdout, "8f2c")
	})
	t.Run("the user", func(t *testing.T) {
		require.Equal(t, http.StatusOK, a.browser.Open(t, a.Connect(t, "things", "8f2c", "--issuer", issuer.URL)))
		a.look(t, "offer-signin")
		a.browser.Click(t, "Go on")
		signIn(t, a.browser, "8f2c")
		signIn(t, a.browser, "alice@provider")
		seen := a.browser.Wait(t, "Your account is connected")
		require.Contains(t, seen.Text, "8f2c")
		who, err := a.whose(t, task)
		require.NoError(t, err)
		require.Equal(t, "alice@provider", who)
		said := a.CLI(t, testenv.Operator, "", "credential", "list", "things")
		require.Contains(t, said.Stdout, "user 8f2c of "+issuer.URL)
		require.Contains(t, said.Stdout, "connected")
	})
	absentFrom(t, a.Log(), clientSecret)
}

// mintFor makes a task of 8f2c's, with the issuer's own ID token got by hand: the task is
// not what is tried here.
func (a *accounts) mintFor(t *testing.T, issuer *testenv.OIDCProvider) testenv.Task {
	t.Helper()
	token := a.idToken(t, issuer, "8f2c")
	made, err := a.Client(t, testenv.Orchestrator, "").Tasks().Create(t.Context(), &onedoorv1.TasksCreateRequest{
		Agent: "tester", IdToken: token, Sandbox: a.SPIFFEID(testenv.Sandbox), Grants: []string{getThings}, Ttl: durationpb.New(5 * time.Minute),
	})
	require.NoError(t, err)
	return testenv.Task{Key: made.GetTaskKey(), ID: made.GetTaskId(), KeyID: made.GetKeyId()}
}

// idToken signs a user in at an issuer as an application of theirs would, and gives the
// ID token. The browser is sent back to an address where nobody waits for it.
func (a *accounts) idToken(t *testing.T, issuer *testenv.OIDCProvider, name string) string {
	t.Helper()
	verifier := strings.Repeat("A", 43)
	sum := sha256.Sum256([]byte(verifier))
	b := a.browser.Another("application")
	b.Open(t, issuer.URL+"/auth?"+url.Values{
		"client_id": {testenv.Audience}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {a.url + testenv.Callback},
		"state": {verifier}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	signIn(t, b, name)
	back, err := url.Parse(b.Wait(t, "This link is not known").URL)
	require.NoError(t, err)

	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(issuer.CA)))
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer.URL+"/token", strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "code_verifier": {verifier}, "redirect_uri": {a.url + testenv.Callback},
	}.Encode()))
	require.NoError(t, err)
	ask.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ask.SetBasicAuth(testenv.Audience, clientSecret)
	said := testenv.Fetch(t, testenv.HTTPS(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), ask)
	var got struct {
		Token string `json:"id_token"`
	}
	require.NoError(t, json.Unmarshal([]byte(said.Body), &got))
	require.NotEmpty(t, got.Token)
	return got.Token
}
