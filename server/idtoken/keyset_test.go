package idtoken_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// token is a good one at the bench's time.
func (b *bench) token(t *testing.T) string {
	t.Helper()
	claims := b.issuer.Claims("a")
	claims["exp"] = time.Now().Add(b.ahead + 5*time.Minute).Unix()
	return b.issuer.Sign(t, claims)
}

func (b *bench) requireGood(t *testing.T) {
	t.Helper()
	_, err := b.verify(t, b.token(t), "")
	require.NoError(t, err)
}

// requireUnavailable: that the issuer is configured is no secret, why it cannot be
// asked goes to the log.
func (b *bench) requireUnavailable(t *testing.T) {
	t.Helper()
	_, err := b.verify(t, b.token(t), "")
	require.True(t, fault.Is(err, fault.IssuerUnavailable), "%v", err)
	require.Equal(t, "the issuer "+b.issuer.URL+" cannot be asked for its keys now; try again later", fault.From(err).Public)
	require.Error(t, fault.From(err).Unwrap())
}

func TestAnIssuerThatIsDown(t *testing.T) {
	b := newBench(t)
	require.Zero(t, b.issuer.Requests(), "making a Verifier asks nobody")
	b.issuer.Down(true)
	b.requireUnavailable(t)
	asked := b.issuer.Requests()
	b.issuer.Down(false)
	b.requireUnavailable(t)
	require.Equal(t, asked, b.issuer.Requests(), "it is not asked again at once")
	b.ahead = 11 * time.Second
	b.requireGood(t)

	b.issuer.Down(true)
	b.ahead = 59 * time.Minute
	b.requireGood(t)
	b.ahead = 61*time.Minute + 11*time.Second
	b.requireUnavailable(t)
}

func TestKeysAreRemembered(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.requireGood(t)
	}
	require.Equal(t, 2, b.issuer.Requests(), "discovery and keys, once")
	b.ahead = 11 * time.Minute
	b.requireGood(t)
	require.Equal(t, 4, b.issuer.Requests())
}

// TestRotation: a new key counts as soon as a token names it, and one that is
// withdrawn no longer than keys stay fresh.
func TestRotation(t *testing.T) {
	b := newBench(t)
	b.requireGood(t)
	old := b.issuer.Key
	b.ahead = 11 * time.Second
	b.issuer.Withdraw()
	b.issuer.Rotate(t, "second")
	b.requireGood(t)
	b.issuer.Key, b.issuer.KeyID = old, "first"
	token := b.token(t)
	_, err := b.verify(t, token, "")
	requireRefused(t, err, token)
	require.ErrorContains(t, err, "does not publish")
}

// TestUnknownKidsDoNotStorm: whoever invents key ids cannot have us hammer an issuer.
func TestUnknownKidsDoNotStorm(t *testing.T) {
	b := newBench(t)
	b.requireGood(t)
	b.ahead = 11 * time.Second
	var all sync.WaitGroup
	for n := range 50 {
		token := testenv.SignToken(t, jose.SigningKey{Algorithm: jose.ES256, Key: b.issuer.Key},
			map[string]any{"kid": strconv.Itoa(n)}, b.issuer.Claims("a"))
		all.Go(func() {
			_, err := b.Verify(context.Background(), workspace, vault.NewSecret([]byte(token)), "")
			if !fault.Is(err, fault.ArgumentInvalid) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 4, b.issuer.Requests())
	b.requireGood(t)
}

// TestACallerThatGoesAway leaves no failure behind for the others.
func TestACallerThatGoesAway(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.issuer.Asked = cancel
	_, err := b.Verify(ctx, workspace, vault.NewSecret([]byte(b.token(t))), "")
	require.NoError(t, err)
	b.requireGood(t)
	require.Equal(t, 2, b.issuer.Requests())
}

// TestAKeyWithoutAnID serves tokens that name none, as long as there is no choice.
func TestAKeyWithoutAnID(t *testing.T) {
	b := newBench(t)
	nameless := func() string {
		return testenv.SignToken(t, jose.SigningKey{Algorithm: jose.ES256, Key: b.issuer.Key}, nil, b.issuer.Claims("a"))
	}
	_, err := b.verify(t, nameless(), "")
	require.NoError(t, err)

	two := newBench(t)
	first := two.issuer.Key
	two.issuer.Rotate(t, "second")
	two.issuer.Key = first
	b = two
	token := nameless()
	_, err = b.verify(t, token, "")
	requireRefused(t, err, token)
}

// TestKeysThatAreNone: what stands in a key set and must not verify anything.
func TestKeysThatAreNone(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	secret := []byte("0123456789abcdef0123456789abcdef")
	for name, c := range map[string]struct {
		publish jose.JSONWebKey
		sign    jose.SigningKey
		good    bool
	}{
		"strong":                {jose.JSONWebKey{Key: strong.Public()}, jose.SigningKey{Algorithm: jose.RS256, Key: strong}, true},
		"PS384":                 {jose.JSONWebKey{Key: strong.Public(), Use: "sig"}, jose.SigningKey{Algorithm: jose.PS384, Key: strong}, true},
		"weak":                  {jose.JSONWebKey{Key: weak.Public()}, jose.SigningKey{Algorithm: jose.RS256, Key: weak}, false},
		"for encryption":        {jose.JSONWebKey{Key: strong.Public(), Use: "enc"}, jose.SigningKey{Algorithm: jose.RS256, Key: strong}, false},
		"for another algorithm": {jose.JSONWebKey{Key: strong.Public(), Algorithm: "PS256"}, jose.SigningKey{Algorithm: jose.RS256, Key: strong}, false},
		"a private one":         {jose.JSONWebKey{Key: strong}, jose.SigningKey{Algorithm: jose.RS256, Key: strong}, false},
		"a shared one":          {jose.JSONWebKey{Key: secret}, jose.SigningKey{Algorithm: jose.HS256, Key: secret}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.publish.KeyID = "k"
			b.issuer.Publish(c.publish)
			token := testenv.SignToken(t, c.sign, map[string]any{"kid": "k"}, b.issuer.Claims("a"))
			_, err := b.verify(t, token, "")
			if c.good {
				require.NoError(t, err)
				return
			}
			requireRefused(t, err, token)
		})
	}
}

// TestDocumentsThatAreNone: an issuer that cannot be believed is one that is not there.
func TestDocumentsThatAreNone(t *testing.T) {
	for name, spoil := range map[string]func(i *testenv.Issuer){
		"another issuer's":  func(i *testenv.Issuer) { i.Claim("https://canary.example") },
		"with a slash more": func(i *testenv.Issuer) { i.Claim(i.URL + "/") },
		"no keys":           func(i *testenv.Issuer) { i.Withdraw() },
		"only a private key": func(i *testenv.Issuer) {
			i.Withdraw()
			i.Publish(jose.JSONWebKey{Key: i.Key, KeyID: i.KeyID})
		},
		"keys with a 404": func(i *testenv.Issuer) { i.KeysAt(i.Origin + "/gone") },
		"keys elsewhere":  func(i *testenv.Issuer) { i.KeysAt("http://localhost/keys") },
		"keys at an IP":   func(i *testenv.Issuer) { i.KeysAt("https://127.0.0.1/keys") },
		"keys nowhere":    func(i *testenv.Issuer) { i.KeysAt("") },
		"keys moved on":   func(i *testenv.Issuer) { i.KeysAt(i.Origin + "/moved") },
		"no JSON":         func(i *testenv.Issuer) { i.KeysAt(i.Origin + "/text") },
		"without end":     func(i *testenv.Issuer) { i.KeysAt(i.Origin + "/endless") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			spoil(b.issuer)
			b.requireUnavailable(t)
		})
	}
}

