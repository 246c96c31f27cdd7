package credential_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// ofKey is a grant that id1's key signs.
func (p *provider) ofKey() string {
	return "grant: jwt_bearer, scopes: [openid], assertion: {issuer: id1, subject: id1, audience: \"" + p.Origin + "\", algorithm: RS256, key_id: k1}"
}

const (
	byClient  = "client: {id: onedoor, auth: basic}"
	ofTask    = "grant: token_exchange, scopes: [openid], exchange: {subject: assertion}, " + byClient
	ofTaskAct = "grant: token_exchange, scopes: [openid], exchange: {subject: assertion, actor: assertion}, " + byClient
)

func TestJWTBearer(t *testing.T) {
	b := newBench(t)
	p := newProvider(t, b)
	c := b.connector(t, p.slot("workspace", p.ofKey()))
	b.put(t, c, "main", "", theSigners().rsa)
	token := b.bearer(t, b.Keeper, c, nil)
	require.Equal(t, "id1", p.owner(t, token))
	require.Equal(t, token, b.bearer(t, b.Keeper, c, nil), "one token for all calls")
	require.NotEqual(t, token, b.bearer(t, b.keeper(), c, nil), "nobody else keeps it")

	b.put(t, c, "main", "", theSigners().otherRSA)
	_, err := b.attached(t, b.Keeper, c, nil, bound(t, c))
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	require.NotContains(t, err.Error(), "PRIVATE KEY")
	require.NotContains(t, p.Wire(), "PRIVATE", "the key itself is sent nowhere")
}

func TestAStoredTokenIsExchanged(t *testing.T) {
	b := newBench(t)
	p := newProvider(t, b)
	source := b.connector(t, p.slot("workspace", p.ofKey()))
	b.put(t, source, "main", "", theSigners().rsa)
	first := b.bearer(t, b.Keeper, source, nil)

	const client = "token-endpoint}\n  main:"
	c := b.connector(t, p.slot("user", `grant: token_exchange, scopes: [openid], parameters: {audience: things}, client: {id: onedoor, auth: basic, secret: client},
    exchange: {subject: stored, subject_token_type: "urn:ietf:params:oauth:token-type:access_token"}`),
		func(text string) string {
			return strings.Replace(text, "  main:", "  client: {owner: workspace, attach: "+client, 1)
		})
	c.Name = "things"
	b.put(t, c, "main", b.alice, first)
	b.put(t, c, "client", "", testenv.ClientSecret)
	alice := b.callerOf(b.alice, "alice")
	token := b.bearer(t, b.Keeper, c, alice)
	require.NotEqual(t, first, token)
	require.Equal(t, "id1", p.owner(t, token))
	require.Equal(t, token, b.bearer(t, b.Keeper, c, b.callerOf(b.alice, "alice")), "it says nothing of the task")
	require.Len(t, p.exchanged(), 1)
	require.Equal(t, []string{"things"}, p.exchanged()[0].GetAudience())

	_, err := b.Find(t.Context(), c, b.bob)
	requireMissing(t, err, "none is stored")
}

