package idtoken_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

const workspace = "default"

// bench is a Verifier before one issuer, with a clock that a test moves.
type bench struct {
	*idtoken.Verifier
	issuer *testenv.Issuer
	ahead  time.Duration
}

func newBench(t *testing.T, change ...func(*idtoken.Issuer)) *bench {
	t.Helper()
	b := &bench{issuer: testenv.NewIssuer(t)}
	one := issuerOf(b.issuer)
	for _, c := range change {
		c(&one)
	}
	b.Verifier = verifier(t, func() time.Time { return time.Now().Add(b.ahead) }, one)
	return b
}

func issuerOf(i *testenv.Issuer) idtoken.Issuer {
	return idtoken.Issuer{
		URL: i.URL, Audiences: []string{testenv.Audience, "console"}, Workspaces: []string{workspace},
		Policy: egress.Policy{
			RootCAs:     []byte(i.CA),
			AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		},
	}
}

func verifier(t testing.TB, now func() time.Time, issuers ...idtoken.Issuer) *idtoken.Verifier {
	t.Helper()
	door := egress.New(egress.Options{})
	t.Cleanup(door.Close)
	v, err := idtoken.New(idtoken.Options{Issuers: issuers, Door: door, Now: now})
	require.NoError(t, err)
	return v
}

func (b *bench) verify(t *testing.T, token, nonce string) (task.User, error) {
	t.Helper()
	return b.Verify(t.Context(), workspace, vault.NewSecret([]byte(token)), nonce)
}

// requireRefused: the field is named, and nothing of the token is repeated.
func requireRefused(t testing.TB, err error, token string) {
	t.Helper()
	require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
	f := fault.From(err)
	require.Equal(t, map[string]string{"field": "id_token"}, f.Metadata)
	require.NoError(t, f.Unwrap(), "the cause goes to the log, where no claim belongs either")
	require.NotContains(t, f.Public, "canary")
	for part := range strings.SplitSeq(token, ".") {
		if part != "" {
			require.NotContains(t, f.Public, part)
		}
	}
}

func TestGoodTokens(t *testing.T) {
	for name, c := range map[string]struct {
		change func(claims map[string]any)
		nonce  string
	}{
		"plain":                      {func(map[string]any) {}, ""},
		"list of one audience":       {func(c map[string]any) { c["aud"] = []string{"onedoor"} }, ""},
		"two of ours, with azp":      {func(c map[string]any) { c["aud"], c["azp"] = []string{"onedoor", "console"}, "console" }, ""},
		"the nonce that is asked":    {func(c map[string]any) { c["nonce"] = "n-0S6_WzA2Mj" }, "n-0S6_WzA2Mj"},
		"a nonce nobody asked for":   {func(c map[string]any) { c["nonce"] = "n-0S6_WzA2Mj" }, ""},
		"issuer's clock a bit ahead": {func(c map[string]any) { c["iat"] = time.Now().Add(20 * time.Second).Unix() }, ""},
		"claims nobody knows":        {func(c map[string]any) { c["groups"] = []int{1, 2} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			claims := b.issuer.Claims("8f2c")
			c.change(claims)
			u, err := b.verify(t, b.issuer.Sign(t, claims), c.nonce)
			require.NoError(t, err)
			require.Equal(t, task.User{Issuer: b.issuer.URL, Subject: "8f2c"}, u)
		})
	}
}