func TestAnIssuerWithinIsNotReached(t *testing.T) {
	b := newBench(t, func(i *idtoken.Issuer) { i.Policy.AllowRanges = nil })
	b.requireUnavailable(t)
	require.Zero(t, b.issuer.Requests())
	b = newBench(t, func(i *idtoken.Issuer) { i.Policy.RootCAs = nil })
	b.requireUnavailable(t)
	require.Zero(t, b.issuer.Requests())
}

func TestCheck(t *testing.T) {
	good := idtoken.Issuer{URL: "https://idp.example/tenant", Audiences: []string{"onedoor"}, Workspaces: []string{"default", "other"}}
	require.NoError(t, idtoken.Check(nil))
	elsewhere := good
	elsewhere.Workspaces = []string{"third"}
	require.NoError(t, idtoken.Check([]idtoken.Issuer{good, elsewhere}))
	for name, c := range map[string]struct {
		change func(i *idtoken.Issuer)
		says   string
	}{
		"local":          {func(i *idtoken.Issuer) { i.URL = "local" }, "issuers[1].issuer: \"local\""},
		"http":           {func(i *idtoken.Issuer) { i.URL = "http://idp.example" }, "issuers[1].issuer"},
		"an IP address":  {func(i *idtoken.Issuer) { i.URL = "https://10.0.0.1" }, "issuers[1].issuer"},
		"a query":        {func(i *idtoken.Issuer) { i.URL += "?a=b" }, "issuers[1].issuer"},
		"a fragment":     {func(i *idtoken.Issuer) { i.URL += "#" }, "issuers[1].issuer"},
		"a user":         {func(i *idtoken.Issuer) { i.URL = "https://u:hunter2@idp.example" }, "issuers[1].issuer"},
		"nothing":        {func(i *idtoken.Issuer) { i.URL = "" }, "issuers[1].issuer"},
		"no audience":    {func(i *idtoken.Issuer) { i.Audiences = nil }, "issuers[1].audiences"},
		"empty audience": {func(i *idtoken.Issuer) { i.Audiences = []string{"a", ""} }, "issuers[1].audiences"},
		"no workspace":   {func(i *idtoken.Issuer) { i.Workspaces = nil }, "issuers[1].workspaces"},
		"twice":          {func(i *idtoken.Issuer) { i.Workspaces = []string{"other"} }, "issuers[1].issuer: https://idp.example/tenant stands twice"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			bad.Workspaces = []string{"third"}
			c.change(&bad)
			err := idtoken.Check([]idtoken.Issuer{good, bad})
			require.ErrorContains(t, err, c.says)
			require.False(t, strings.Contains(err.Error(), "hunter2"), "no password is repeated")
			_, err = idtoken.New(idtoken.Options{Issuers: []idtoken.Issuer{good, bad}, Now: time.Now})
			require.Error(t, err)
		})
	}
}
