package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/iotest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// verified reads a JWT with a library that is not ours.
func verified(t testing.TB, token string, algorithm string, public any, at time.Time) (header, claims map[string]any) {
	t.Helper()
	read := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(token, read, func(*jwt.Token) (any, error) { return public, nil },
		jwt.WithValidMethods([]string{algorithm}), jwt.WithTimeFunc(func() time.Time { return at }), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	require.NoError(t, err)
	return parsed.Header, read
}

func TestSign(t *testing.T) {
	k := theKeys()
	c := newClient(t, func() time.Time { return noon })
	tests := map[string]struct {
		key    string
		public any
		signed connector.Signed
		want   map[string]any // beside jti, iat and exp
	}{
		"RSA": {pkcs8(t, k.rsa), k.rsa.Public(), connector.Signed{Algorithm: "RS256", KeyID: "one", Issuer: "i", Subject: "s", Audience: "https://a", Scope: "x y"},
			map[string]any{"iss": "i", "sub": "s", "aud": "https://a", "scope": "x y"}},
		"EC":            {sec1(t, k.p256), k.p256.Public(), connector.Signed{Algorithm: "ES256", Issuer: "i", Subject: "s", Audience: "a"}, map[string]any{"iss": "i", "sub": "s", "aud": "a"}},
		"nothing extra": {pkcs1(k.rsa), k.rsa.Public(), connector.Signed{Algorithm: "RS256", Issuer: "4711"}, map[string]any{"iss": "4711"}},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 2 {
				made, err := c.Sign(vault.NewSecret([]byte(k.key)), k.signed)
				require.NoError(t, err)
				header, claims := verified(t, string(made.Reveal()), string(k.signed.Algorithm), k.public, noon)
				require.Equal(t, "JWT", header["typ"])
				if k.signed.KeyID == "" {
					require.NotContains(t, header, "kid")
				} else {
					require.Equal(t, k.signed.KeyID, header["kid"])
				}
				issued, expires, id := claims["iat"].(float64), claims["exp"].(float64), claims["jti"].(string)
				require.LessOrEqual(t, noon.Unix()-int64(issued), int64(60))
				require.GreaterOrEqual(t, noon.Unix()-int64(issued), int64(30))
				require.Greater(t, int64(expires), noon.Unix())
				require.LessOrEqual(t, expires-issued, float64(300))
				require.Len(t, id, 22, "128 bits")
				require.False(t, seen[id], "each is new")
				seen[id] = true
				for _, own := range []string{"iat", "exp", "jti"} {
					delete(claims, own)
				}
				require.Equal(t, k.want, claims)
			}
		})
	}
}

func TestSignFails(t *testing.T) {
	k := theKeys()
	c := newClient(t, func() time.Time { return noon })
	for name, key := range map[string]string{"no key": "", "no PEM": "canary", "another kind of key": pkcs8(t, k.p256), "too small": pkcs1(k.small)} {
		t.Run(name, func(t *testing.T) {
			made, err := c.Sign(vault.NewSecret([]byte(key)), connector.Signed{Algorithm: "RS256"})
			require.Error(t, err)
			require.NotContains(t, err.Error(), "canary")
			require.Empty(t, made.Reveal())
		})
	}
	t.Run("no randomness", func(t *testing.T) {
		dry := oauth.New(nil, time.Now, iotest.ErrReader(errors.New("dry")))
		_, err := dry.Sign(vault.NewSecret([]byte(pkcs8(t, k.rsa))), connector.Signed{Algorithm: "RS256"})
		require.ErrorContains(t, err, "dry")
	})
}

// TestAClientsKey: the client is proven by a signature, and its key goes nowhere.
func TestAClientsKey(t *testing.T) {
	k := theKeys()
	var form url.Values
	var authorization string
	at := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, authorization = r.PostForm, r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"access_token":"abc","token_type":"Bearer"}`))
	}))
	tests := map[string]struct {
		fields, key, algorithm string
		public                 any
		audience               string
	}{
		"RSA": {"auth: private_key_jwt, algorithm: RS256, key_id: one", pkcs8(t, k.rsa), "RS256", k.rsa.Public(), at.Origin + "/token"},
		"EC":  {"auth: private_key_jwt, algorithm: ES256, audience: https://issuer.example", sec1(t, k.p256), "ES256", k.p256.Public(), "https://issuer.example"},
	}
	for name, k := range tests {
		t.Run(name, func(t *testing.T) {
			slot := slotOf(t, at, "oauth: {grant: client_credentials, token_endpoint: {{at}}/token, client: {id: app, "+k.fields+"}, {{tls}}}")
			token, err := newClient(t, time.Now).Ask(t.Context(), oauth.Request{
				Workspace: "default", Connector: "things", OAuth: slot.OAuth, GrantType: "client_credentials", ClientSecret: vault.NewSecret([]byte(k.key)),
			})
			require.NoError(t, err)
			require.Equal(t, "abc", string(token.Access.Reveal()))
			require.Empty(t, authorization)
			require.Equal(t, []string{"app"}, form["client_id"])
			require.Equal(t, []string{"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, form["client_assertion_type"])
			require.NotContains(t, form, "client_secret")
			_, claims := verified(t, form.Get("client_assertion"), k.algorithm, k.public, time.Now())
			require.Equal(t, "app", claims["iss"])
			require.Equal(t, "app", claims["sub"])
			require.Equal(t, k.audience, claims["aud"])
		})
	}
	t.Run("a key that cannot sign is not sent in any other way", func(t *testing.T) {
		before := at.Requests()
		slot := slotOf(t, at, "oauth: {grant: client_credentials, token_endpoint: {{at}}/token, client: {id: app, auth: private_key_jwt, algorithm: RS256}, {{tls}}}")
		_, err := newClient(t, time.Now).Ask(t.Context(), oauth.Request{OAuth: slot.OAuth, GrantType: "client_credentials", ClientSecret: vault.NewSecret([]byte("canary"))})
		var refused *oauth.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, oauth.Refused, refused.Kind)
		require.NotContains(t, err.Error(), "canary")
		require.Equal(t, before, at.Requests())
	})
}
