package attack_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A key works with the one SPIFFE ID for which it was made. Under another it is told
// like any wrong key, and stands in the trail as theft.
func TestAttack01_StolenKey(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	task := b.Mint(t, nil, readThings)
	thief := b.REST(t, testenv.Sandbox2, task.Key)
	for name, attempt := range map[string]func() error{
		"Invoke": func() error {
			_, err := b.Client(t, testenv.Sandbox2, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			return err
		},
		"InvokeStream": func() error {
			_, err := b.Client(t, testenv.Sandbox2, task.Key).InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			return err
		},
		"ListTools": func() error {
			_, err := b.Client(t, testenv.Sandbox2, task.Key).Tools(t.Context())
			return err
		},
		"by the orchestrator that minted it": func() error {
			_, err := b.Client(t, testenv.Orchestrator, task.Key).Task(t.Context())
			return err
		},
	} {
		require.ErrorIs(t, attempt(), client.TaskKeyInvalid, name)
	}
	stolen := thief.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
	require.Equal(t, http.StatusUnauthorized, stolen.Status)
	guessed := b.REST(t, testenv.Sandbox2, "odk_"+"00000000000000000000000000000000000000000000000000000000").Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
	require.Equal(t, guessed.Reason(t), stolen.Reason(t), "a thief does not learn that the key is a real one")

	events := b.Events(t, task.ID)
	require.Equal(t, []string{"KEY_THEFT", "KEY_THEFT", "KEY_THEFT", "KEY_THEFT", "KEY_THEFT"}, reasons(events))
	require.Equal(t, task.KeyID, events[0].GetKeyId())
	thieves := map[string]bool{}
	for _, e := range events {
		thieves[e.GetSpiffeId()] = true
	}
	require.True(t, thieves[b.SPIFFEID(testenv.Sandbox2)], "the trail names the thief")
	require.False(t, thieves[b.SPIFFEID(testenv.Sandbox)], "and not the robbed")
	require.Zero(t, upstream.Requests())

	_, err := b.Client(t, testenv.Sandbox, task.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err, "its owner is not locked out")
}

// After its end a key is worth nothing, to its owner as to a thief.
func TestAttack01_KeyAfterItsEnd(t *testing.T) {
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {})
	get := invoke("things.get", `{"id":"1"}`)
	t.Run("expired", func(t *testing.T) {
		task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Ttl = durationpb.New(time.Second) }, readThings)
		rest := b.REST(t, testenv.Sandbox, task.Key)
		var last testenv.Answer
		testenv.Eventually(t, "the task's end", func() bool {
			last = rest.Do(t, http.MethodPost, "/v1/invoke", get)
			return last.Status != http.StatusOK
		})
		// It may have been cut on its way, or refused; the next is refused.
		require.Equal(t, "TASK_ENDED", last.Reason(t))
		require.Equal(t, "TASK_ENDED", rest.Do(t, http.MethodPost, "/v1/invoke", get).Reason(t))
		events := b.Events(t, task.ID)
		require.Contains(t, reasons(events), "TASK_ENDED")
		for _, e := range events {
			require.Contains(t, []string{"", "TASK_ENDED"}, e.GetReason())
		}
	})
	t.Run("revoked", func(t *testing.T) {
		task := b.Mint(t, nil, readThings)
		rest := b.REST(t, testenv.Sandbox, task.Key)
		require.Equal(t, http.StatusOK, rest.Do(t, http.MethodPost, "/v1/invoke", get).Status)
		require.Equal(t, http.StatusOK, b.REST(t, testenv.Orchestrator, "").Do(t, http.MethodPost, "/v1/tasks/"+task.ID+":revoke", "{}").Status)
		sent := upstream.Requests()
		require.Equal(t, "TASK_ENDED", rest.Do(t, http.MethodPost, "/v1/invoke", get).Reason(t))
		require.Equal(t, sent, upstream.Requests())
	})
}

// What is nearly the sandbox is another: below it, beside it, of the same path in a domain
// that is trusted as well, or named as one to whom the task might have been handed on.
func TestAttack01_NearlyTheSandbox(t *testing.T) {
	friend := newForger(t, "friend.test")
	site := testenv.NewSite(t, "", 0)
	require.NoError(t, site.Authority.Federate(friend.bundle()))
	b := site.Start(t, func(c *config.Config) {
		c.SPIFFE.TrustDomains = append(c.SPIFFE.TrustDomains, config.TrustDomain{TrustDomain: friend.domain})
	})
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	task := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) { r.Delegates = []string{b.SPIFFEID(testenv.Sandbox2)} }, readThings)
	twin := friend.sign(t, nil, "spiffe://friend.test/sandbox/one")
	thieves := map[string]*tls.Config{"the same path in another domain": b.Anonymous(t), "a delegate, whom nobody has delegated to": b.TLS(t, testenv.Sandbox2)}
	thieves["the same path in another domain"].Certificates = []tls.Certificate{twin}
	for _, path := range []string{"/sandbox/one/child", "/sandbox/ones", "/sandbox/One", "/sandbox"} {
		thieves[path] = site.As(t, b, path)
	}
	for name, conf := range thieves {
		answer := b.RESTWith(t, conf, b.RESTURL, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
		require.Equal(t, "TASK_KEY_INVALID", answer.Reason(t), name)
	}
	require.Zero(t, upstream.Requests())
	for _, e := range b.Events(t, task.ID) {
		require.Equal(t, "KEY_THEFT", e.GetReason())
	}
}
