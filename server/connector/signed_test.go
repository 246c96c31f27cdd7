package connector_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

// withSlots is small with these slots, in YAML's flow style.
func withSlots(t testing.TB, slots string) string {
	t.Helper()
	return replaced(t, "tools:", "credentials: "+slots+"\ntools:")
}

// grantOf is the text of one slot of the workspace's with this oauth.
func grantOf(oauth string) string {
	return "{main: {owner: workspace, attach: bearer, oauth: {token_endpoint: https://login.example/token, " + oauth + "}}}"
}

const (
	signedGrant   = "grant: jwt_bearer, assertion: {issuer: svc@example, algorithm: RS256}"
	keyedClient   = "grant: client_credentials, client: {id: app, auth: private_key_jwt, algorithm: ES256}"
	storedSubject = "grant: token_exchange, exchange: {subject: stored, subject_token_type: \"urn:ietf:params:oauth:token-type:access_token\"}"
	saidSubject   = "grant: token_exchange, exchange: {subject: assertion}, client: {id: app, auth: basic}"
)

func slotOf(t *testing.T, oauth string) connector.Slot {
	t.Helper()
	c, err := connector.Parse([]byte(withSlots(t, grantOf(oauth))))
	require.NoError(t, err)
	return c.Slots["main"]
}

func TestWhatAKeySigns(t *testing.T) {
	const endpoint = "https://login.example/token"
	tests := map[string]struct {
		oauth, stores string
		want          []connector.Signed
	}{
		"a grant": {signedGrant, "jwt_bearer", []connector.Signed{{Algorithm: "RS256", Issuer: "svc@example", Audience: endpoint}}},
		"a grant, all said": {
			"grant: jwt_bearer, scopes: [a, b], assertion: {issuer: i, subject: s, audience: \"urn:x\", algorithm: ES256, key_id: k}", "jwt_bearer",
			[]connector.Signed{{Algorithm: "ES256", KeyID: "k", Issuer: "i", Subject: "s", Audience: "urn:x", Scope: "a b"}},
		},
		"a client": {keyedClient, "client_credentials", []connector.Signed{{Algorithm: "ES256", Issuer: "app", Subject: "app", Audience: endpoint}}},
		"a client, all said": {
			"grant: client_credentials, client: {id: app, auth: private_key_jwt, algorithm: RS256, key_id: k, audience: https://login.example}", "client_credentials",
			[]connector.Signed{{Algorithm: "RS256", KeyID: "k", Issuer: "app", Subject: "app", Audience: "https://login.example"}},
		},
		"a client that says who the user is": {
			"grant: token_exchange, exchange: {subject: assertion}, client: {id: app, auth: private_key_jwt, algorithm: RS256}", "token_exchange",
			[]connector.Signed{{Algorithm: "RS256", Issuer: "app", Subject: "app", Audience: endpoint}},
		},
		"a secret":            {saidSubject, "token_exchange", nil},
		"a token to exchange": {storedSubject, "token_exchange", nil},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			s := slotOf(t, k.oauth)
			require.Equal(t, k.want, s.Signs)
			require.Equal(t, k.stores, s.Stores())
		})
	}
}

// TestAKeyInASlotOfItsOwn: several clients may prove themselves with it.
func TestAKeyInASlotOfItsOwn(t *testing.T) {
	c, err := connector.Parse([]byte(withSlots(t, `{
  key: {owner: workspace, attach: token-endpoint},
  two: {owner: user, attach: {header: X-Two}, oauth: {token_endpoint: https://two.example/token, `+storedSubject+`,
    client: {id: second, auth: private_key_jwt, algorithm: RS256, secret: key}}},
  one: {owner: user, attach: bearer, oauth: {token_endpoint: https://one.example/token, authorization_endpoint: https://one.example/authorize,
    grant: authorization_code, client: {id: first, auth: private_key_jwt, algorithm: RS256, secret: key}}}}`)))
	require.NoError(t, err)
	require.Equal(t, []connector.Signed{
		{Algorithm: "RS256", Issuer: "first", Subject: "first", Audience: "https://one.example/token"},
		{Algorithm: "RS256", Issuer: "second", Subject: "second", Audience: "https://two.example/token"},
	}, c.Slots["key"].Signs)
	require.Empty(t, c.Slots["one"].Signs)
	require.Empty(t, c.Slots["two"].Signs)
}

