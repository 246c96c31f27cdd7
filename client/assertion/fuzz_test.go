package assertion_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
)

// FuzzVerifyToken: whatever is shown, nothing but a signed token passes.
func FuzzVerifyToken(f *testing.F) {
	f.Add("")
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSIsInR5cCI6Im9uZWRvb3ItYXNzZXJ0aW9uK2p3dCJ9.e30.AA")
	f.Add(`{"payload":"e30","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AA"}`)
	v, err := assertion.NewVerifier(assertion.Options{Issuer: "https://127.0.0.1:1", Audience: audience})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := v.VerifyToken(context.Background(), []string{token}, nil)
		require.NotEmpty(t, reason(err))
		require.Nil(t, claims)
	})
}

// FuzzParseClaims: claims or a refusal, never both, and no list passes for an audience.
func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"aud":"a","exp":1,"iat":1,"tctx":{"body":"stream"},"act":{"act":{}}}`))
	f.Add([]byte(`{"aud":["a"]}`))
	f.Add([]byte(`{"aud":null,"Aud":"a"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := assertion.ParseClaims(payload)
		require.Equal(t, err == nil, claims != nil)
		if err != nil {
			require.Contains(t, []assertion.Reason{assertion.Malformed, assertion.AudienceWrong}, reason(err))
		}
	})
}

// FuzzParseKeys: a set or an error, and every key of it has a name.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		keys, err := assertion.ParseKeys(set)
		require.Equal(t, err == nil, keys != nil)
		for kid, key := range keys {
			require.NotEmpty(t, kid)
			require.NotNil(t, key)
		}
	})
}

// FuzzCanonical: what is canonical stays as it is.
func FuzzCanonical(f *testing.F) {
	for _, uri := range []string{target, "HTTP://A", "https://[::1]:443/a%2Fb", "https://a:/", "https://a@b/", "//a", "https://a/?", "https://[fe80::1%25en0]/", "https://%E2%84%AA/", "https://:1/"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		once, err := assertion.Canonical(uri)
		if err != nil {
			return
		}
		twice, err := assertion.Canonical(once)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}
