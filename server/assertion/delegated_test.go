package assertion_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/task"
)

// TestDelegatedActors: the outermost actor is who calls, and each within is who delegated
// to the one around it (RFC 8693, 4.1). The user stays who they are.
func TestDelegatedActors(t *testing.T) {
	b := newBench(t)
	c := caller()
	c.Task.Agent, c.Task.ParentID, c.Task.RootID, c.Task.Depth = "searcher", "task-0", "task-r", 2
	c.Task.Above = []task.Ancestor{{TaskID: "task-0", Agent: "mailer"}, {TaskID: "task-r", Agent: "planner"}}
	want := map[string]any{
		"sub": "searcher", "sub_profile": "ai_agent", "act": map[string]any{
			"sub": "mailer", "sub_profile": "ai_agent", "act": map[string]any{"sub": "planner", "sub_profile": "ai_agent"},
		},
	}
	for name, wants := range map[string]string{"X-Onedoor-Jwt-Assertion": wantsDefault, "Txn-Token": wantsTxnToken} {
		call := bound(t, wants, "payslip.get", `{"user":"alice"}`)
		made, err := b.Mint(t.Context(), b.intent(t, "default", "i"), c, call, egress.Certificate{})
		require.NoError(t, err)
		_, claims := b.read(t, sent(t, made, call).Get(name))
		require.Equal(t, want, claims["act"], name)
		require.Equal(t, "user-1", claims["sub"], name)
	}
	stated, err := b.StateUser(t.Context(), b.intent(t, "default", "i"), c, "https://login.example/token")
	require.NoError(t, err)
	_, claims := b.read(t, string(stated.Reveal()))
	require.Equal(t, want, claims["act"])
}
