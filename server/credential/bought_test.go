package credential_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// service is a bench whose connector is called as the broker's own client.
func newService(t *testing.T, auth string) *account {
	t.Helper()
	b := newBench(t)
	provider := testenv.NewAuthServer(t, time.Minute)
	a := &account{b, provider, b.connector(t, slots("main: {owner: workspace, attach: {header: X-Token, prefix: 'T '}, oauth: "+
		provider.OAuth("client_credentials", "{id: onedoor, auth: "+auth+"}")+"}"))}
	return a
}

// header gives what a call is sent with.
func (a *account) header(t *testing.T, k *credential.Keeper) (string, error) {
	t.Helper()
	records, err := k.Find(t.Context(), a.connector, "")
	require.NoError(t, err)
	attached, err := k.Attach(t.Context(), a.intent(t, workspace), nil, bound(t, a.connector), records)
	if err != nil {
		return "", err
	}
	return a.sent(t, a.connector, attached).Header.Get("X-Token"), nil
}

func TestClientCredentials(t *testing.T) {
	for _, auth := range []string{"basic", "post"} {
		t.Run(auth, func(t *testing.T) {
			a := newService(t, auth)
			a.put(t, a.connector, "main", "", testenv.ClientSecret)
			first, err := a.header(t, a.Keeper)
			require.NoError(t, err)
			require.Equal(t, "service", a.provider.Owner(first[len("T "):]))
			again, err := a.header(t, a.Keeper)
			require.NoError(t, err)
			require.Equal(t, first, again, "it is bought once")
			a.at(50 * time.Second)
			next, err := a.header(t, a.Keeper)
			require.NoError(t, err)
			require.NotEqual(t, first, next, "and again before it runs out")
			require.Equal(t, 2, a.provider.Counts().Requests)

			a.put(t, a.connector, "main", "", testenv.ClientSecret)
			_, err = a.header(t, a.Keeper)
			require.NoError(t, err)
			require.Equal(t, 3, a.provider.Counts().Requests, "what was bought with another version is forgotten")
		})
	}
}

func TestClientCredentialsAreBoughtOnce(t *testing.T) {
	a := newService(t, "basic")
	a.put(t, a.connector, "main", "", testenv.ClientSecret)
	records, err := a.Find(t.Context(), a.connector, "")
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 50 {
		intent := a.intent(t, workspace)
		mine := append([]credential.Record(nil), records...)
		all.Go(func() {
			if _, err := a.Attach(t.Context(), intent, nil, bound(t, a.connector), mine); err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, a.provider.Counts().Requests)
}

func TestClientCredentialsRefused(t *testing.T) {
	a := newService(t, "basic")
	a.put(t, a.connector, "main", "", "canary-another-secret")
	for range 3 {
		_, err := a.header(t, a.Keeper)
		require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
		require.ErrorContains(t, err, "invalid_client")
		requireSilent(t, err)
	}
	require.Equal(t, 1, a.provider.Counts().Requests, "the provider is not asked for every call")
	a.put(t, a.connector, "main", "", testenv.ClientSecret)
	_, err := a.header(t, a.Keeper)
	require.NoError(t, err, "what is put anew is tried at once")
}

// TestWhatIsGoodIsUsed: a provider that is away is no harm while the last token lives,
// and no storm afterwards.
func TestWhatIsGoodIsUsed(t *testing.T) {
	a := newService(t, "basic")
	a.put(t, a.connector, "main", "", testenv.ClientSecret)
	first, err := a.header(t, a.Keeper)
	require.NoError(t, err)
	a.provider.Behave(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { w.WriteHeader(http.StatusBadGateway) })
	a.at(50 * time.Second)
	for range 3 {
		kept, err := a.header(t, a.Keeper)
		require.NoError(t, err)
		require.Equal(t, first, kept)
	}
	require.Equal(t, 2, a.provider.Counts().Requests)
	a.at(65 * time.Second)
	for range 3 {
		_, err = a.header(t, a.Keeper)
		require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
		requireSilent(t, err)
	}
	require.Equal(t, 3, a.provider.Counts().Requests)
	a.provider.Behave(nil)
	a.at(10 * time.Minute)
	_, err = a.header(t, a.Keeper)
	require.NoError(t, err)
}

// TestAClientsSecretIsPutAnew: what was bought, or refused, on the word of another
// secret is not kept.
func TestAClientsSecretIsPutAnew(t *testing.T) {
	b := newBench(t)
	at := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		if !strings.HasPrefix(secret, "canary-good") {
			status(http.StatusUnauthorized, `{"error":"invalid_client"}`)(w, r, nil)
			return
		}
		status(http.StatusOK, `{"access_token":"canary-by-`+secret+`","expires_in":3600}`)(w, r, nil)
	}))
	c := b.connector(t, endpoint(at, "workspace", signedGrant+", client: {id: app, auth: basic, secret: key}"), keySlot)
	b.put(t, c, "main", "", theSigners().rsa)
	b.put(t, c, "key", "", "canary-bad")
	_, err := b.attached(t, b.Keeper, c, nil, bound(t, c))
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	for _, secret := range []string{"canary-good-1", "canary-good-2"} {
		b.put(t, c, "key", "", secret)
		require.True(t, b.bearer(t, b.Keeper, c, nil) == "canary-by-"+secret, "what is put anew is tried at once")
	}
	require.Equal(t, 3, at.Requests())
}

// TestATokenThatHasRunOutAlready: an endpoint that gives tokens of no length gets no call
// made with them, and breaks nothing.
func TestATokenThatHasRunOutAlready(t *testing.T) {
	b := newBench(t)
	at := answering(t, 200, `{"access_token":"canary-token","expires_in":0.000000001}`)
	c := b.connector(t, endpoint(at, "workspace", "grant: client_credentials, "+byClient))
	b.put(t, c, "main", "", testenv.ClientSecret)
	_, err := b.attached(t, b.Keeper, c, nil, bound(t, c))
	require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
	requireSilent(t, err)
}
