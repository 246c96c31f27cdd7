package credential_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/store"
	"github.com/onedoor/onedoor/tests/testenv"
)

// account is a bench whose connector is called with tokens of a strict provider.
type account struct {
	*bench
	provider  *testenv.AuthServer
	connector *connector.Connector
}

const publicClient = "{id: onedoor, auth: none}"

func newAccount(t *testing.T, life time.Duration, changes ...func(string) string) *account {
	t.Helper()
	b := newBench(t)
	provider := testenv.NewAuthServer(t, life)
	slot := slots("main: {owner: user, attach: bearer, oauth: " + provider.OAuth("authorization_code", publicClient) + "}")
	a := &account{b, provider, b.connector(t, append([]func(string) string{slot}, changes...)...)}
	b.put(t, a.connector, "main", b.alice, provider.Account("alice"))
	return a
}

func reusable(text string) string {
	return strings.Replace(text, "grant: authorization_code", "refresh_tokens: reusable, grant: authorization_code", 1)
}

// token gives what a call as alice would be sent with.
func (a *account) token(t *testing.T, k *credential.Keeper) (string, error) {
	t.Helper()
	records, err := k.Find(t.Context(), a.connector, a.alice)
	if err != nil {
		return "", err
	}
	attached, err := k.Attach(t.Context(), a.intent(t, workspace), nil, bound(t, a.connector), records)
	if err != nil {
		return "", err
	}
	require.Contains(t, attached.Pool, records[0].ID)
	return testenv.Bearer(a.sent(t, a.connector, attached)), nil
}

func TestRenewal(t *testing.T) {
	a := newAccount(t, time.Hour)
	token, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.Equal(t, "alice", a.provider.Owner(token))
	again, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.Equal(t, token, again, "it is used as long as it is good")
	elsewhere, err := a.token(t, a.keeper())
	require.NoError(t, err)
	require.Equal(t, token, elsewhere, "another broker adopts it")
	require.Equal(t, testenv.AuthCounts{Requests: 1, Refreshes: 1}, a.provider.Counts())

	records, err := a.List(t.Context(), workspace, "crm")
	require.NoError(t, err)
	require.EqualValues(t, 2, records[0].Version, "what was refreshed is a version of its own")
	require.Equal(t, "broker", records[0].CreatedBy)
}

// TestRenewalBeforeTheEnd: in the last third of its life a token is renewed, and what is
// still good is used where that fails.
func TestRenewalBeforeTheEnd(t *testing.T) {
	a := newAccount(t, 30*time.Second)
	first, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	a.at(25 * time.Second)
	a.provider.Behave(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	kept, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.Equal(t, first, kept)
	require.Equal(t, 2, a.provider.Counts().Requests)
	kept, err = a.token(t, a.Keeper)
	require.NoError(t, err)
	require.Equal(t, first, kept)
	require.Equal(t, 2, a.provider.Counts().Requests, "the provider is left alone for a while")
	a.provider.Behave(nil)
	a.at(28 * time.Second)
	second, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

// TestOneRenewalForAll: many brokers, many calls, one refresh token that is good once.
func TestOneRenewalForAll(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.provider.Behave(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		time.Sleep(50 * time.Millisecond) // so that all of them are waiting
		honest(w, r)
	})
	keepers := []*credential.Keeper{a.keeper(), a.keeper(), a.keeper()}
	var all sync.WaitGroup
	pools := make(chan string, 3*50)
	for _, k := range keepers {
		for range 50 {
			intent := a.intent(t, workspace)
			all.Go(func() {
				records, err := k.Find(t.Context(), a.connector, a.alice)
				if err == nil {
					var attached credential.Attached
					attached, err = k.Attach(t.Context(), intent, nil, bound(t, a.connector), records)
					pools <- attached.Pool
				}
				if err != nil {
					t.Errorf("%v", err)
				}
			})
		}
	}
	all.Wait()
	close(pools)
	seen := map[string]bool{}
	for p := range pools {
		seen[p] = true
	}
	require.Len(t, seen, 1, "all use the same version")
	require.Equal(t, testenv.AuthCounts{Requests: 1, Refreshes: 1}, a.provider.Counts())
}

// TestCallersGiveUp: a renewal whose callers are gone is finished all the same, since
// the token that it sent is consumed.
func TestCallersGiveUp(t *testing.T) {
	a := newAccount(t, time.Hour)
	arrived, leave := make(chan struct{}), make(chan struct{})
	a.provider.Behave(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		close(arrived)
		<-leave
		honest(w, r)
	})
	records, err := a.Find(t.Context(), a.connector, a.alice)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := a.Attach(ctx, a.intent(t, workspace), nil, bound(t, a.connector), records)
		ended <- err
	}()
	<-arrived
	cancel()
	require.True(t, fault.Is(<-ended, fault.UpstreamUnavailable))
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	require.ErrorIs(t, a.Wait(short), context.DeadlineExceeded, "it runs")
	close(leave)
	require.NoError(t, a.Wait(t.Context()))
	list, err := a.List(t.Context(), workspace, "crm")
	require.NoError(t, err)
	require.EqualValues(t, 2, list[0].Version, "what the provider gave is stored by then")
	a.provider.Behave(nil)
	token, err := a.token(t, a.keeper())
	require.NoError(t, err)
	require.Equal(t, "alice", a.provider.Owner(token))
	require.Equal(t, 1, a.provider.Counts().Requests)
}

