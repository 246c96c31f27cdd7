package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

const clientSecret = "client-canary-5b1e9f"

// accounts is a broker, a provider with people's accounts, an upstream that asks that
// provider whose token it was sent, and a browser.
type accounts struct {
	*testenv.Broker
	url      string
	provider *testenv.OIDCProvider
	upstream *testenv.Upstream
	browser  *testenv.Browser
}

func registered(url string, grants ...string) testenv.OIDCClient {
	return testenv.OIDCClient{
		ID: testenv.Audience, Secret: clientSecret, RedirectURIs: []string{url + testenv.Callback}, Auth: "client_secret_basic", GrantTypes: grants,
	}
}

// slots are those of the connector that stands in these tests.
func (a *accounts) slots(more ...string) string {
	return testenv.OAuthSlots(a.provider.URL+"/auth", a.provider.URL+"/token", a.provider.CA,
		append([]string{"issuer: " + a.provider.URL, "scopes: [openid, offline_access, contacts.read]", "parameters: {prompt: consent}"}, more...)...)
}

func newAccounts(t *testing.T, edit ...func(*config.Config)) *accounts {
	t.Helper()
	a := &accounts{browser: testenv.NewBrowser(t), url: testenv.ConnectURL(t)}
	a.provider = testenv.NewOIDCProvider(t, registered(a.url))
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(a.provider.CA)))
	at := testenv.HTTPS(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	a.upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, a.provider.URL+"/me", nil)
		if err != nil {
			panic(err)
		}
		ask.Header.Set("Authorization", r.Header.Get("Authorization"))
		said := testenv.Fetch(t, at, ask)
		w.WriteHeader(said.Status)
		_, _ = w.Write([]byte(said.Body))
	}))
	a.Broker = testenv.NewSite(t, "", 0).Start(t, append([]func(*config.Config){testenv.Connecting(a.url)}, edit...)...)
	a.Apply(t, a.upstream.Manifest("things", a.slots(), testenv.Things))
	a.PutClient(t, "things", clientSecret)
	return a
}

// signIn goes through the provider's pages: first who signs in, then whether they agree.
func signIn(t *testing.T, b *testenv.Browser, name string) {
	t.Helper()
	b.Wait(t, "Sign-in")
	b.Fill(t, "login", name)
	b.Fill(t, "password", "whatever")
	b.Click(t, "Sign-in")
	b.Wait(t, "Authorize")
	b.Click(t, "Continue")
}

// whose is whose token a call for alice arrives with, and how the call failed.
func (a *accounts) whose(t *testing.T, task testenv.Task) (string, error) {
	t.Helper()
	answer, err := a.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	if err != nil {
		return "", err
	}
	var me struct{ Sub string }
	require.NoError(t, json.Unmarshal(answer.Body, &me), string(answer.Body))
	return me.Sub, nil
}

const getThings = "things: things.get READ thing:*"

// TestConnectInABrowser is the whole way of alice's: from the operator's link to a call
// that arrives at the upstream with her own token.
func TestConnectInABrowser(t *testing.T) {
	a := newAccounts(t)
	task := a.Mint(t, nil, getThings)
	_, err := a.whose(t, task)
	require.ErrorIs(t, err, client.CredentialMissing)

	link := a.Connect(t, "things", "alice")
	require.True(t, strings.HasPrefix(link, a.url+"/connect/"), link)
	for range 3 { // whoever scans mails has looked already
		require.Equal(t, http.StatusOK, a.browser.Another("scanner").Open(t, link))
	}
	require.Equal(t, http.StatusOK, a.browser.Open(t, link))
	seen := a.browser.See(t)
	require.Equal(t, []string{"Connect your account"}, seen.Headings)
	for _, text := range []string{"things", "alice", "default", "localhost", "contacts.read", "taken for alice"} {
		require.Contains(t, seen.Text, text)
	}
	a.look(t, "offer")
	a.browser.Click(t, "Go on")
	signIn(t, a.browser, "alice@provider")
	seen = a.browser.Wait(t, "Your account is connected")
	require.NotContains(t, seen.URL, "code=")
	require.NotContains(t, seen.URL, "state=")
	require.Contains(t, seen.Text, "Until you or an administrator end it")
	require.Empty(t, seen.Violations, "no content of ours is refused by our own policy")
	a.look(t, "connected")

	who, err := a.whose(t, task)
	require.NoError(t, err)
	require.Equal(t, "alice@provider", who)

	t.Run("the link works once", func(t *testing.T) {
		for _, b := range []*testenv.Browser{a.browser, a.browser.Another("thief")} {
			require.Equal(t, http.StatusGone, b.Open(t, link))
			require.Equal(t, []string{"This was done already"}, b.See(t).Headings)
		}
		a.look(t, "used")
	})
	t.Run("how it ended is for its browser alone", func(t *testing.T) {
		require.Equal(t, http.StatusOK, a.browser.Open(t, seen.URL))
		require.Equal(t, http.StatusForbidden, a.browser.Another("thief").Open(t, seen.URL))
	})
	t.Run("the trail", func(t *testing.T) { requireConnectTrail(t, a) })
	absentFrom(t, a.Log(), clientSecret, strings.TrimPrefix(link, a.url+"/connect/"))
}

