package credential_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

// soon bounds what must not wait for a lease to run out, which takes 25 seconds.
const soon = 8 * time.Second

// attach is a call as alice, with records that were found before.
func (a *account) attach(t *testing.T, k *credential.Keeper, c *connector.Connector, found []credential.Record) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := k.Attach(ctx, a.intent(t, workspace), nil, bound(t, c), append([]credential.Record(nil), found...))
	return err
}

// duringARefresh has something done once, while the provider is asked.
func (a *account) duringARefresh(answer, act func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)) {
	var once sync.Once
	a.provider.Behave(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		once.Do(func() { act(w, r, honest) })
		answer(w, r, honest)
	})
}

func honestly(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) { honest(w, r) }

// putting puts a refresh token, as another broker would.
func (a *account) putting(t *testing.T, refresh string) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
	return func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
		_, err := a.keeper().Put(t.Context(), credential.Put{
			Connector: a.connector, Slot: "main", UserID: a.alice, Secret: vault.NewSecret([]byte(refresh)), By: "operator",
		})
		if err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestDeletedAndPutAgain: a broker that still has the record of a deleted credential does
// not refresh the one that was put in its place under the old one's lease: whoever found
// the new one would refresh it too.
func TestDeletedAndPutAgain(t *testing.T) {
	a := newAccount(t, time.Hour)
	stale, fresh := a.keeper(), a.keeper()
	old, err := stale.Find(t.Context(), a.connector, a.alice)
	require.NoError(t, err)
	require.NoError(t, a.Delete(t.Context(), workspace, old[0].ID))
	a.put(t, a.connector, "main", a.alice, a.provider.Account("alice"))
	found, err := fresh.Find(t.Context(), a.connector, a.alice)
	require.NoError(t, err)
	require.NotEqual(t, old[0].ID, found[0].ID)

	asked, others := make(chan struct{}), make(chan error, 1)
	a.duringARefresh(honestly, func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
		close(asked)
		time.Sleep(500 * time.Millisecond) // for the other broker to ask as well, if it will
	})
	intent := a.intent(t, workspace)
	go func() {
		_, err := stale.Attach(t.Context(), intent, nil, bound(t, a.connector), old)
		others <- err
	}()
	<-asked
	require.NoError(t, a.attach(t, fresh, a.connector, found))
	require.NoError(t, <-others)
	require.Equal(t, testenv.AuthCounts{Requests: 1, Refreshes: 1}, a.provider.Counts())
}

// TestPutDuringARefresh: what is put while another token is being refreshed can be
// used at once, and is what counts.
func TestPutDuringARefresh(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.duringARefresh(honestly, a.putting(t, a.provider.Account("new alice")))
	found, err := a.Find(t.Context(), a.connector, a.alice)
	require.NoError(t, err)
	require.NoError(t, a.attach(t, a.Keeper, a.connector, found), "nobody waits for the lease of a refresh that has ended")
	token, err := a.token(t, a.keeper())
	require.NoError(t, err)
	require.Equal(t, "new alice", a.provider.Owner(token))
}

// TestDeletedDuringARefresh, and put again: what counts is what stands there, though its
// version is the same.
func TestDeletedDuringARefresh(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, http.HandlerFunc){
		"it works": honestly, "it is refused": status(http.StatusBadRequest, `{"error":"invalid_grant"}`),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, time.Hour)
			found, err := a.Find(t.Context(), a.connector, a.alice)
			require.NoError(t, err)
			put := a.putting(t, a.provider.Account("new alice"))
			a.duringARefresh(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				a.provider.Behave(nil)
				answer(w, r, honest)
			}, func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
				if err := a.keeper().Delete(t.Context(), workspace, found[0].ID); err != nil {
					t.Errorf("%v", err)
				}
				put(nil, nil, nil)
			})
			require.NoError(t, a.attach(t, a.Keeper, a.connector, found))
			token, err := a.token(t, a.keeper())
			require.NoError(t, err)
			require.Equal(t, "new alice", a.provider.Owner(token))
			require.Equal(t, 2, a.provider.Counts().Requests)
		})
	}
}

// TestTheSameTokenIsPutDuringARefresh: what the provider refuses is not sent again
// because somebody has put it once more.
func TestTheSameTokenIsPutDuringARefresh(t *testing.T) {
	a := newAccount(t, time.Hour)
	refresh := a.provider.Account("alice")
	a.put(t, a.connector, "main", a.alice, refresh)
	a.duringARefresh(status(http.StatusBadRequest, `{"error":"invalid_grant"}`), a.putting(t, refresh))
	found, err := a.Find(t.Context(), a.connector, a.alice)
	require.NoError(t, err)
	err = a.attach(t, a.Keeper, a.connector, found)
	require.True(t, fault.Is(err, fault.CredentialNeedsReconnect), "%v", err)
	require.Equal(t, 1, a.provider.Counts().Requests)
}

// TestAMarkThatFails: nothing was sent, so nobody waits, and nothing is given up.
func TestAMarkThatFails(t *testing.T) {
	for name, written := range map[string]bool{"not written": false, "written, and the answer lost": true} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, time.Hour)
			a.edited.attempt, a.edited.attempted = times(1, errStore), written
			_, err := a.token(t, a.Keeper)
			require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
			found, err := a.Find(t.Context(), a.connector, a.alice)
			require.NoError(t, err)
			require.NoError(t, a.attach(t, a.Keeper, a.connector, found))
			require.Equal(t, testenv.AuthCounts{Requests: 1, Refreshes: 1}, a.provider.Counts())
		})
	}
}

// TestALeaseThatIsAboutToEnd: nothing is sent under it, since another broker may be about
// to send the same.
func TestALeaseThatIsAboutToEnd(t *testing.T) {
	a := newAccount(t, time.Hour)
	a.edited.attempt = func() error {
		a.edited.attempt = nil
		a.at(16 * time.Second) // of 25; an answer may take 10
		return nil
	}
	_, err := a.token(t, a.Keeper)
	require.True(t, fault.Is(err, fault.StoreUnavailable), "%v", err)
	require.Zero(t, a.provider.Counts().Requests)
	_, err = a.token(t, a.keeper())
	require.NoError(t, err, "it is given back, and the token is good still")
}

// TestRevisionsRenewApart: a call on an older revision does not come by the token of a
// credential that was put for another origin, by waiting for whoever renews that.
func TestRevisionsRenewApart(t *testing.T) {
	a := newAccount(t, time.Hour)
	old, err := a.Find(t.Context(), a.connector, a.alice)
	require.NoError(t, err)
	elsewhere := *a.connector
	elsewhere.Revision = 2
	elsewhere.Origin = a.bench.connector(t, replacing(t, "https://example.com", "https://other.example")).Origin
	a.put(t, &elsewhere, "main", a.alice, a.provider.Account("alice"))
	found, err := a.Find(t.Context(), &elsewhere, a.alice)
	require.NoError(t, err)

	asked, leave, renewed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	a.duringARefresh(honestly, func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
		close(asked)
		<-leave
	})
	intent := a.intent(t, workspace)
	go func() {
		_, err := a.Attach(t.Context(), intent, nil, bound(t, &elsewhere), found)
		renewed <- err
	}()
	<-asked
	err = a.attach(t, a.Keeper, a.connector, old)
	close(leave)
	requireMissing(t, err, "put for another origin")
	require.NoError(t, <-renewed)
}
