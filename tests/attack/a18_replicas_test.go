package attack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// accountSite is an upstream that takes alice's access tokens alone, their provider, and
// the manifest that joins them. tokenAt is where the broker finds the provider.
func accountSite(t *testing.T, provider *testenv.AuthServer, tokenAt string) (upstream *testenv.Upstream, manifest string) {
	t.Helper()
	upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if provider.Owner(testenv.Bearer(r)) != "alice" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	oauth := strings.ReplaceAll(provider.OAuth("authorization_code", "{id: onedoor, auth: basic, secret: client}"), provider.Origin, tokenAt)
	return upstream, upstream.Manifest("things", "{client: {owner: workspace, attach: token-endpoint}, main: {owner: user, attach: bearer, oauth: "+oauth+"}}", testenv.Things)
}

// connectAccount stores what a connected account is made of.
func connectAccount(t *testing.T, b *testenv.Broker, provider *testenv.AuthServer) {
	t.Helper()
	operator := b.Client(t, testenv.Operator, "").Credentials()
	for _, put := range []*onedoorv1.CredentialsPutRequest{
		{Connector: "things", Slot: "client", Owner: &onedoorv1.CredentialsPutRequest_WorkspaceOwned{WorkspaceOwned: true}, Secret: []byte(testenv.ClientSecret)},
		{Connector: "things", Owner: &onedoorv1.CredentialsPutRequest_User{User: "alice"}, Secret: []byte(provider.Account("alice"))},
	} {
		_, err := operator.Put(t.Context(), put)
		require.NoError(t, err)
	}
}

// TestAttack18_OneRefreshForThreeBrokers: 150 calls at three brokers meet a token that has run
// out. The provider's refresh tokens are good once: one refresh, and no call fails.
func TestAttack18_OneRefreshForThreeBrokers(t *testing.T) {
	t.Parallel()
	const perBroker = 50
	provider := testenv.NewAuthServer(t, time.Hour)
	upstream, manifest := accountSite(t, provider, provider.Origin)
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	brokers := []*testenv.Broker{site.Start(t), site.Start(t), site.Start(t)}
	brokers[0].Apply(t, manifest)
	connectAccount(t, brokers[0], provider)
	task := brokers[0].Mint(t, nil, "things: things.get READ thing:*")
	var sandboxes []*client.Client
	for _, b := range brokers {
		sandboxes = append(sandboxes, b.Client(t, testenv.Sandbox, task.Key))
	}
	for round := 1; round <= 3; round++ {
		var all sync.WaitGroup
		start := make(chan struct{})
		for _, sandbox := range sandboxes {
			for range perBroker {
				all.Go(func() {
					<-start
					answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
					if err != nil || answer.Status != http.StatusOK {
						t.Errorf("%v %+v", err, answer)
					}
				})
			}
		}
		close(start)
		all.Wait()
		require.Equal(t, testenv.AuthCounts{Requests: round, Refreshes: round}, provider.Counts())
		// The next round meets a token that has run out: what a person puts is refreshed first.
		connectAccount(t, brokers[round%3], provider)
	}
	require.Equal(t, 3*3*perBroker, upstream.Requests())
	acts := 0
	for _, e := range brokers[1].ListEvents(t, &onedoorv1.AuditListRequest{PageSize: 1000}) {
		if e.GetTool() == "credential.refresh" && e.GetKind() == "ADMIN_OUTCOME" {
			acts++
			require.Equal(t, "OK", e.GetOutcome())
			require.Contains(t, []string{brokers[0].ID, brokers[1].ID, brokers[2].ID}, e.GetSpiffeId(), "it was a broker's own act")
		}
	}
	require.Equal(t, 3, acts, "each refresh is in the trail")
	for _, b := range brokers {
		require.NotContains(t, b.Log(), "canary")
	}
}

