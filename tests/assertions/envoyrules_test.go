package assertions_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/tests/testenv"
)

// TestEnvoy: what the page's filter accepts and refuses. Envoy's clock cannot be set, so
// these are no golden vectors but tokens of this moment.
func TestEnvoy(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	require.NoError(t, err)
	publisher := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, []byte(publisher.CA), 0o600))
	// By its address: the name may have another too, on which nobody listens.
	guard := envoy(t, envoyPlaces{keys: strings.Replace(publisher.Origin, "localhost", "127.0.0.1", 1) + jwksPath, age: "300s", ca: ca})

	now := time.Now()
	seconds := func(d time.Duration) int64 { return now.Add(d).Unix() }
	tests := []struct {
		name     string
		claims   object // beside the valid ones; nil takes one out
		header   object
		accepted bool
	}{
		{name: "valid", accepted: true},
		{name: "expired within the leeway", claims: object{"exp": seconds(-5 * time.Second)}, accepted: true},
		{name: "expired", claims: object{"exp": seconds(-45 * time.Second)}},
		{name: "no exp", claims: object{"exp": nil}},
		{name: "a life too long", claims: object{"exp": seconds(10 * time.Minute)}},
		{name: "another issuer", claims: object{"iss": "https://other.example"}},
		{name: "no issuer", claims: object{"iss": nil}},
		{name: "another audience", claims: object{"aud": "https://other.internal"}},
		{name: "no audience", claims: object{"aud": nil}},
		{name: "unknown kid", header: object{"kid": "two"}},
		// What the page says that it does not see:
		{name: "typ JWT", header: object{"typ": "JWT"}, accepted: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := jwt.MapClaims{
				"iss": issuer, "aud": audience, "sub": "usr_1", "jti": "x", "iat": seconds(-50 * time.Second), "exp": seconds(10 * time.Second),
			}
			token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
			token.Header["kid"], token.Header["typ"] = "one", "onedoor-assertion+jwt"
			replace(claims, tt.claims)
			replace(token.Header, tt.header)
			text, err := token.SignedString(key)
			require.NoError(t, err)
			said, err := guard.ask(probe{Token: text})
			require.NoError(t, err)
			require.Equal(t, tt.accepted, said.Accepted, said.Why)
		})
	}
	said, err := guard.ask(probe{})
	require.NoError(t, err)
	require.False(t, said.Accepted, "no assertion at all")
}

func replace(in, by object) {
	for name, value := range by {
		in[name] = value
		if value == nil {
			delete(in, name)
		}
	}
}

// TestIstioManifests: they parse, and say the same as the other programs. Istio itself
// cannot be had as a package.
func TestIstioManifests(t *testing.T) {
	decoder := yaml.NewDecoder(strings.NewReader(block(t, "text", "kind: RequestAuthentication")))
	var authentication, policy object
	require.NoError(t, decoder.Decode(&authentication))
	require.NoError(t, decoder.Decode(&policy))
	require.Equal(t, "RequestAuthentication", authentication["kind"])
	require.Equal(t, object{"jwtRules": []any{object{
		"issuer": issuer, "audiences": []any{audience}, "jwksUri": issuer + jwksPath,
		"fromHeaders": []any{object{"name": assertionHeader}}, "forwardOriginalToken": true,
	}}}, authentication["spec"])
	require.Equal(t, "AuthorizationPolicy", policy["kind"])
	require.Equal(t, object{"action": "ALLOW", "rules": []any{object{"from": []any{object{"source": object{
		"principals": []any{"prod.example/onedoor"}, "requestPrincipals": []any{issuer + "/*"},
	}}}}}}, policy["spec"])
}