func TestExchange(t *testing.T) {
	stored := slotOf(t, storedSubject)
	require.Equal(t, &connector.Exchange{Subject: "stored", SubjectType: "urn:ietf:params:oauth:token-type:access_token"}, stored.OAuth.Exchange)
	require.False(t, stored.PerTask())
	require.Equal(t, connector.ClientNone, stored.OAuth.Auth)

	said := slotOf(t, saidSubject)
	require.Equal(t, &connector.Exchange{Subject: "assertion", SubjectType: connector.JWTType, Audience: "https://login.example/token"}, said.OAuth.Exchange)
	require.True(t, said.PerTask())

	acted := slotOf(t, "grant: token_exchange, exchange: {subject: stored, subject_token_type: \"urn:x\", actor: assertion, audience: https://login.example}")
	require.Equal(t, &connector.Exchange{Subject: "stored", SubjectType: "urn:x", Actor: true, Audience: "https://login.example"}, acted.OAuth.Exchange)
	require.True(t, acted.PerTask())

	for oauth, want := range map[string]bool{storedSubject: false, saidSubject: true, signedGrant: false} {
		c, err := connector.Parse([]byte(withSlots(t, grantOf(oauth))))
		require.NoError(t, err)
		require.Equal(t, want, c.States())
	}
}

