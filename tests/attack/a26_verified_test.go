package attack_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/client/assertion"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// service is an internal API that verifies every call with the published verifier, and
// answers who asked.
type service struct {
	*testenv.Upstream
	verifier atomic.Pointer[assertion.Verifier]
	mu       sync.Mutex
	tokens   []string
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.Upstream = testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := s.verifier.Load().Verify(r.Context(), r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		s.mu.Lock()
		s.tokens = append(s.tokens, r.Header.Get("X-Onedoor-Jwt-Assertion"))
		s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]string{"agent": claims.Actor.Subject, "tool": claims.Scope})
	}))
	return s
}

// believe has the service verify by the keys that a broker publishes.
func (s *service) believe(t *testing.T, b *testenv.Broker) {
	t.Helper()
	v, err := assertion.NewVerifier(assertion.Options{
		Issuer: testenv.AssertionIssuer, Audience: testenv.AssertionAudience, Origin: s.Origin, JWKSURL: b.PublicURL + "/.well-known/jwks.json",
		HTTPClient: testenv.HTTPS(t, b.Anonymous(t)), RefreshInterval: 10 * time.Millisecond, KeysFresh: 50 * time.Millisecond,
	})
	require.NoError(t, err)
	s.verifier.Store(v)
}

// manifest of the service, with the assertion that it wants.
func (s *service) manifest() string {
	return strings.Replace(s.Manifest("things", "", testenv.Things), "tools:\n", "assertion: {audience: "+testenv.AssertionAudience+"}\ntools:\n", 1)
}

// TestAttack26_Verified: what the broker signs, the published verifier accepts: path, query and
// body are those that were signed. An emergency leaves nothing of the old key.
func TestAttack26_Verified(t *testing.T) {
	t.Parallel()
	s := newService(t)
	b := testenv.NewSite(t, "", 0).Start(t, testenv.Signing(time.Hour, time.Hour, time.Hour))
	s.believe(t, b)
	b.Apply(t, s.manifest())
	task := b.Mint(t, nil, "things: things.* WRITE thing:*")
	c := b.Client(t, testenv.Sandbox, task.Key)
	call := func() {
		t.Helper()
		for tool, arguments := range map[string]any{
			"things.get": map[string]string{"id": "a.b~c"}, "things.find": map[string]string{"q": "ä & b=c/?"},
			"things.make": map[string]any{"name": "x", "size": 9007199254740993},
		} {
			answer, err := c.Invoke(t.Context(), "things", tool, arguments)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer.Status, string(answer.Body))
			require.JSONEq(t, `{"agent":"tester","tool":"things.`+tool+`"}`, string(answer.Body))
		}
	}
	call()

	rotate := func(args ...string) testenv.Result {
		return b.CLIWith(t, testenv.Operator, "", "", append([]string{"keys", "rotate", "assertion"}, args...)...)
	}
	_, err := b.Client(t, testenv.Operator, "").Keys().Rotate(t.Context(),
		&onedoorv1.KeysRotateRequest{Purpose: onedoorv1.KeyPurpose_KEY_PURPOSE_KEK, Emergency: true})
	require.ErrorIs(t, err, client.ArgumentInvalid, "what a KEK wrapped must stay readable")
	refused := rotate()
	require.NotZero(t, refused.Code)
	require.Contains(t, refused.Stderr, "not published long enough")
	emergency := rotate("--emergency")
	require.Zero(t, emergency.Code, emergency.Stderr)
	require.Contains(t, emergency.Stdout, "ACTIVE")
	call()
	listed := b.CLIWith(t, testenv.Operator, "", "", "keys", "list")
	require.Equal(t, 2, strings.Count(listed.Stdout, "ASSERTION"), "the active one and one that stands by: %s", listed.Stdout)

	var outcomes []*onedoorv1.AuditEvent
	testenv.Eventually(t, "the outcomes", func() bool {
		outcomes = slices.DeleteFunc(b.Events(t, task.ID), func(e *onedoorv1.AuditEvent) bool { return e.GetKind() != "OUTCOME" })
		return len(outcomes) == 6
	})
	for _, e := range outcomes {
		require.Regexp(t, `^\{"assertion_jti":"[\w-]{22}"\}$`, e.GetDetail(), "by its id alone")
	}
}

// TestAttack26_KeysRotateUnderLoad: two brokers sign without a pause while the keys go
// through their lives. No call fails, and what a deleted key signed is believed no more.
func TestAttack26_KeysRotateUnderLoad(t *testing.T) {
	t.Parallel()
	s := newService(t)
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	// A retired key outlives the brokers' polls, which are two seconds apart.
	short := testenv.Signing(500*time.Millisecond, 500*time.Millisecond, 5*time.Second)
	here, there := site.Start(t, short), site.Start(t, short)
	s.believe(t, there) // signed by either, published by one
	here.Apply(t, s.manifest())
	task := here.Mint(t, nil, "things: things.* WRITE thing:*")

	kids, first := map[string]bool{}, ""
	clients := []*client.Client{here.Client(t, testenv.Sandbox, task.Key), there.Client(t, testenv.Sandbox, task.Key)}
	calls := 0
	testenv.Eventually(t, "two rotations", func() bool {
		for _, c := range clients {
			answer, err := c.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer.Status, string(answer.Body))
			calls++
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, token := range s.tokens {
			head, _, _ := strings.Cut(token, ".")
			kids[head] = true
			if first == "" {
				first = token
			}
		}
		s.tokens = nil
		return len(kids) >= 3
	})
	t.Logf("%d calls under %d keys", calls, len(kids))
	require.ErrorIs(t, s.show(t, s.token(t, clients[0])), assertion.Replayed, "a token of the active key is known")
	testenv.Eventually(t, "the deletion of the first key", func() bool {
		return errors.Is(s.show(t, first), assertion.KeyUnknown)
	})
}

// token gives what a call was sent with.
func (s *service) token(t *testing.T, c *client.Client) string {
	t.Helper()
	_, err := c.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[len(s.tokens)-1]
}

// show presents a token of the load test's calls again, with the same request.
func (s *service) show(t *testing.T, token string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Origin+"/things", strings.NewReader(`{"name":"x"}`))
	require.NoError(t, err)
	r.Header.Set("X-Onedoor-Jwt-Assertion", token)
	_, err = s.verifier.Load().Verify(t.Context(), r)
	return err
}