// TestTheTasksUserIsExchanged: the provider gives tokens on the broker's word, for each
// task its own, and for its user alone.
func TestTheTasksUserIsExchanged(t *testing.T) {
	b := newBench(t)
	p := newProvider(t, b)
	c := b.connector(t, p.slot("workspace", ofTaskAct))
	b.put(t, c, "main", "", testenv.ClientSecret)
	alice, again, bob := b.callerOf(b.alice, "alice"), b.callerOf(b.alice, "alice"), b.callerOf(b.bob, "bob")
	first := b.bearer(t, b.Keeper, c, alice)
	require.Equal(t, "id1", p.owner(t, first))
	second := b.bearer(t, b.Keeper, c, bob)
	require.Equal(t, "id2", p.owner(t, second))
	third := b.bearer(t, b.Keeper, c, again)
	require.Equal(t, "id1", p.owner(t, third))
	require.NotEqual(t, first, third, "another task of hers")
	require.Equal(t, first, b.bearer(t, b.Keeper, c, alice))
	require.Equal(t, second, b.bearer(t, b.Keeper, c, bob))
	made := p.exchanged()
	require.Len(t, made, 3)
	require.Equal(t, "mailer", made[0].GetExchangeActor())
	claims := made[0].GetExchangeSubjectTokenClaims()
	require.Equal(t, b.alice, claims["sub"])
	require.Equal(t, map[string]any{"sub": "mailer", "sub_profile": "ai_agent"}, claims["act"])
	require.Equal(t, map[string]any{"task": alice.Task.ID, "workspace": workspace}, claims["tctx"])
	for _, claim := range []string{"scope", "htm", "htu"} {
		require.NotContains(t, claims, claim, "it is about no one request")
	}

	for name, k := range map[string]struct{ user, subject string }{"a stranger to the provider": {b.bob, "mallory"}, "nobody": {"", ""}} {
		t.Run(name, func(t *testing.T) {
			_, err := b.attached(t, b.keeper(), c, b.callerOf(k.user, k.subject), bound(t, c))
			require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
			requireSilent(t, err)
			require.NotEqual(t, "connect", fault.From(err).Metadata["mend"], "nobody can connect it")
		})
	}
	foreign := *alice // whose token is there already
	foreign.Task.Workspace = "other"
	for name, caller := range map[string]func() error{
		"no caller": func() error {
			_, err := b.attached(t, b.Keeper, c, nil, bound(t, c))
			return err
		},
		"a caller of another workspace": func() error {
			_, err := b.attached(t, b.Keeper, c, &foreign, bound(t, c))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { require.True(t, fault.Is(caller(), fault.Internal)) })
	}
	require.Len(t, p.exchanged(), 3)
}

// TestNobodyIsNamedWithoutAnIssuer: no statement, no token.
func TestNobodyIsNamedWithoutAnIssuer(t *testing.T) {
	b := newBench(t)
	off := assertion.New(assertion.Options{Keys: b.keys})
	require.True(t, fault.Is(off.Ready(b.connector(t, newProvider(t, b).slot("workspace", ofTask))), fault.CredentialMissing))
	require.NoError(t, off.Ready(b.connector(t)))
	_, err := off.StateUser(t.Context(), b.intent(t, workspace), b.callerOf(b.alice, "alice"), "https://login.example")
	require.True(t, fault.Is(err, fault.CredentialMissing))
}

// TestWiderTokensAreThrownAway: what comes back is held against what was asked for.
func TestWiderTokensAreThrownAway(t *testing.T) {
	const good = `"access_token":"canary-token","token_type":"Bearer","expires_in":60,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"`
	tests := map[string]struct {
		answer string
		taken  bool
	}{
		"as asked":        {"{" + good + `,"scope":"a b"}`, true},
		"less":            {"{" + good + `,"scope":"b"}`, true},
		"nothing said":    {`{"access_token":"canary-token","expires_in":60}`, true},
		"one scope more":  {"{" + good + `,"scope":"a b admin"}`, false},
		"another scope":   {"{" + good + `,"scope":"A"}`, false},
		"a refresh token": {strings.Replace("{"+good+"}", "type:access_token", "type:refresh_token", 1), false},
		"an ID token":     {strings.Replace("{"+good+"}", "type:access_token", "type:id_token", 1), false},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			at := answering(t, 200, k.answer)
			c := b.connector(t, endpoint(at, "workspace", "grant: token_exchange, scopes: [a, b], exchange: {subject: assertion}, "+byClient))
			b.put(t, c, "main", "", testenv.ClientSecret)
			_, err := b.attached(t, b.Keeper, c, b.callerOf(b.alice, "alice"), bound(t, c))
			require.Equal(t, 1, at.Requests())
			if k.taken {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
			require.ErrorContains(t, err, "thrown away")
			requireSilent(t, err)
		})
	}
}
