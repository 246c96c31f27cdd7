package assertions_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

// forgery makes of a request that all accept one that all must refuse.
type forgery struct {
	name string
	// part is how much a verifier must look at to see it.
	part  string
	forge func(t *testing.T, live probe) probe
}

// token makes a forgery of the token alone.
func token(name string, forge func(t *testing.T, live string) string) forgery {
	return forgery{name, "token", func(t *testing.T, live probe) probe {
		live.Token = forge(t, live.Token)
		return live
	}}
}

// request makes a forgery of a live token on another request.
func request(name string, change func(*probe)) forgery {
	return forgery{name, "request", func(_ *testing.T, live probe) probe {
		change(&live)
		return live
	}}
}

// forgeries tries all of them over keys with which the broker signs at that moment.
func forgeries(t *testing.T, panel []verifier, kept *keeper, b *testenv.Broker) {
	t.Helper()
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	unsigned := func(t *testing.T, live string) string {
		return signed(t, live, jwt.SigningMethodNone, kid(t, live), jwt.UnsafeAllowNoneSignatureType)
	}
	all := []forgery{
		token("another audience", func(t *testing.T, _ string) string { return kept.take(t, "elsewhere", "things.find", find).Token }),
		token("a Transaction Token", func(t *testing.T, _ string) string { return kept.take(t, "chain", "things.find", find).Token }),
		token("alg none", unsigned),
		token("alg none, with a signature", func(t *testing.T, live string) string {
			return unsigned(t, live) + live[strings.LastIndexByte(live, '.')+1:]
		}),
		token("HS256 with the public key as secret", func(t *testing.T, live string) string {
			return signed(t, live, jwt.SigningMethodHS256, kid(t, live), publicPEM(t, b, kid(t, live)))
		}),
		token("unknown kid", func(t *testing.T, live string) string {
			return signed(t, live, jwt.SigningMethodES256, "nobody-has-made-this-key", stranger)
		}),
		token("a live kid under another key", func(t *testing.T, live string) string {
			return signed(t, live, jwt.SigningMethodES256, kid(t, live), stranger)
		}),
		request("another method", func(p *probe) { p.Method = "DELETE" }),
		request("another path", func(p *probe) { p.URL = strings.Replace(p.URL, "/things", "/others", 1) }),
		request("another query", func(p *probe) { p.URL += "&all=true" }),
		request("another body", func(p *probe) { p.Body = `{"name":"mallory"}` }),
		// A minute of life and half a minute of leeway have passed.
		request("expired", func(p *probe) { p.Ahead = 120 }),
	}
	for _, f := range all {
		live := kept.take(t, "kept", "things.find", find)
		live.Part = f.part
		requireAll(t, panel, live, true, "before: "+f.name)
		requireAll(t, panel, f.forge(t, live), false, f.name)
	}
	again := kept.take(t, "kept", "things.make", map[string]string{"name": "x"})
	requireAll(t, panel, again, true, "for the first time")
	requireAll(t, panel, again, false, "replayed")
}

var find = map[string]string{"q": "x"}

// signed gives a token with the claims of another.
func signed(t *testing.T, live string, method jwt.SigningMethod, kid string, key any) string {
	t.Helper()
	forged := jwt.NewWithClaims(method, maps.Clone(claimsOf(t, live)))
	forged.Header["typ"], forged.Header["kid"] = "onedoor-assertion+jwt", kid
	text, err := forged.SignedString(key)
	require.NoError(t, err)
	return text
}

// publicPEM is what a verifier that knows no algorithms takes for an HMAC key.
func publicPEM(t *testing.T, b *testenv.Broker, kid string) []byte {
	t.Helper()
	keys, err := published(testenv.HTTPS(t, b.Anonymous(t)), b.PublicURL+jwksPath)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(keys[kid])
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