var errStore = errors.New("the store is away")

// TestTheStoreFails: at whatever step the store is away, a consumed token is not sent
// again, and what the provider gave is not lost while the store comes back in time.
func TestTheStoreFails(t *testing.T) {
	for name, k := range map[string]struct {
		fail func(e *edited)
		err  bool
	}{
		"taking the lease":      {func(e *edited) { e.take = func() error { return errStore } }, true},
		"marking it as sent":    {func(e *edited) { e.attempt = func() error { return errStore } }, true},
		"storing it, for a bit": {func(e *edited) { e.renew = times(3, errStore) }, false},
		"giving the lease back": {func(e *edited) { e.release = func() error { return errStore } }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, time.Hour)
			k.fail(a.edited)
			_, err := a.token(t, a.Keeper)
			require.Equal(t, k.err, err != nil, "%v", err)
			if k.err {
				require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
				require.Zero(t, a.provider.Counts().Requests, "nothing is sent that could not be marked")
			}
			*a.edited = edited{Store: a.edited.Store}
			a.at(time.Minute) // the lease has run out
			token, err := a.token(t, a.keeper())
			require.NoError(t, err)
			require.Equal(t, "alice", a.provider.Owner(token))
			require.Zero(t, a.provider.Counts().Reused)
		})
	}
}

// TestADeadBroker: one that dies after the token was marked leaves it to nobody.
func TestADeadBroker(t *testing.T) {
	for name, k := range map[string]struct {
		change func(string) string
		lives  bool
	}{
		"single-use": {func(s string) string { return s }, false},
		"reusable":   {reusable, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, time.Hour, k.change)
			records, err := a.List(t.Context(), workspace, "crm")
			require.NoError(t, err)
			first, err := a.edited.Active(t.Context(), workspace, "crm", "main", a.alice)
			require.NoError(t, err)
			lease, err := a.edited.Take(t.Context(), workspace, records[0].ID, "the dead", a.now(), a.now().Add(10*time.Second))
			require.NoError(t, err)
			digest, _ := a.keys.Digest([]byte(a.refreshOf(t, first)))
			require.NoError(t, a.edited.Attempt(t.Context(), lease, digest))

			a.at(11 * time.Second)
			_, err = a.token(t, a.Keeper)
			if k.lives {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
			require.ErrorContains(t, err, "cut off")
			require.Zero(t, a.provider.Counts().Requests)

			// Had it not been dead but slow, what it brings still counts.
			late := first
			late.Version, late.CreatedAt = 2, a.now()
			require.NoError(t, a.edited.Renew(t.Context(), lease, late))
			_, err = a.keeper().Find(t.Context(), a.connector, a.alice)
			require.NoError(t, err)
		})
	}
}

// TestWhatAnotherBrokerDid: a record that was found before is not asked for again where
// another broker has renewed it meanwhile, or found it dead.
func TestWhatAnotherBrokerDid(t *testing.T) {
	for name, k := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request, http.HandlerFunc)
		want   fault.Reason
	}{
		"renewed": {nil, ""},
		"dead":    {status(http.StatusBadRequest, `{"error":"invalid_grant"}`), fault.CredentialNeedsReconnect},
		"busy":    {status(http.StatusTooManyRequests, ""), fault.UpstreamUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, time.Hour)
			stale, err := a.Find(t.Context(), a.connector, a.alice)
			require.NoError(t, err)
			a.provider.Behave(k.answer)
			_, err = a.token(t, a.keeper())
			require.Equal(t, k.want != "", err != nil, "%v", err)
			a.provider.Behave(nil)
			attached, err := a.Attach(t.Context(), a.intent(t, workspace), nil, bound(t, a.connector), stale)
			require.Equal(t, 1, a.provider.Counts().Requests)
			if k.want != "" {
				require.True(t, fault.Is(err, k.want), "%v", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "alice", a.provider.Owner(testenv.Bearer(a.sent(t, a.connector, attached))))
		})
	}
}