func TestParseRefusesGrants(t *testing.T) {
	twoClients := func(first, second string) string {
		slot := func(client string) string {
			return "{owner: user, attach: {header: X-" + client[:1] + "}, oauth: {token_endpoint: https://login.example/token, " + storedSubject + ", client: {id: " + client + ", secret: key}}}"
		}
		return "{key: {owner: workspace, attach: token-endpoint}, a: " + slot(first) + ", b: " + slot(second) + "}"
	}
	tests := []struct{ name, slots, want string }{
		{"grant unknown", grantOf("grant: password, client: {id: a, auth: none}"), `grant "password": want one of [authorization_code client_credentials jwt_bearer token_exchange]`},

		{"assertion missing", grantOf("grant: jwt_bearer"), "oauth: assertion is missing"},
		{"assertion of another grant", grantOf(keyedClient + ", assertion: {issuer: a, algorithm: RS256}"), "assertion: only beside grant: jwt_bearer"},
		{"issuer missing", grantOf("grant: jwt_bearer, assertion: {algorithm: RS256}"), "assertion: issuer is missing"},
		{"algorithm missing", grantOf("grant: jwt_bearer, assertion: {issuer: a}"), "assertion: algorithm is missing"},
		{"algorithm none", grantOf("grant: jwt_bearer, assertion: {issuer: a, algorithm: none}"), `algorithm "none": want one of [RS256 ES256]`},
		{"algorithm symmetric", grantOf("grant: jwt_bearer, assertion: {issuer: a, algorithm: HS256}"), `algorithm "HS256"`},
		{"issuer with a space", grantOf("grant: jwt_bearer, assertion: {issuer: a b, algorithm: RS256}"), "issuer: want printable ASCII without spaces"},
		{"subject with a line break", grantOf(`grant: jwt_bearer, assertion: {issuer: a, subject: "a\nb", algorithm: RS256}`), "subject: want printable"},
		{"audience empty", grantOf(`grant: jwt_bearer, assertion: {issuer: a, audience: "", algorithm: RS256}`), "audience: want 1 to 512 bytes"},
		{"audience a list", grantOf(`grant: jwt_bearer, assertion: {issuer: a, audience: [a], algorithm: RS256}`), "audience: want a string"},
		{"key id not ASCII", grantOf(`grant: jwt_bearer, assertion: {issuer: a, key_id: é, algorithm: RS256}`), "key_id: want printable"},
		{"assertion with more", grantOf("grant: jwt_bearer, assertion: {issuer: a, algorithm: RS256, user: me}"), `assertion has no field "user"`},
		{"a client without its secret", grantOf(signedGrant + ", client: {id: a, auth: basic}"), "client: auth and secret go together"},
		{"authorization endpoint", grantOf(signedGrant + ", authorization_endpoint: https://login.example/a"), "authorization_endpoint: only beside grant: authorization_code"},

		{"client's algorithm missing", grantOf("grant: client_credentials, client: {id: a, auth: private_key_jwt}"), "client: algorithm is missing"},
		{"client's algorithm for a secret", grantOf("grant: client_credentials, client: {id: a, auth: basic, algorithm: RS256}"), "algorithm: only beside auth: private_key_jwt"},
		{"client's key id for a secret", grantOf("grant: client_credentials, client: {id: a, auth: basic, key_id: k}"), "key_id: only beside auth: private_key_jwt"},
		{"client's audience for a secret", grantOf("grant: client_credentials, client: {id: a, auth: post, audience: k}"), "audience: only beside auth: private_key_jwt"},
		{"a key beside the slot's own", "{key: {owner: workspace, attach: token-endpoint}, main: {owner: workspace, attach: bearer, oauth: {token_endpoint: https://login.example/token, " +
			"grant: client_credentials, client: {id: a, auth: private_key_jwt, algorithm: RS256, secret: key}}}}", "the slot itself holds the secret"},
		{"key and password in one", twoClients("x, auth: private_key_jwt, algorithm: RS256", "y, auth: post"), "slot key: it is a private key for one client and a secret for another"},
		{"one key, two algorithms", twoClients("x, auth: private_key_jwt, algorithm: RS256", "y, auth: private_key_jwt, algorithm: ES256"), "slot key: one key signs with one algorithm"},

		{"exchange missing", grantOf("grant: token_exchange, client: {id: a, auth: none}"), "oauth: exchange is missing"},
		{"exchange of another grant", grantOf(signedGrant + ", exchange: {subject: assertion}"), "exchange: only beside grant: token_exchange"},
		{"subject missing", grantOf("grant: token_exchange, exchange: {actor: assertion}"), "exchange: subject is missing"},
		{"subject unknown", grantOf("grant: token_exchange, exchange: {subject: user}"), `subject "user": want stored or assertion`},
		{"type missing", grantOf("grant: token_exchange, exchange: {subject: stored}"), "exchange: subject_token_type is missing"},
		{"type no URI", grantOf("grant: token_exchange, exchange: {subject: stored, subject_token_type: access_token}"), "subject_token_type: want a URI"},
		{"type of an assertion", grantOf(`grant: token_exchange, exchange: {subject: assertion, subject_token_type: "urn:x"}, client: {id: a, auth: basic}`), "subject_token_type: only beside subject: stored"},
		{"actor unknown", grantOf(`grant: token_exchange, exchange: {subject: stored, subject_token_type: "urn:x", actor: stored}`), "actor: want assertion"},
		{"audience of nothing", grantOf(`grant: token_exchange, exchange: {subject: stored, subject_token_type: "urn:x", audience: a}`), "audience: it is that of the broker's own statement"},
		{"assertion by a client that proves nothing", grantOf("grant: token_exchange, exchange: {subject: assertion}, client: {id: a, auth: none}"), "client: token_exchange needs auth"},
		{"assertion without a client", grantOf("grant: token_exchange, exchange: {subject: assertion}"), "oauth: client is missing"},
		{"assertion in a user's slot", "{main: {owner: user, attach: bearer, oauth: {token_endpoint: https://login.example/token, " + saidSubject + "}}}", "the slot holds the client's secret, so it is the workspace's"},
		{"a parameter of the broker's", grantOf(storedSubject + ", parameters: {requested_token_type: x}"), "parameter requested_token_type: the broker sets it"},
	}
	for _, k := range tests {
		t.Run(k.name, func(t *testing.T) {
			_, err := connector.Parse([]byte(withSlots(t, k.slots)))
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, k.want)
		})
	}
}