// TestAttack18_KilledDuringARefresh: a broker dies at a step of a refresh. Another then has a
// working token, or says that the account must be connected again; what may have been
// consumed is never sent a second time.
func TestAttack18_KilledDuringARefresh(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name string
		// behave kills the broker on the first request; wire, on the first connection.
		behave func(kill func()) func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)
		wire   bool
	}{
		{name: "marked, and nothing sent", wire: true},
		{name: "sent, and not looked at", behave: func(kill func()) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
			return func(http.ResponseWriter, *http.Request, http.HandlerFunc) { kill() }
		}},
		{name: "consumed, and not answered", behave: func(kill func()) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
			return func(_ http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				honest(nowhere{}, r)
				kill()
			}
		}},
		{name: "answered", behave: func(kill func()) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
			return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				honest(w, r)
				_ = http.NewResponseController(w).Flush()
				kill()
			}
		}},
		{name: "answered, a moment ago", behave: func(kill func()) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
			return func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				honest(w, r)
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond) // about when the answer is being stored
				kill()
			}
		}},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			provider := testenv.NewAuthServer(t, time.Hour)
			var once sync.Once
			var victim atomic.Pointer[testenv.Broker]
			kill := func() { once.Do(func() { _ = victim.Load().Kill() }) }
			at := provider.Origin
			if k.wire {
				at = "https://" + listening(t, provider.Origin, kill)
			}
			_, manifest := accountSite(t, provider, at)
			store := testenv.Postgres(t)
			site := testenv.NewSite(t, store, 0)
			doomed := site.Start(t)
			victim.Store(doomed)
			survivor := site.Start(t)
			survivor.Apply(t, manifest)
			connectAccount(t, survivor, provider)
			task := survivor.Mint(t, nil, "things: things.get READ thing:*")
			if k.behave != nil {
				var first sync.Once
				dying := k.behave(kill)
				provider.Behave(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
					next := honest
					first.Do(func() { next = func(w http.ResponseWriter, r *http.Request) { dying(w, r, honest) } })
					next(w, r)
				})
			}
			_, err := doomed.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			require.Error(t, err)
			require.Error(t, doomed.Wait())
			// What the dead broker holds runs out by itself, in half a minute.
			change(t, store, `UPDATE credential_refreshes SET lease_us = 0`)

			sandbox := survivor.Client(t, testenv.Sandbox, task.Key)
			var end string
			testenv.Eventually(t, "what the other broker makes of it", func() bool {
				answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
				if end = fmt.Sprint(err); err == nil {
					end = fmt.Sprint(answer.Status)
				}
				return err == nil || strings.Contains(end, "CREDENTIAL_NEEDS_RECONNECT")
			})
			t.Logf("it ended in: %s", end)
			if !strings.Contains(end, "CREDENTIAL_NEEDS_RECONNECT") {
				require.Equal(t, "200", end, "a token that works")
			}
			require.Zero(t, provider.Counts().Reused, "a consumed refresh token is never sent again")
			require.LessOrEqual(t, provider.Counts().Requests, 1)
			require.NotContains(t, survivor.Log(), "canary")
		})
	}
}

// TestAttack18_StoppedDuringARefresh: a broker that is told to end stores what a provider gives it,
// also where the caller is gone. An upgrade costs nobody their account.
func TestAttack18_StoppedDuringARefresh(t *testing.T) {
	t.Parallel()
	provider := testenv.NewAuthServer(t, time.Hour)
	arrived, leave := make(chan struct{}), make(chan struct{})
	provider.Behave(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		close(arrived)
		<-leave
		honest(w, r)
	})
	_, manifest := accountSite(t, provider, provider.Origin)
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	b.Apply(t, manifest)
	connectAccount(t, b, provider)
	task := b.Mint(t, nil, "things: things.get READ thing:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := sandbox.Invoke(ctx, "things", "things.get", map[string]string{"id": "1"})
		gone <- err
	}()
	<-arrived
	cancel()
	require.Error(t, <-gone)
	require.NoError(t, b.Signal(syscall.SIGTERM))
	testenv.Eventually(t, "the end of its draining", func() bool {
		return strings.Contains(b.Log(), `"msg":"draining"`)
	})
	time.Sleep(time.Second) // longer than an end takes that waits for nothing
	close(leave)
	require.NoError(t, b.Wait())
	require.NotContains(t, b.Log(), "closing failed")

	b = site.Start(t)
	answer, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	require.Equal(t, testenv.AuthCounts{Requests: 1, Refreshes: 1}, provider.Counts())
}

// nowhere is an answer that is lost.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

// listening hands connections on to an origin, but for the first, which it tells of and
// drops. It gives its address.
func listening(t *testing.T, origin string, first func()) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for n := 0; ; n++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if n == 0 {
				first()
				_ = in.Close()
				continue
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(origin, "https://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			open.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
			open.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return "localhost:" + port
}
