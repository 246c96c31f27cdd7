package assertion_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
)

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(s[:])
}

func digest(body []byte) string {
	s := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(s[:])
}

func received(t *testing.T, b *connector.Bound, attached egress.Attachment) http.Header {
	t.Helper()
	seen := make(chan http.Header, 1)
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer upstream.Close()
	deliver(t, upstream, b, attached)
	return <-seen
}

// TestDocuments: the public halves of every assertion key and of no other, and where
// they are.
func TestDocuments(t *testing.T) {
	b := newBench(t)
	documents := b.Documents()
	require.Len(t, documents, 2)
	discovery, err := documents["/.well-known/openid-configuration"]()
	require.NoError(t, err)
	require.JSONEq(t, `{"issuer":"https://broker.example","jwks_uri":"https://broker.example/.well-known/jwks.json"}`, string(discovery))

	jwks, err := documents["/.well-known/jwks.json"]()
	require.NoError(t, err)
	var published struct {
		Keys []map[string]string `json:"keys"`
	}
	require.NoError(t, json.Unmarshal(jwks, &published))
	require.Len(t, published.Keys, 2, "the active one and the one that stands by")
	for _, k := range published.Keys {
		require.ElementsMatch(t, []string{"kty", "crv", "x", "y", "use", "alg", "kid"}, names(k), "nothing private")
		require.Equal(t, []string{"EC", "P-256", "sig", "ES256"}, []string{k["kty"], k["crv"], k["use"], k["alg"]})
		require.Equal(t, sum(`{"crv":"P-256","kty":"EC","x":"`+k["x"]+`","y":"`+k["y"]+`"}`), k["kid"], "RFC 7638")
	}
	_, err = b.keys.ReplaceAssertion(t.Context())
	require.NoError(t, err)
	after, err := documents["/.well-known/jwks.json"]()
	require.NoError(t, err)
	require.NotEqual(t, string(jwks), string(after), "made anew each time")
}

func names(m map[string]string) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	return all
}
