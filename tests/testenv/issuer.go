package testenv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
)

// Audience is the client id for which an Issuer makes its tokens out.
const Audience = "onedoor"

// Issuer is an OpenID provider that signs whatever it is told to: the one with which
// what no honest provider says can be tried. It serves discovery and keys over TLS.
type Issuer struct {
	*Upstream
	URL string
	// Key signs the tokens of Sign, under the id KeyID.
	Key   crypto.Signer
	KeyID string
	// Asked, if it is set, is called before each document is served.
	Asked func()
	// Tokens, if it is set, answers at the token endpoint /token.
	Tokens http.HandlerFunc
	// TokenAt is where discovery says that /token is; true unless a test changes it.
	TokenAt string
	// NamesIssuer has discovery say that authorization responses have iss.
	NamesIssuer bool

	mu   sync.Mutex
	keys []jose.JSONWebKey
	down bool
	// What discovery says; true unless a test changes it.
	claims, keysAt string
}

// NewIssuer serves until the test ends.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("/tenant/.well-known/openid-configuration", i.serve(func() any {
		return map[string]any{
			"issuer": i.claims, "jwks_uri": i.keysAt, "authorization_endpoint": i.Origin + "/authorize", "token_endpoint": i.TokenAt,
			"authorization_response_iss_parameter_supported": i.NamesIssuer,
		}
	}))
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { i.Tokens(w, r) })
	keys := i.serve(func() any { return jose.JSONWebKeySet{Keys: i.keys} })
	mux.HandleFunc("/keys", keys)
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("canary")) })
	mux.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		keys(w, r)
	})
	mux.HandleFunc("/endless", i.serve(func() any {
		return map[string]any{"keys": i.keys, "x": strings.Repeat("x", 1<<20)}
	}))
	i.Upstream = NewUpstream(t, mux)
	i.URL = i.Origin + "/tenant"
	i.claims, i.keysAt, i.TokenAt = i.URL, i.Origin+"/keys?of=tenant", i.Origin+"/token"
	i.Rotate(t, "first")
	return i
}

func (i *Issuer) serve(answer func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if i.Asked != nil {
			i.Asked()
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer())
	}
}

// Rotate makes a new key and publishes it beside those that stand.
func (i *Issuer) Rotate(t testing.TB, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i.Key, i.KeyID = key, kid
	i.Publish(jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig", Algorithm: "ES256"})
}

// Publish adds a key, or anything that may pass for one.
func (i *Issuer) Publish(k jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
}

// Withdraw takes every key away.
func (i *Issuer) Withdraw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = nil
}

// Down makes it answer 503, or its documents again.
func (i *Issuer) Down(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Claim has discovery name another issuer.
func (i *Issuer) Claim(url string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.claims = url
}

// KeysAt has discovery name another address of the keys.
func (i *Issuer) KeysAt(url string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keysAt = url
}

// Claims are those of a good token for a subject; a test may change them.
func (i *Issuer) Claims(subject string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": i.URL, "sub": subject, "aud": Audience, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

// Sign makes a token of claims with the current key.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return SignToken(t, jose.SigningKey{Algorithm: jose.ES256, Key: i.Key}, map[string]any{"kid": i.KeyID, "typ": "JWT"}, claims)
}

// SignToken makes a compact JWT with any key and header.
func SignToken(t testing.TB, key jose.SigningKey, header, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(key, options)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// Config is the issuer as a broker's configuration has it, for some workspaces.
func (i *Issuer) Config(t testing.TB, workspaces ...string) config.Issuer {
	t.Helper()
	return IssuerConfig(t, i.URL, i.CA, workspaces...)
}

// IssuerConfig describes any OpenID provider on loopback.
func IssuerConfig(t testing.TB, url, ca string, workspaces ...string) config.Issuer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "issuer.pem")
	require.NoError(t, os.WriteFile(file, []byte(ca), 0o600))
	return config.Issuer{
		Issuer: url, Audiences: []string{Audience}, Workspaces: workspaces, CAFile: file,
		Allow: []config.Range{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}},
	}
}
