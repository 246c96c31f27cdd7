package assertion_test

import (
	"context"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// TestStatements: every claim, and no other. Nothing binds them to one request, and no
// type of theirs is that of an assertion about one.
func TestStatements(t *testing.T) {
	b := newBench(t)
	kid, _, err := b.keys.AssertionKey()
	require.NoError(t, err)
	const audience = "https://login.example/token"
	for name, k := range map[string]struct {
		state func(ctx context.Context, i audit.Intent, caller *task.Caller, audience string) (vault.Secret, error)
		typ   string
		own   map[string]any
	}{
		"the user": {b.StateUser, "onedoor-user+jwt", map[string]any{
			"sub": "user-1", "sub_id": map[string]any{"format": "iss_sub", "iss": task.LocalIssuer, "sub": "alice@example.org"},
			"act": map[string]any{"sub": "mailer", "sub_profile": "ai_agent"},
		}},
		"the agent": {b.StateAgent, "onedoor-agent+jwt", map[string]any{"sub": "mailer", "sub_profile": "ai_agent"}},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := k.state(t.Context(), b.intent(t, "default", "invocation-1"), caller(), audience)
			require.NoError(t, err)
			header, claims := b.read(t, string(made.Reveal()))
			require.Equal(t, map[string]any{"alg": "ES256", "kid": kid, "typ": k.typ}, header)
			require.Len(t, claims["jti"], 22)
			delete(claims, "jti")
			want := map[string]any{
				"iss": issuer, "aud": audience, "req_wl": "spiffe://example.org/sandbox/one", "txn": "invocation-1",
				"iat": float64(noon.Unix()), "exp": float64(noon.Unix() + 60),
				"tctx": map[string]any{"task": "task-1", "workspace": "default"},
				"rctx": map[string]any{"spiffe_id": "spiffe://example.org/sandbox/one", "key_id": "key-1"},
			}
			for name, value := range k.own {
				want[name] = value
			}
			require.Equal(t, want, claims)
		})
	}
}

func TestStatementsThatAreNotMade(t *testing.T) {
	b := newBench(t)
	ended := b.intent(t, "default", "i")
	b.trail.Finish(ended, audit.Outcome{Result: audit.OK})
	for name, state := range map[string]func() (vault.Secret, error){
		"no intent": func() (vault.Secret, error) { return b.StateUser(t.Context(), audit.Intent{}, caller(), "a") },
		"an intent that has ended": func() (vault.Secret, error) {
			return b.StateAgent(t.Context(), ended, caller(), "a")
		},
		"another workspace's intent": func() (vault.Secret, error) {
			return b.StateUser(t.Context(), b.intent(t, "other", "i"), caller(), "a")
		},
		"no audience": func() (vault.Secret, error) {
			return b.StateUser(t.Context(), b.intent(t, "default", "i"), caller(), "")
		},
		"no randomness": func() (vault.Secret, error) {
			return b.minter(issuer, iotest.ErrReader(errors.New("dry"))).StateUser(t.Context(), b.intent(t, "default", "i"), caller(), "a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := state()
			require.True(t, fault.Is(err, fault.Internal), "%v", err)
			require.Empty(t, made.Reveal())
		})
	}
	t.Run("no issuer", func(t *testing.T) {
		_, err := b.minter("", nil).StateAgent(t.Context(), b.intent(t, "default", "i"), caller(), "a")
		require.True(t, fault.Is(err, fault.CredentialMissing), "%v", err)
	})
}
