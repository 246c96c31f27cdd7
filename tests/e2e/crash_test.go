package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// TestKilledBetweenIntentAndOutcome: a broker that dies while a call is out leaves its
// intent behind; the next one closes it as UNKNOWN. No call is without a record.
func TestKilledBetweenIntentAndOutcome(t *testing.T) {
	t.Parallel()
	arrived, leave := make(chan struct{}, 10), make(chan struct{})
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
	}))
	defer close(leave)
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	b.Apply(t, upstream.Manifest("things", "", testenv.Things))
	task := b.Mint(t, nil, "things: things.* WRITE thing:*")
	const calls = 3
	for range calls {
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		go func() { _, _ = sandbox.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"}) }()
	}
	for range calls {
		<-arrived
	}
	require.Error(t, killed(b))

	b = site.Start(t)
	var events []*onedoorv1.AuditEvent
	testenv.Eventually(t, "the orphans' outcomes", func() bool {
		events = b.Events(t, task.ID)
		return len(events) >= 2*calls
	})
	open := map[string]bool{}
	for _, e := range events {
		switch e.GetKind() {
		case "INTENT":
			open[e.GetInvocationId()] = true
		case "OUTCOME":
			require.Equal(t, "UNKNOWN", e.GetOutcome())
			require.True(t, open[e.GetInvocationId()], "its intent stands before it")
			delete(open, e.GetInvocationId())
		}
	}
	require.Empty(t, open)
	require.Equal(t, calls, strings.Count(upstream.Wire(), "POST /things"), "nothing was sent again")
}

// killed ends a broker by SIGKILL and gives how it ended.
func killed(b *testenv.Broker) error {
	_ = b.Kill()
	return b.Wait()
}
