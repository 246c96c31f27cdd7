package attack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
	"github.com/onedoor/onedoor/tests/testenv"
)

// What a service got with one call proves that call and no other: it is refused at another
// service, for another request, a second time, and with any part of it changed. It names
// the user, the agent and the sandbox, and lives a minute.
func TestAttack26_Forgery(t *testing.T) {
	s := newService(t)
	b := testenv.NewSite(t, "", 0).Start(t, testenv.Signing(time.Hour, time.Hour, time.Hour))
	s.believe(t, b)
	b.Apply(t, s.manifest())
	c := b.Client(t, testenv.Sandbox, b.Mint(t, nil, "things: things.* WRITE thing:*").Key)
	keysURL := b.PublicURL + "/.well-known/jwks.json"
	verifier := func(edit func(*assertion.Options)) *assertion.Verifier {
		o := assertion.Options{
			Issuer: testenv.AssertionIssuer, Audience: testenv.AssertionAudience, Origin: s.Origin, JWKSURL: keysURL, HTTPClient: testenv.HTTPS(t, b.Anonymous(t)),
		}
		edit(&o)
		v, err := assertion.NewVerifier(o)
		require.NoError(t, err)
		return v
	}
	here := func(*assertion.Options) {}
	elsewhere := func(o *assertion.Options) { o.Audience = "https://others.internal" }
	later := func(by time.Duration) func(*assertion.Options) {
		return func(o *assertion.Options) { o.Now = func() time.Time { return time.Now().Add(by) } }
	}
	var set jose.JSONWebKeySet
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, keysURL, nil)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(testenv.Fetch(t, testenv.HTTPS(t, b.Anonymous(t)), request).Body), &set))
	require.Len(t, set.Keys, 2, "the active one and one that stands by, of no other purpose")
	for _, k := range set.Keys {
		require.True(t, k.IsPublic() && k.Valid() && k.Use == "sig" && k.Algorithm == "ES256")
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	require.NoError(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	signed := func(alg jose.SignatureAlgorithm, key any) func(t *testing.T, head, claims map[string]any) string {
		return func(t *testing.T, head, claims map[string]any) string {
			delete(head, "alg")
			return testenv.SignToken(t, jose.SigningKey{Algorithm: alg, Key: key}, head, claims)
		}
	}
	// changed keeps the signature, and changes one part of what was signed.
	changed := func(part int, name string, value any) func(t *testing.T, token string) string {
		return func(t *testing.T, token string) string {
			parts := strings.Split(token, ".")
			members := decoded(t, parts[part])
			if members[name] = value; value == nil {
				delete(members, name)
			}
			text, err := json.Marshal(members)
			require.NoError(t, err)
			parts[part] = base64.RawURLEncoding.EncodeToString(text)
			return strings.Join(parts, ".")
		}
	}
	resigned := func(sign func(*testing.T, map[string]any, map[string]any) string, name string, value any) func(*testing.T, string) string {
		return func(t *testing.T, token string) string {
			parts := strings.Split(token, ".")
			head, claims := decoded(t, parts[0]), decoded(t, parts[1])
			if name != "" {
				if head[name] = value; value == nil {
					delete(head, name)
				}
			}
			return sign(t, head, claims)
		}
	}
	otherKid := func(t *testing.T, token string) string {
		kid := set.Keys[0].KeyID
		if decoded(t, strings.Split(token, ".")[0])["kid"] == kid {
			kid = set.Keys[1].KeyID
		}
		return changed(0, "kid", kid)(t, token)
	}
	same := func(_ *testing.T, token string) string { return token }
	for name, one := range map[string]struct {
		at     func(*assertion.Options)
		forge  func(*testing.T, string) string
		change func(*http.Request)
		want   assertion.Reason
	}{
		"at another service": {elsewhere, same, nil, assertion.AudienceWrong},
		"for another method": {here, same, func(r *http.Request) { r.Method = http.MethodPut }, assertion.MethodWrong},
		"for another path":   {here, same, func(r *http.Request) { r.URL.Path = "/things/2" }, assertion.URIWrong},
		"for another query":  {here, same, func(r *http.Request) { r.URL.RawQuery = "all=1" }, assertion.QueryWrong},
		"after its time":     {later(2 * time.Minute), same, nil, assertion.Expired},
		"before its time":    {later(-2 * time.Minute), same, nil, assertion.NotYetValid},
		"twice in one request": {here, same, func(r *http.Request) {
			r.Header["X-Onedoor-Jwt-Assertion"] = append(r.Header["X-Onedoor-Jwt-Assertion"], "x")
		}, assertion.HeaderRepeated},
		"another audience":             {elsewhere, changed(1, "aud", "https://others.internal"), nil, assertion.SignatureInvalid},
		"a longer life":                {here, changed(1, "exp", time.Now().Add(time.Hour).Unix()), nil, assertion.SignatureInvalid},
		"another user":                 {here, changed(1, "sub", "mallory"), nil, assertion.SignatureInvalid},
		"a new id":                     {here, changed(1, "jti", "AAAAAAAAAAAAAAAAAAAAAA"), nil, assertion.SignatureInvalid},
		"alg none":                     {here, changed(0, "alg", "none"), nil, assertion.AlgorithmRefused},
		"no alg":                       {here, changed(0, "alg", nil), nil, assertion.AlgorithmRefused},
		"no kid":                       {here, changed(0, "kid", nil), nil, assertion.KeyUnknown},
		"another kid":                  {here, changed(0, "kid", "nobody"), nil, assertion.KeyUnknown},
		"the kid that stands by":       {here, otherKid, nil, assertion.SignatureInvalid},
		"another typ":                  {here, changed(0, "typ", "JWT"), nil, assertion.TypeWrong},
		"a key of its own":             {here, changed(0, "jwk", set.Keys[0]), nil, assertion.SignatureInvalid},
		"HMAC with the public key":     {here, resigned(signed(jose.HS256, public), "", nil), nil, assertion.AlgorithmRefused},
		"by a stranger under our kid":  {here, resigned(signed(jose.ES256, stranger), "", nil), nil, assertion.SignatureInvalid},
		"by a stranger without a kid":  {here, resigned(signed(jose.ES256, stranger), "kid", nil), nil, assertion.KeyUnknown},
		"by a stranger who brings jku": {here, resigned(signed(jose.ES256, stranger), "jku", "https://evil.example/jwks.json"), nil, assertion.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(s.tokens)
			_, err := c.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			require.NoError(t, err)
			require.Len(t, s.tokens, before+1, "the real one is accepted")
			try := func(at *assertion.Verifier, token string, change func(*http.Request)) error {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Origin+"/things/1", nil)
				require.NoError(t, err)
				r.Header.Set("X-Onedoor-Jwt-Assertion", token)
				if change != nil {
					change(r)
				}
				_, err = at.Verify(t.Context(), r)
				return err
			}
			live := s.tokens[before]
			require.NoError(t, try(verifier(here), live, nil), "or this would say nothing")
			require.ErrorIs(t, try(verifier(one.at), one.forge(t, live), one.change), one.want)
		})
	}
	claims := decoded(t, strings.Split(s.tokens[0], ".")[1])
	require.LessOrEqual(t, claims["exp"].(float64)-claims["iat"].(float64), 60.0)
	require.Equal(t, map[string]any{"sub": "tester", "sub_profile": "ai_agent"}, claims["act"])
	require.Equal(t, b.SPIFFEID(testenv.Sandbox), claims["req_wl"])
	require.NotContains(t, []any{"", "alice", "tester"}, claims["sub"], "the user, by an id that says nothing")
	require.Equal(t, testenv.AssertionAudience, claims["aud"], "one, and no list")
}

func decoded(t *testing.T, part string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	return members
}