// look takes a picture where one is asked for, and holds a page to what everybody needs:
// no scripts, a language, names for what can be pressed, and no scrolling sideways on a
// small screen or at 200 %.
func (a *accounts) look(t *testing.T, name string) {
	t.Helper()
	for what, view := range map[string]map[string]any{
		"wide": {"width": 900}, "phone": {"width": 360}, "zoomed": {"width": 900, "zoom": 2}, "dark": {"width": 900, "dark": true},
	} {
		if dir := os.Getenv("ONEDOOR_PICTURES"); dir != "" {
			view["path"] = filepath.Join(dir, name+"-"+what+".png")
		}
		var answer struct{ Wide bool }
		a.browser.Do(t, "shoot", view, &answer)
		require.False(t, answer.Wide, "%s, %s", name, what)
	}
	var built struct {
		Lang                    string
		Mains, Scripts, Unnamed int
	}
	a.browser.Do(t, "structure", nil, &built)
	require.Equal(t, "en", built.Lang)
	require.Equal(t, []int{1, 0, 0}, []int{built.Mains, built.Scripts, built.Unnamed})
	seen := a.browser.See(t)
	require.Len(t, seen.Headings, 1)
	require.Equal(t, seen.Headings[0]+" – Onedoor", seen.Title)
}

// absentFrom never prints what it finds.
func absentFrom(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for i, s := range secrets {
		require.False(t, strings.Contains(text, s), "secret %d", i)
	}
}

// requireConnectTrail: the link, the exchange and how it ended are recorded, before the
// call that used what came of it.
func requireConnectTrail(t *testing.T, a *accounts) {
	t.Helper()
	var offered, intents, outcomes int
	for _, e := range a.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		targets := strings.Join(e.GetResources(), " ")
		switch {
		case e.GetTool() == "Credentials.Connect" && e.GetKind() == "ADMIN_INTENT":
			offered++
			require.Equal(t, "connector:things user:alice (local)", targets)
		case e.GetTool() == "credential.connect" && e.GetKind() == "ADMIN_INTENT":
			intents++
			require.Equal(t, "connector:things slot:main user:alice (local)", targets)
			require.Equal(t, "browser-link", e.GetAuthMethod())
			require.NotEmpty(t, e.GetPeer())
		case e.GetTool() == "credential.connect" && e.GetKind() == "ADMIN_OUTCOME":
			outcomes++
			require.Equal(t, "OK", e.GetOutcome())
			require.Contains(t, e.GetDetail(), "credential_id")
		}
	}
	require.Equal(t, []int{1, 1, 1}, []int{offered, intents, outcomes})
}

// TestConnectDeniedInABrowser: whoever says no is told what that means, and nothing is stored.
func TestConnectDeniedInABrowser(t *testing.T) {
	a := newAccounts(t)
	a.browser.Open(t, a.Connect(t, "things", "alice"))
	a.browser.Click(t, "Go on")
	a.browser.Wait(t, "Sign-in")
	a.browser.Click(t, "Cancel")
	seen := a.browser.Wait(t, "You did not agree")
	require.Contains(t, seen.Text, "ask for a new link")
	require.NotContains(t, seen.URL, "error=")
	require.Equal(t, http.StatusForbidden, a.browser.Open(t, seen.URL), "the page stays what it is")
	a.look(t, "denied")
	_, err := a.whose(t, a.Mint(t, nil, getThings))
	require.ErrorIs(t, err, client.CredentialMissing)
}