// TestForgedClaims: rightly signed, and not for us, not now, or not of this issuer.
func TestForgedClaims(t *testing.T) {
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, c := range map[string]struct {
		change func(claims map[string]any)
		nonce  string
		says   string
	}{
		"wrong issuer":            {func(c map[string]any) { c["iss"] = "https://canary.example" }, "", "issuer"},
		"issuer with a slash":     {func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }, "", "issuer"},
		"local":                   {func(c map[string]any) { c["iss"] = "local" }, "", "issuer"},
		"no issuer":               {func(c map[string]any) { delete(c, "iss") }, "", "issuer"},
		"wrong audience":          {func(c map[string]any) { c["aud"] = "canary" }, "", "audience"},
		"no audience":             {func(c map[string]any) { delete(c, "aud") }, "", "audience"},
		"empty list of audiences": {func(c map[string]any) { c["aud"] = []string{} }, "", "audience"},
		"audience in capitals":    {func(c map[string]any) { c["aud"] = "Onedoor" }, "", "audience"},
		"a foreign one beside":    {func(c map[string]any) { c["aud"], c["azp"] = []string{"onedoor", "canary"}, "onedoor" }, "", "another audience"},
		"two without azp":         {func(c map[string]any) { c["aud"] = []string{"onedoor", "console"} }, "", "without azp"},
		"foreign azp":             {func(c map[string]any) { c["azp"] = "canary" }, "", "azp"},
		"empty azp":               {func(c map[string]any) { c["azp"] = "" }, "", "azp"},
		"expired":                 {func(c map[string]any) { c["exp"] = in(-time.Second) }, "", "expired"},
		"no end":                  {func(c map[string]any) { delete(c, "exp") }, "", "expired"},
		"issued in the future":    {func(c map[string]any) { c["iat"] = in(2 * time.Minute) }, "", "future"},
		"no iat":                  {func(c map[string]any) { delete(c, "iat") }, "", "iat"},
		"not before later":        {func(c map[string]any) { c["nbf"] = in(2 * time.Minute) }, "", "not valid yet"},
		"no nonce":                {func(map[string]any) {}, "n-1", "nonce"},
		"nonce in capitals":       {func(c map[string]any) { c["Nonce"] = "n-1" }, "n-1", "nonce"},
		"another nonce":           {func(c map[string]any) { c["nonce"] = "canary" }, "n-1", "nonce"},
		"no subject":              {func(c map[string]any) { delete(c, "sub") }, "", "sub"},
		"empty subject":           {func(c map[string]any) { c["sub"] = "" }, "", "sub"},
		"subject is no string":    {func(c map[string]any) { c["sub"] = 7 }, "", "claims"},
		"subject in capitals":     {func(c map[string]any) { delete(c, "sub"); c["SUB"] = "canary" }, "", "sub"},
		"subject without end":     {func(c map[string]any) { c["sub"] = strings.Repeat("x", 257) }, "", "sub"},
		"logout token":            {func(c map[string]any) { c["events"] = map[string]any{"x": map[string]any{}} }, "", "type"},
		"audience is a number":    {func(c map[string]any) { c["aud"] = 7 }, "", "claims"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			claims := b.issuer.Claims("canary-subject")
			c.change(claims)
			token := b.issuer.Sign(t, claims)
			_, err := b.verify(t, token, c.nonce)
			requireRefused(t, err, token)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestForgedSignatures: what anybody may say who has no key of the issuer's.
func TestForgedSignatures(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der := func(t *testing.T, i *testenv.Issuer) []byte {
		text, err := x509.MarshalPKIXPublicKey(i.Key.Public())
		require.NoError(t, err)
		return text
	}
	sign := func(t *testing.T, i *testenv.Issuer, alg jose.SignatureAlgorithm, key any, header map[string]any) string {
		return testenv.SignToken(t, jose.SigningKey{Algorithm: alg, Key: key}, header, i.Claims("canary"))
	}
	for name, forge := range map[string]func(t *testing.T, i *testenv.Issuer) string{
		"none": func(t *testing.T, i *testenv.Issuer) string { return unsigned(t, i, `{"alg":"none"}`) + "." },
		"none, with a kid": func(t *testing.T, i *testenv.Issuer) string {
			return unsigned(t, i, `{"alg":"none","kid":"first"}`) + "."
		},
		"NoNe": func(t *testing.T, i *testenv.Issuer) string {
			return unsigned(t, i, `{"alg":"NoNe","kid":"first"}`) + "."
		},
		"signature cut off": func(t *testing.T, i *testenv.Issuer) string {
			good := i.Sign(t, i.Claims("canary"))
			return good[:strings.LastIndexByte(good, '.')+1]
		},
		"another payload": func(t *testing.T, i *testenv.Issuer) string {
			good, other := strings.Split(i.Sign(t, i.Claims("bob")), "."), strings.Split(i.Sign(t, i.Claims("canary")), ".")
			return good[0] + "." + other[1] + "." + good[2]
		},
		"HS256 with the public key": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.HS256, der(t, i), map[string]any{"kid": "first"})
		},
		"another key under the same id": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.ES256, stranger, map[string]any{"kid": "first"})
		},
		"an unknown kid": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.ES256, i.Key, map[string]any{"kid": "second"})
		},
		"its own key in the header": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.ES256, stranger, map[string]any{"kid": "first", "jwk": jose.JSONWebKey{Key: stranger.Public()}})
		},
		"its own key's address": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.ES256, stranger, map[string]any{"kid": "first", "jku": "https://canary.example/keys"})
		},
		"an access token": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.ES256, i.Key, map[string]any{"kid": "first", "typ": "at+jwt"})
		},
		"an unknown critical header": func(t *testing.T, i *testenv.Issuer) string {
			return sign(t, i, jose.ES256, i.Key, map[string]any{"kid": "first", "crit": []string{"canary"}, "canary": true})
		},
		"a name that stands twice": func(t *testing.T, i *testenv.Issuer) string {
			claims, err := json.Marshal(i.Claims("bob"))
			require.NoError(t, err)
			return signText(t, i, `{"sub":"canary",`+string(claims[1:]))
		},
		"JSON serialisation": func(t *testing.T, i *testenv.Issuer) string {
			p := strings.Split(i.Sign(t, i.Claims("canary")), ".")
			return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
		},
		"no token":          func(*testing.T, *testenv.Issuer) string { return "canary" },
		"claims are a list": func(t *testing.T, i *testenv.Issuer) string { return signText(t, i, `["canary"]`) },
		"too long": func(t *testing.T, i *testenv.Issuer) string {
			claims := i.Claims("canary")
			claims["x"] = strings.Repeat("x", 16<<10)
			return i.Sign(t, claims)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			token := forge(t, b.issuer)
			_, err := b.verify(t, token, "")
			requireRefused(t, err, token)
			if strings.HasPrefix(strings.ToLower(name), "none") || strings.HasPrefix(name, "HS256") {
				require.ErrorContains(t, err, "signed with RS, PS, ES or EdDSA", "no key is even looked for")
			}
		})
	}
}

