package attack_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/tests/testenv"
)

// While calls hail down, the task is revoked: what begins after Revoke has returned is
// refused, without exception.
func TestAttack22_RevokeRace(t *testing.T) {
	// Calls of an ended task count as failed authentications; here there are many.
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {}, func(c *config.Config) { c.Limits.FailureBurst = 1e6 })
	orchestrator := b.Client(t, testenv.Orchestrator, "")
	for range 10 {
		task := b.Mint(t, nil, readThings)
		sandbox := b.Client(t, testenv.Sandbox, task.Key)
		revoked := make(chan struct{})
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				for {
					late := false
					select {
					case <-revoked:
						late = true
					default:
					}
					_, err := sandbox.Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
					if late {
						if client.ReasonOf(err) != client.TaskEnded {
							t.Errorf("a call after the revocation: %v", err)
						}
						return
					}
				}
			})
		}
		_, err := orchestrator.Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: task.ID})
		require.NoError(t, err)
		close(revoked)
		load.Wait()
	}
}

// A call that runs when its task is revoked is cut; its record says that nobody knows
// how it ended.
func TestAttack22_RunningCallIsCut(t *testing.T) {
	arrived, leave := make(chan struct{}, 1), make(chan struct{})
	defer close(leave)
	b, _ := target(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
	})
	task := b.Mint(t, nil, "things: things.make WRITE thing:*")
	sandbox := b.Client(t, testenv.Sandbox, task.Key)
	failed := make(chan error, 1)
	go func() {
		_, err := sandbox.Invoke(t.Context(), "things", "things.make", map[string]string{"name": "x"})
		failed <- err
	}()
	<-arrived
	_, err := b.Client(t, testenv.Orchestrator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: task.ID})
	require.NoError(t, err)
	require.ErrorIs(t, <-failed, client.TaskEnded)
	testenv.Eventually(t, "the outcome", func() bool {
		events := b.Events(t, task.ID)
		return events[len(events)-1].GetOutcome() == "UNKNOWN"
	})
}

// An answer that we cut never looks whole, though many upstreams end theirs in good
// form as soon as they hear that we go. It is a race, so it is run many times.
func TestAttack22_CutIsNoEnd(t *testing.T) {
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	origin, err := egress.ParseOrigin(upstream.Origin)
	require.NoError(t, err)
	door := egress.New(egress.Options{})
	defer door.Close()
	policy := egress.Policy{AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: []byte(upstream.CA)}
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		answer, err := door.Do(ctx, egress.PoolKey{}, policy, &egress.Request{Method: http.MethodGet, Origin: origin, Path: "/"}, egress.NewAttachment(), egress.Limits{})
		require.NoError(t, err)
		_, err = io.ReadFull(answer.Body, make([]byte, len("first")))
		require.NoError(t, err)
		time.AfterFunc(time.Millisecond, cancel)
		_, err = io.ReadAll(answer.Body)
		require.Error(t, err, "the answer passes for whole")
		require.NoError(t, answer.Body.Close())
		cancel()
	}
}
