package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
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

// TestKEKRotationUnderLoad: a new key comes into use while calls run; none fails, and
// the old ciphertext is wrapped anew.
func TestKEKRotationUnderLoad(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-credential" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	here, there := site.Start(t), site.Start(t)
	here.Apply(t, upstream.Manifest("things", "{main: {owner: user, attach: bearer}}", testenv.Things))
	here.Put(t, "things", "alice", "the-credential")
	task := here.Mint(t, nil, "things: things.get READ thing:*")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, b := range []*testenv.Broker{here, there} {
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		load.Go(func() {
			calls := 0
			for ; ctx.Err() == nil; calls++ {
				answer, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
				if err != nil || answer.Status != http.StatusOK {
					t.Errorf("call %d during the rotation: %v %+v", calls, err, answer)
					return
				}
			}
			t.Logf("%d calls", calls)
		})
	}
	operator := here.Client(t, testenv.Operator, "")
	made, err := operator.Keys().Rotate(t.Context(), &onedoorv1.KeysRotateRequest{Purpose: onedoorv1.KeyPurpose_KEY_PURPOSE_KEK})
	require.NoError(t, err)
	testenv.Eventually(t, "the new key's activation", func() bool {
		keys, err := operator.Keys().List(t.Context(), &onedoorv1.KeysListRequest{})
		require.NoError(t, err)
		for _, k := range keys.GetKeys() {
			if k.GetId() == made.GetKey().GetId() {
				return k.GetState() == onedoorv1.KeyState_KEY_STATE_ACTIVE
			}
		}
		return false
	})
	testenv.Eventually(t, "the credential wrapped anew", func() bool {
		return strings.Contains(here.Log()+there.Log(), "credentials rewrapped under the active KEK")
	})
	stop()
	load.Wait()
}