func unsigned(t *testing.T, i *testenv.Issuer, header string) string {
	t.Helper()
	claims, err := json.Marshal(i.Claims("canary"))
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(claims)
}

func signText(t *testing.T, i *testenv.Issuer, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.Key}, (&jose.SignerOptions{}).WithHeader("kid", i.KeyID))
	require.NoError(t, err)
	signed, err := signer.Sign([]byte(payload))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// TestIssuersCountWhereTheyAreNamed: an issuer of one workspace says nothing in
// another, and no issuer speaks for another one.
func TestIssuersCountWhereTheyAreNamed(t *testing.T) {
	here, there := testenv.NewIssuer(t), testenv.NewIssuer(t)
	other := issuerOf(there)
	other.Workspaces = []string{"other"}
	v := verifier(t, time.Now, issuerOf(here), other)
	require.True(t, v.Accepts(workspace, here.URL))
	require.False(t, v.Accepts(workspace, there.URL))
	require.False(t, v.Accepts(workspace, task.LocalIssuer))
	for name, c := range map[string]struct {
		workspace string
		token     string
		good      bool
	}{
		"here":                     {workspace, here.Sign(t, here.Claims("a")), true},
		"there":                    {"other", there.Sign(t, there.Claims("a")), true},
		"there's token here":       {workspace, there.Sign(t, there.Claims("a")), false},
		"here's token there":       {"other", here.Sign(t, here.Claims("a")), false},
		"nowhere":                  {"third", here.Sign(t, here.Claims("a")), false},
		"there's key, here's name": {workspace, there.Sign(t, here.Claims("a")), false},
		"no workspace":             {"", here.Sign(t, here.Claims("a")), false},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := v.Verify(t.Context(), c.workspace, vault.NewSecret([]byte(c.token)), "")
			if c.good {
				require.NoError(t, err)
				require.Equal(t, "a", u.Subject)
				return
			}
			requireRefused(t, err, c.token)
		})
	}
}

func TestSubjectClaim(t *testing.T) {
	for name, c := range map[string]struct {
		claim  string
		claims map[string]any
		want   string // empty: refused
	}{
		"another claim":     {"oid", map[string]any{"oid": "7"}, "7"},
		"not there":         {"oid", nil, ""},
		"is null":           {"oid", map[string]any{"oid": nil}, ""},
		"is a list":         {"oid", map[string]any{"oid": []string{"7"}}, ""},
		"e-mail, verified":  {"email", map[string]any{"email": "a@example.org", "email_verified": true}, "a@example.org"},
		"e-mail, unproven":  {"email", map[string]any{"email": "a@example.org"}, ""},
		"e-mail, denied":    {"email", map[string]any{"email": "a@example.org", "email_verified": false}, ""},
		"e-mail, in a word": {"email", map[string]any{"email": "a@example.org", "email_verified": "true"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(i *idtoken.Issuer) { i.SubjectClaim = c.claim })
			claims := b.issuer.Claims("sub")
			for k, v := range c.claims {
				claims[k] = v
			}
			token := b.issuer.Sign(t, claims)
			u, err := b.verify(t, token, "")
			if c.want == "" {
				requireRefused(t, err, token)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, u.Subject)
		})
	}
}

// FuzzVerify: whatever is made of a good token names whom the issuer signed for, or
// nobody.
func FuzzVerify(f *testing.F) {
	issuer := testenv.NewIssuer(f)
	claims := issuer.Claims("8f2c")
	claims["exp"] = time.Now().Add(time.Hour).Unix()
	good := issuer.Sign(f, claims)
	f.Add(good, "")
	f.Add(good+".", "n")
	f.Add(strings.Replace(good, ".", "..", 1), "")
	f.Add(`{"payload":""}`, "")
	f.Add("eyJhbGciOiJub25lIn0.e30.", "")
	v := verifier(f, time.Now, issuerOf(issuer))
	f.Fuzz(func(t *testing.T, token, nonce string) {
		u, err := v.Verify(t.Context(), workspace, vault.NewSecret([]byte(token)), nonce)
		if err == nil {
			require.Equal(t, task.User{Issuer: issuer.URL, Subject: "8f2c"}, u)
			require.Empty(t, nonce)
			return
		}
		requireRefused(t, err, "")
	})
}
