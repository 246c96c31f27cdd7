package credential_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/onedoor/onedoor/server/assertion"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/tests/testenv"
)

const brokerIssuer = "https://broker.example"

// stater signs with the bench's keys.
func (b *bench) stater() *assertion.Minter {
	return assertion.New(assertion.Options{Issuer: brokerIssuer, TrustDomain: "example.org", Keys: b.keys, Rand: rand.Reader, Now: now})
}

// signers are private keys as an operator puts them. They are made once.
type signers struct {
	rsa, otherRSA, ec string
	public            *rsa.PublicKey
}

var theSigners = sync.OnceValue(func() signers {
	first, err1 := rsa.GenerateKey(rand.Reader, 2048)
	second, err2 := rsa.GenerateKey(rand.Reader, 2048)
	third, err3 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err4 := x509.MarshalPKCS8PrivateKey(third)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		panic(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return signers{
		rsa: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(first)), otherRSA: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(second)),
		ec: block("PRIVATE KEY", der), public: &first.PublicKey,
	}
})

// provider is an OpenID provider that somebody else wrote. It knows the broker as an
// issuer, the user id1 under the name alice, and id2 under bob; id1's key is ours.
type provider struct {
	*storage.Storage
	*testenv.Upstream
	b *bench

	mu        sync.Mutex
	exchanges []op.TokenExchangeRequest
}

func newProvider(t *testing.T, b *bench) *provider {
	t.Helper()
	var serve http.Handler
	p := &provider{b: b}
	p.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve.ServeHTTP(w, r) }))
	storage.RegisterClients(storage.WebClient("onedoor", testenv.ClientSecret))
	p.Storage = storage.NewStorage(storage.NewUserStore(p.Origin))
	serve = exampleop.SetupServer(p.Origin, p, nil, false)
	return p
}

// GetKeyByIDAndClientID implements op.Storage.
func (p *provider) GetKeyByIDAndClientID(_ context.Context, keyID, client string) (*jose.JSONWebKey, error) {
	if keyID != "k1" || client != "id1" {
		return nil, errors.New("no such key")
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: theSigners().public}, nil
}

// CreateTokenExchangeRequest implements op.TokenExchangeStorage.
func (p *provider) CreateTokenExchangeRequest(_ context.Context, r op.TokenExchangeRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, r)
	return nil
}

func (p *provider) exchanged() []op.TokenExchangeRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.exchanges)
}

// VerifyExchangeSubjectToken implements op.TokenExchangeTokensVerifierStorage.
func (p *provider) VerifyExchangeSubjectToken(_ context.Context, token string, kind oidc.TokenType) (string, string, map[string]any, error) {
	claims, err := p.statement(token, kind, "onedoor-user+jwt")
	if err != nil {
		return "", "", nil, err
	}
	id, _ := claims["sub_id"].(map[string]any)
	known, ok := map[any]string{"alice": "id1", "bob": "id2"}[id["sub"]]
	if !ok || id["format"] != "iss_sub" || id["iss"] != task.LocalIssuer {
		return "", "", nil, errors.New("no such user")
	}
	return token, known, claims, nil
}

// VerifyExchangeActorToken implements op.TokenExchangeTokensVerifierStorage.
func (p *provider) VerifyExchangeActorToken(_ context.Context, token string, kind oidc.TokenType) (string, string, map[string]any, error) {
	claims, err := p.statement(token, kind, "onedoor-agent+jwt")
	if err != nil {
		return "", "", nil, err
	}
	agent, _ := claims["sub"].(string)
	return token, agent, claims, nil
}

// statement verifies what the broker says, against its published keys.
func (p *provider) statement(token string, kind oidc.TokenType, typ string) (map[string]any, error) {
	document, err := p.b.stater().Documents()["/.well-known/jwks.json"]()
	var keys jose.JSONWebKeySet
	if err = errors.Join(err, json.Unmarshal(document, &keys)); err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	head := signed.Signatures[0].Protected
	found := keys.Key(head.KeyID)
	if len(found) != 1 || head.ExtraHeaders["typ"] != typ || kind != oidc.JWTTokenType {
		return nil, errors.New("not of this issuer, or not of this type")
	}
	payload, err := signed.Verify(found[0])
	var claims map[string]any
	if err = errors.Join(err, json.Unmarshal(payload, &claims)); err != nil {
		return nil, err
	}
	if claims["iss"] != brokerIssuer || claims["aud"] != p.Origin+"/oauth/token" || claims["exp"].(float64) < float64(time.Now().Unix()) {
		return nil, errors.New("not for this provider, or not any more")
	}
	return claims, nil
}

// slot is the connector's one slot, with this oauth; the provider's CA is added.
func (p *provider) slot(owner, oauth string) func(string) string {
	ca, _ := json.Marshal(p.CA)
	return slots("main: {owner: " + owner + ", attach: bearer, oauth: {token_endpoint: " + p.Origin + "/oauth/token, " + oauth +
		", network: {allow: [127.0.0.0/8]}, tls: {ca: " + string(ca) + "}}}")
}

// owner asks the provider whose a token is, with a client of its own.
func (p *provider) owner(t *testing.T, token string) string {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(p.CA)))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Origin+"/userinfo", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	answer := testenv.Fetch(t, testenv.HTTPS(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), request)
	require.Equal(t, http.StatusOK, answer.Status, "userinfo")
	var user struct {
		Subject string `json:"sub"`
	}
	require.NoError(t, json.Unmarshal([]byte(answer.Body), &user))
	return user.Subject
}

// callerOf is a caller with a task of their own.
func (b *bench) callerOf(user, name string) *task.Caller {
	return &task.Caller{
		Workload: spiffeid.RequireFromString("spiffe://example.org/sandbox/one"),
		Task: task.Task{
			Workspace: workspace, ID: uuid.NewString(), KeyID: uuid.NewString(), Agent: "mailer",
			User: task.User{ID: user, Issuer: task.LocalIssuer, Subject: name},
		},
	}
}

// attached gives what a caller's call goes out with.
func (b *bench) attached(t *testing.T, k *credential.Keeper, c *connector.Connector, caller *task.Caller, call *connector.Bound) (credential.Attached, error) {
	t.Helper()
	user := ""
	if caller != nil {
		user = caller.Task.User.ID
	}
	records, err := k.Find(t.Context(), c, user)
	require.NoError(t, err)
	return k.Attach(t.Context(), b.intent(t, workspace), caller, call, records)
}

// bearer gives the token with which the upstream is called.
func (b *bench) bearer(t *testing.T, k *credential.Keeper, c *connector.Connector, caller *task.Caller) string {
	t.Helper()
	a, err := b.attached(t, k, c, caller, bound(t, c))
	require.NoError(t, err)
	return testenv.Bearer(b.sent(t, c, a))
}
