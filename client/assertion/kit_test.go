package assertion_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
)

const (
	issuerName = "https://broker.example"
	audience   = "https://payroll.internal"
	target     = "https://payroll.internal/payslips"
)

// clock is set by hand.
type clock struct{ seconds atomic.Int64 }

func (c *clock) Now() time.Time       { return time.Unix(c.seconds.Load(), 0) }
func (c *clock) Pass(d time.Duration) { c.seconds.Add(int64(d / time.Second)) }
func (c *clock) Unix(add int64) int64 { return c.seconds.Load() + add }
func newClock() *clock                { c := &clock{}; c.seconds.Store(1_800_000_000); return c }
func sha(text string) []byte          { s := sha256.Sum256([]byte(text)); return s[:] }
func contentDigest(body string) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sha(body)) + ":"
}
func queryDigest(query string) string   { return base64.RawURLEncoding.EncodeToString(sha(query)) }
func reason(err error) assertion.Reason { return assertion.ReasonOf(err) }
func text(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// broker signs assertions and publishes its keys.
type broker struct {
	t     *testing.T
	clock *clock
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]*ecdsa.PrivateKey // published
	answer  http.HandlerFunc             // instead of the keys; nil for them
	active  string
	fetches atomic.Int64
	serial  int
}

func newBroker(t *testing.T, c *clock) *broker {
	b := &broker{t: t, clock: c, keys: map[string]*ecdsa.PrivateKey{}}
	b.Server = httptest.NewTLSServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.Close)
	b.publish("one")
	b.active = "one"
	return b
}

func (b *broker) publish(kid string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b.t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys[kid] = key
	return key
}

func (b *broker) withdraw(kid string) *ecdsa.PrivateKey {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := b.keys[kid]
	delete(b.keys, kid)
	return key
}

func (b *broker) answerWith(h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = h
}

func (b *broker) serve(w http.ResponseWriter, r *http.Request) {
	b.fetches.Add(1)
	b.mu.Lock()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for kid, key := range b.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig", Algorithm: "ES256"})
	}
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(set)
}

// verifier trusts b.
func (b *broker) verifier(change func(*assertion.Options)) *assertion.Verifier {
	o := assertion.Options{Issuer: issuerName, Audience: audience, JWKSURL: b.URL, HTTPClient: b.Client(), Now: b.clock.Now}
	if change != nil {
		change(&o)
	}
	v, err := assertion.NewVerifier(o)
	require.NoError(b.t, err)
	return v
}

// claims are right for a POST of body to uri.
func (b *broker) claims(method, uri, body string) map[string]any {
	b.serial++
	uri, query, _ := strings.Cut(uri, "?")
	tctx := map[string]any{"task": "t", "tool": "payslips.add", "content_digest": contentDigest(body)}
	if query != "" {
		tctx["query_sha256"] = queryDigest(query)
	}
	return map[string]any{
		"iss": issuerName, "aud": audience, "sub": "usr_1", "txn": "inv_1", "jti": "jti_" + strconv.Itoa(b.serial),
		"iat": b.clock.Unix(0), "exp": b.clock.Unix(60), "req_wl": "spiffe://home.test/sandbox", "scope": "payroll.payslips.add",
		"htm": method, "htu": uri, "tctx": tctx, "act": map[string]any{"sub": "mailer", "sub_profile": "ai_agent"},
	}
}

func (b *broker) sign(claims map[string]any) string {
	b.mu.Lock()
	key := b.keys[b.active]
	b.mu.Unlock()
	return signWith(b.t, key, b.active, claims)
}

func signWith(t *testing.T, key *ecdsa.PrivateKey, kid string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("onedoor-assertion+jwt"))
	require.NoError(t, err)
	signed, err := signer.Sign([]byte(text(t, claims)))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// request gives one that an assertion of b accompanies.
func (b *broker) request(method, uri, body string) *http.Request {
	return carrying(b.sign(b.claims(method, uri, body)), method, uri, body)
}

func carrying(token, method, uri, body string) *http.Request {
	r := httptest.NewRequest(method, uri, strings.NewReader(body))
	r.Header.Set("X-Onedoor-Jwt-Assertion", token)
	return r
}
