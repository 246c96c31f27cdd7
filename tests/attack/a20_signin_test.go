package attack_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// Where users sign in before they connect, nobody connects in another's name: not with
// another's sign-in, not with one that belongs to another browser or another run, not
// with a token of another kind, and not by leaving the sign-in out. The provider's code
// never goes to anybody before that.
func TestAttack20_SignIn(t *testing.T) {
	base := testenv.ConnectURL(t)
	issuer, other, provider := testenv.NewIssuer(t), testenv.NewIssuer(t), newTokenEndpoint(t)
	b := testenv.NewSite(t, "", 0).Start(t, testenv.Connecting(base), func(c *config.Config) {
		for _, i := range []*testenv.Issuer{issuer, other} {
			c.Issuers = append(c.Issuers, testenv.SignInConfig(t, i.URL, i.CA, "sign-in-secret", "default"))
		}
	})
	b.Apply(t, provider.Manifest("named", testenv.OAuthSlots(provider.Origin+"/authorize", provider.Origin+"/token", provider.CA, "scopes: [a]"), testenv.Things))
	b.PutClient(t, "named", clientCanary)
	link := func() string { return b.Connect(t, "named", "alice", "--issuer", issuer.URL) }
	alice := newSurfer(t, b, base)
	strayed := alice.begun(t, link()) // a sign-in of hers that belongs to another run

	for name, claims := range map[string]func(asked url.Values) map[string]any{
		"somebody else":  func(url.Values) map[string]any { return issuer.Claims("mallory") },
		"another issuer": func(url.Values) map[string]any { c := issuer.Claims("alice"); c["iss"] = other.URL; return c },
		"another client": func(url.Values) map[string]any { c := issuer.Claims("alice"); c["aud"] = "another"; return c },
		"another run's": func(url.Values) map[string]any {
			c := issuer.Claims("alice")
			c["nonce"] = strayed.Get("nonce")
			return c
		},
		"no nonce":        func(url.Values) map[string]any { c := issuer.Claims("alice"); c["nonce"] = nil; return c },
		"expired":         func(url.Values) map[string]any { c := issuer.Claims("alice"); c["exp"] = 1; return c },
		"another case":    func(url.Values) map[string]any { return issuer.Claims("Alice") },
		"a name and more": func(url.Values) map[string]any { return issuer.Claims("alice\x00") },
		"no subject":      func(url.Values) map[string]any { c := issuer.Claims("alice"); delete(c, "sub"); return c },
	} {
		t.Run(name, func(t *testing.T) {
			asked := alice.begun(t, link())
			said := claims(asked)
			if nonce, given := said["nonce"]; !given {
				said["nonce"] = asked.Get("nonce")
			} else if nonce == nil {
				delete(said, "nonce")
			}
			issuer.Tokens = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"access_token":"a","token_type":"Bearer","id_token":%q}`, issuer.Sign(t, said))
			}
			answer := alice.back(t, url.Values{"code": {codeCanary}, "state": {asked.Get("state")}})
			require.Equal(t, http.StatusSeeOther, answer.Status, answer.Body)
			ended := alice.get(t, base+answer.Header.Get("Location"))
			require.GreaterOrEqual(t, ended.Status, 400)
			absent(t, "the page", ended.Body, codeCanary)
			require.Empty(t, answer.Header.Get("Refresh"), "it does not go on to the provider")
			require.Equal(t, http.StatusNotFound, alice.back(t, url.Values{"code": {codeCanary}, "state": {asked.Get("state")}}).Status, "and its state is used up")
		})
	}
	t.Run("an answer for the provider in the place of the issuer's", func(t *testing.T) {
		asked := alice.begun(t, link())
		answer := alice.back(t, url.Values{"code": {codeCanary}, "state": {asked.Get("state")}, "iss": {provider.Origin}})
		require.Equal(t, http.StatusSeeOther, answer.Status)
		require.GreaterOrEqual(t, alice.get(t, base+answer.Header.Get("Location")).Status, 400)
	})
	t.Run("in another browser", func(t *testing.T) {
		asked := alice.begun(t, link())
		require.Equal(t, http.StatusForbidden, newSurfer(t, b, base).back(t, url.Values{"code": {codeCanary}, "state": {asked.Get("state")}}).Status)
	})
	require.Zero(t, provider.sent(), "no code went to the provider")
	requireConnected(t, b, "named")
}

// What a link was made for must still be so when the browser comes back: neither its time
// has passed nor has anybody changed the connector, in whose name the user agreed.
func TestAttack20_ChangedMeanwhile(t *testing.T) {
	base, store := testenv.ConnectURL(t), testenv.Postgres(t)
	provider, evil := newTokenEndpoint(t), newTokenEndpoint(t)
	b := testenv.NewSite(t, store, 0).Start(t, testenv.Connecting(base))
	manifest := func(tokens *tokenEndpoint) string {
		return provider.Manifest("named", testenv.OAuthSlots(provider.Origin+"/authorize", tokens.Origin+"/token", tokens.CA, "scopes: [a]"), testenv.Things)
	}
	b.Apply(t, manifest(provider))
	b.PutClient(t, "named", clientCanary)
	alice := newSurfer(t, b, base)
	late := func() { change(t, store, `UPDATE connects SET expires_us = 1`) }
	moved := func() {
		b.Apply(t, manifest(evil))
		b.PutClient(t, "named", clientCanary)
	}
	for _, one := range []struct {
		name   string
		happen func()
	}{{"its time has passed", late}, {"the tokens are asked for elsewhere", moved}} {
		t.Run(one.name, func(t *testing.T) {
			unopened, pressed := b.Connect(t, "named", "alice"), b.Connect(t, "named", "alice")
			page := alice.opened(t, pressed)
			asked := alice.begun(t, b.Connect(t, "named", "alice"))
			one.happen()
			require.GreaterOrEqual(t, alice.get(t, unopened).Status, 400)
			answer := alice.press(t, pressed, page)
			require.GreaterOrEqual(t, answer.Status, 400)
			require.Empty(t, answer.Header.Get("Refresh"))
			answer = alice.back(t, answerOf(provider, asked))
			if answer.Status == http.StatusSeeOther {
				answer = alice.get(t, base+answer.Header.Get("Location"))
			}
			require.GreaterOrEqual(t, answer.Status, 400)
		})
	}
	require.Zero(t, provider.sent()+evil.sent(), "the code stayed here")
	requireConnected(t, b, "named")
	refused := 0
	for _, e := range b.ListEvents(t, &onedoorv1.AuditListRequest{}) {
		if e.GetKind() == "REFUSAL" {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 6, "and each is in the trail")
}
