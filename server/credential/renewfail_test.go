package credential_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// answers of a token endpoint, and what they mean for a refresh token that is good once,
// and for one that is good as often as one likes.
var answers = map[string]struct {
	answer         func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)
	once, reusable fault.Reason
	lives          bool // a single-use token can be sent again afterwards
}{
	"429":              {status(http.StatusTooManyRequests, ""), fault.UpstreamUnavailable, fault.UpstreamUnavailable, true},
	"503":              {status(http.StatusServiceUnavailable, "canary"), fault.UpstreamUnavailable, fault.UpstreamUnavailable, true},
	"500":              {status(http.StatusInternalServerError, "canary"), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"502":              {status(http.StatusBadGateway, "<html>canary"), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"invalid_grant":    {status(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"canary"}`), fault.CredentialNeedsReconnect, fault.CredentialNeedsReconnect, false},
	"invalid_client":   {status(http.StatusUnauthorized, `{"error":"invalid_client"}`), fault.CredentialNeedsReconnect, fault.CredentialNeedsReconnect, true},
	"an unknown code":  {status(http.StatusBadRequest, `{"error":"canary"}`), fault.CredentialNeedsReconnect, fault.CredentialNeedsReconnect, true},
	"a redirect":       {status(http.StatusFound, ""), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"no JSON":          {status(http.StatusOK, "canary"), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"no token":         {status(http.StatusOK, `{"token_type":"bearer","canary":1}`), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"a token of lines": {status(http.StatusOK, `{"access_token":"canary\r\nX: y"}`), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"another type":     {status(http.StatusOK, `{"access_token":"canary","token_type":"mac"}`), fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"an endless body": {func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("canary", 1000)); err != nil {
				return
			}
		}
	}, fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
	"consumed, then the answer breaks off": {func(_ http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		honest(discard{}, r)
		panic(http.ErrAbortHandler)
	}, fault.CredentialNeedsReconnect, fault.UpstreamUnavailable, false},
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func status(code int, body string) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Location", "https://localhost/canary")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnswersOfTheProvider(t *testing.T) {
	for name, k := range answers {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, time.Hour)
			a.provider.Behave(k.answer)
			_, err := a.token(t, a.Keeper)
			require.True(t, fault.Is(err, k.once), "%v", err)
			requireSilent(t, err)
			asked := a.provider.Counts().Requests
			for _, other := range []*credential.Keeper{a.Keeper, a.keeper()} {
				_, err = a.token(t, other)
				require.Error(t, err)
				requireSilent(t, err)
			}
			require.Equal(t, asked, a.provider.Counts().Requests, "nobody asks again at once")

			a.provider.Behave(nil)
			a.at(10 * time.Minute)
			token, err := a.token(t, a.keeper())
			require.Zero(t, a.provider.Counts().Reused, "a refresh token is never sent twice")
			if k.lives {
				require.NoError(t, err)
				require.Equal(t, "alice", a.provider.Owner(token))
				return
			}
			require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
			require.Equal(t, map[string]string{"connector": "crm", "slot": "main", "owner": "user", "mend": "connect"}, fault.From(err).Metadata)
			require.Equal(t, asked, a.provider.Counts().Requests, "a dead connection asks nobody")
			records, err := a.List(t.Context(), workspace, "crm")
			require.NoError(t, err)
			require.True(t, records[0].Dead)
			require.NotEmpty(t, records[0].Reason)

			a.put(t, a.connector, "main", a.alice, a.provider.Account("alice"))
			token, err = a.token(t, a.Keeper)
			require.NoError(t, err, "put again, it lives")
			require.Equal(t, "alice", a.provider.Owner(token))
		})
		t.Run(name+", reusable", func(t *testing.T) {
			a := newAccount(t, time.Hour, reusable)
			a.provider.Behave(k.answer)
			_, err := a.token(t, a.Keeper)
			require.True(t, fault.Is(err, k.reusable), "%v", err)
			requireSilent(t, err)
		})
	}
}

// TestAnAccountThatIsNotConnected: whoever asks learns that it is connected, not put.
func TestAnAccountThatIsNotConnected(t *testing.T) {
	a := newAccount(t, time.Hour)
	_, err := a.Find(t.Context(), a.connector, a.bob)
	requireMissing(t, err, "none is stored: connect it (onedoor credential connect)")
	require.Equal(t, map[string]string{"connector": "crm", "slot": "main", "owner": "user", "mend": "connect"}, fault.From(err).Metadata)
}

func TestRetryAfter(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.provider.Behave(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := a.token(t, a.Keeper)
	require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
	a.provider.Behave(nil)
	a.at(9 * time.Minute)
	_, err = a.token(t, a.keeper())
	require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
	require.ErrorContains(t, err, "the token endpoint asks to be left alone for a while; the provider is asked again at")
	require.Equal(t, 1, a.provider.Counts().Requests)
	a.at(11 * time.Minute)
	_, err = a.token(t, a.keeper())
	require.NoError(t, err)
}

// TestUnreachableProvider: nothing was sent, so the token is as good as before.
func TestUnreachableProvider(t *testing.T) {
	gone := testenv.NewAuthServer(t, time.Hour)
	a := newAccount(t, time.Hour)
	refresh := a.provider.Account("alice")
	a.connector = a.bench.connector(t, slots("main: {owner: user, attach: bearer, oauth: "+
		strings.ReplaceAll(gone.OAuth("authorization_code", publicClient), gone.Origin, "https://localhost:1")+"}"))
	a.put(t, a.connector, "main", a.alice, refresh)
	_, err := a.token(t, a.Keeper)
	require.True(t, fault.Is(err, fault.UpstreamUnavailable), "%v", err)
	requireSilent(t, err)
	records, err := a.List(t.Context(), workspace, "crm")
	require.NoError(t, err)
	require.False(t, records[0].Dead)
}

// TestALostRace: the provider says invalid_grant because somebody has put another token
// meanwhile; that one is used.
func TestALostRace(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.provider.Behave(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		a.provider.Behave(nil)
		_, err := a.keeper().Put(t.Context(), credential.Put{
			Connector: a.connector, Slot: "main", UserID: a.alice, Secret: vault.NewSecret([]byte(a.provider.Account("alice"))), By: "operator",
		})
		if err != nil {
			t.Errorf("%v", err)
		}
		status(http.StatusBadRequest, `{"error":"invalid_grant"}`)(w, r, nil)
	})
	token, err := a.token(t, a.Keeper)
	require.NoError(t, err, "the newer one is adopted, though it has to be refreshed itself")
	require.Equal(t, "alice", a.provider.Owner(token))
	records, err := a.List(t.Context(), workspace, "crm")
	require.NoError(t, err)
	require.False(t, records[0].Dead)
}