// TestADeadConnectionIsFound: before anything is recorded as about to happen.
func TestADeadConnectionIsFound(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.provider.Behave(status(http.StatusBadRequest, `{"error":"invalid_grant"}`))
	_, err := a.token(t, a.Keeper)
	require.Error(t, err)
	for _, k := range []*credential.Keeper{a.Keeper, a.keeper()} {
		_, err = k.Find(t.Context(), a.connector, a.alice)
		require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	}
}

// TestTheSameRefreshToken: a provider that sends no new one means that the old one is
// good still.
func TestTheSameRefreshToken(t *testing.T) {
	a := newAccount(t, time.Hour, reusable)
	first, err := a.edited.Active(t.Context(), workspace, "crm", "main", a.alice)
	require.NoError(t, err)
	a.provider.Behave(status(http.StatusOK, `{"access_token":"canary-access","expires_in":60}`))
	token, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.Equal(t, "canary-access", token)
	second, err := a.edited.Active(t.Context(), workspace, "crm", "main", a.alice)
	require.NoError(t, err)
	require.EqualValues(t, 2, second.Version)
	require.True(t, a.refreshOf(t, first) == a.refreshOf(t, second), "it is kept")
}

// TestDoubt: a token that an upstream did not take is renewed before it is used again, but
// no sandbox can have that done as often as it likes.
func TestDoubt(t *testing.T) {
	a := newAccount(t, time.Hour)
	first, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	doubt := func() {
		records, err := a.Find(t.Context(), a.connector, a.alice)
		require.NoError(t, err)
		a.Doubt(records)
	}
	doubt()
	kept, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.Equal(t, first, kept, "it is too young to be doubted")

	a.at(6 * time.Minute)
	doubt()
	second, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	for range 3 {
		doubt()
		kept, err = a.token(t, a.Keeper)
		require.NoError(t, err)
		require.Equal(t, second, kept)
	}
	require.Equal(t, 2, a.provider.Counts().Requests)

	// The user has withdrawn it: that shows now, and not when the token runs out.
	a.provider.Behave(status(http.StatusBadRequest, `{"error":"invalid_grant"}`))
	a.at(12 * time.Minute)
	doubt()
	kept, err = a.token(t, a.Keeper)
	require.NoError(t, err, "the call that finds it out is made as it was meant")
	require.Equal(t, second, kept)
	_, err = a.Find(t.Context(), a.connector, a.alice)
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	require.Equal(t, 3, a.provider.Counts().Requests)
}

// TestAPanicEndsNoBroker: what calls wait for together runs outside of any call; a panic in
// there is an error of theirs, and nobody waits for ever.
func TestAPanicEndsNoBroker(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.edited.take = func() error { panic("canary") }
	_, err := a.token(t, a.Keeper)
	require.True(t, fault.Is(err, fault.Internal), "%v", err)
	requireSilent(t, err)
	require.NoError(t, a.Wait(t.Context()))
	a.edited.take = nil
	_, err = a.token(t, a.Keeper)
	require.NoError(t, err)

	s := newService(t, "basic")
	s.put(t, s.connector, "main", "", testenv.ClientSecret)
	records, err := s.Find(t.Context(), s.connector, "")
	require.NoError(t, err)
	s.Keeper = s.keeperWith(func(o *credential.Options) { o.OAuth = nil })
	_, err = s.Attach(t.Context(), s.intent(t, workspace), nil, bound(t, s.connector), records)
	require.True(t, fault.Is(err, fault.Internal), "%v", err)
	require.Equal(t, []audit.Result{audit.Unknown}, s.ends(t, "credential.token"), "its intent does not stay open")
}

// TestARenewalStoredLateIsHeardOf: a change that bears the time of a first try, long before
// its commit, lies behind where other brokers read their feed.
func TestARenewalStoredLateIsHeardOf(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.at(2 * time.Hour)
	before := a.now()
	a.edited.renew = func() error {
		if a.now().Sub(before) < time.Minute { // the store cannot be written for a while
			a.at(2*time.Hour + time.Minute)
			return store.ErrUnavailable
		}
		return nil
	}
	_, err := a.token(t, a.Keeper)
	require.NoError(t, err)
	changes, err := a.store.Feed().Changes(t.Context(), before.Add(30*time.Second))
	require.NoError(t, err)
	require.Len(t, changes, 1, "told as of when the first try was made")
}
