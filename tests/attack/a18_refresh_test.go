package attack_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// accounts is a broker with one connector, "things", that is called with tokens of a
// provider, and the accounts of alice and bob there.
func accounts(t *testing.T, provider *testenv.AuthServer, h http.HandlerFunc) (*testenv.Broker, *testenv.Upstream) {
	t.Helper()
	upstream := testenv.NewUpstream(t, h)
	b := testenv.NewSite(t, "", 0).Start(t)
	b.Apply(t, upstream.Manifest("things", "{main: {owner: user, attach: bearer, oauth: "+
		provider.OAuth("authorization_code", "{id: onedoor, auth: none}")+"}}", testenv.Things))
	for _, user := range []string{"alice", "bob"} {
		b.Put(t, "things", user, provider.Account(user))
	}
	return b, upstream
}

// Two users' calls, 10,000 of them, while their tokens run out again and again: the
// upstream sees only the right one for each, and no refresh token twice.
func TestAttack18_TwoAccounts(t *testing.T) {
	t.Parallel()
	provider := testenv.NewAuthServer(t, 2*time.Second)
	b, _ := accounts(t, provider, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, provider.Owner(testenv.Bearer(r)))
	})
	const workers, each = 8, 625
	var load sync.WaitGroup
	for _, user := range []string{"alice", "bob"} {
		task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.User = user }, readThings)
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		for range workers {
			load.Go(func() {
				for n := range each {
					answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
					if err != nil || string(answer.Body) != user {
						t.Errorf("%s's call %d: %v, %+v", user, n, err, answer)
						return
					}
				}
			})
		}
	}
	load.Wait()
	counts := provider.Counts()
	t.Logf("%d calls, %d refreshes", 2*workers*each, counts.Refreshes)
	require.GreaterOrEqual(t, counts.Refreshes, 2)
	require.Equal(t, counts.Requests, counts.Refreshes, "each request to the provider was worth it")
}

// Whatever the provider answers, its token endpoint meets no storm, callers are told
// what to do, and what it wrote is nowhere to be found.
func TestAttack18_TheProvider(t *testing.T) {
	for name, k := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)
		want   client.Reason
	}{
		"429": {func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, canary)
		}, client.UpstreamUnavailable},
		"500": {func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			http.Error(w, canary, http.StatusInternalServerError)
		}, client.CredentialNeedsReconnect},
		"malformed": {func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			_, _ = io.WriteString(w, `{"access_token": ["`+canary+`"]}`)
		}, client.CredentialNeedsReconnect},
		"refused": {func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": %q, "error_uri": %[1]q}`, canary)
		}, client.CredentialNeedsReconnect},
		"slow": {func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			<-r.Context().Done()
		}, client.CredentialNeedsReconnect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := testenv.NewAuthServer(t, time.Minute)
			b, upstream := accounts(t, provider, func(http.ResponseWriter, *http.Request) {})
			provider.Behave(k.answer)
			task := b.Mint(t, nil, readThings)
			sandbox := b.Client(t, testenv.Sandbox, task.Key)
			var load sync.WaitGroup
			for range 30 {
				load.Go(func() {
					// Without repeats: each call is asked and answered once.
					_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
					if !strings.Contains(fmt.Sprint(err), string(k.want)) || strings.Contains(fmt.Sprint(err), "canary") {
						t.Errorf("want %s, and nothing that the provider wrote", k.want)
					}
				})
			}
			load.Wait()
			require.Equal(t, 1, provider.Counts().Requests, "no storm")
			require.Zero(t, upstream.Requests(), "no call without its credential")
			requireNowhere(t, b, task)
		})
	}
}

// A provider that asks to be left alone is left alone by a broker that starts anew, too:
// what it asked for stands in the store.
func TestAttack18_BackOffOutlivesABroker(t *testing.T) {
	provider := testenv.NewAuthServer(t, time.Minute)
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	b.Apply(t, upstream.Manifest("things", "{main: {owner: user, attach: bearer, oauth: "+provider.OAuth("authorization_code", "{id: onedoor, auth: none}")+"}}", testenv.Things))
	b.Put(t, "things", "alice", provider.Account("alice"))
	provider.Behave(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	task := b.Mint(t, nil, readThings)
	for range 3 {
		answer := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
		require.Equal(t, "UPSTREAM_UNAVAILABLE", answer.Reason(t))
		require.NoError(t, b.Kill())
		b = site.Start(t)
	}
	require.Equal(t, 1, provider.Counts().Requests)
	require.Zero(t, upstream.Requests())
}

// requireNowhere: no token and nothing that a provider wrote is in the log, the trail,
// the metrics or the database.
func requireNowhere(t *testing.T, b *testenv.Broker, task testenv.Task) {
	t.Helper()
	require.NotContains(t, b.Log(), "canary")
	metrics, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.OpsURL+"/metrics", nil)
	require.NoError(t, err)
	require.NotContains(t, testenv.Fetch(t, http.DefaultClient, metrics).Body, "canary")
	for _, e := range append(b.Events(t, task.ID), b.ListEvents(t, &onedoorv1.AuditListRequest{PageSize: 1000})...) {
		require.NotContains(t, e.String(), "canary")
	}
	for _, path := range []string{"onedoor.db", "onedoor.db-wal"} {
		text, err := os.ReadFile(filepath.Join(b.Dir, path))
		require.NoError(t, err)
		require.NotContains(t, string(text), "canary")
	}
}

// What a sandbox never held it cannot be shown either: a token that was refreshed a
// moment ago is taken out of the answer that echoes it.
func TestAttack16_FreshTokens(t *testing.T) {
	provider := testenv.NewAuthServer(t, time.Minute)
	var seen []string
	b, upstream := accounts(t, provider, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, testenv.Bearer(r))
		w.Header().Set("X-Kind", r.Header.Get("Authorization"))
		_, _ = fmt.Fprintf(w, "%s and %q", r.Header.Get("Authorization"), forms(testenv.Bearer(r)))
	})
	task := b.Mint(t, nil, readThings)
	answer, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, "alice", provider.Owner(seen[0]))
	absent(t, "the answer", string(answer.Body)+fmt.Sprint(answer.Headers), seen[0])
	require.Contains(t, string(answer.Body), "[redacted]")

	// Nor can it ask for one: a token endpoint is no tool, whatever it is called.
	for _, tool := range []string{"token", "/token", "oauth.token"} {
		_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", tool, map[string]string{})
		require.Error(t, err)
	}
	require.Equal(t, 1, upstream.Requests())
	require.Equal(t, 1, provider.Counts().Requests)
	requireNowhere(t, b, task)
}
