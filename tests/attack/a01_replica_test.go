package attack_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/tests/testenv"
)

// elsewhere is how long a revocation may take to hold at another broker. A slow machine
// takes longer than the second that is promised, so the test only refuses what cannot
// be slowness, and says what it measured.
const elsewhere = 10 * time.Second

// TestAttack01_RevokedAtAnotherReplica: what one broker mints the other honours, and what one
// revokes neither does; running streams are cut at both.
func TestAttack01_RevokedAtAnotherReplica(t *testing.T) {
	t.Parallel()
	endless := make(chan struct{})
	defer close(endless)
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/things/stream" {
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-endless:
			case <-r.Context().Done():
			}
		}
	}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	here, there := site.Start(t), site.Start(t)
	here.Apply(t, upstream.Manifest("things", "", testenv.Things))
	get := map[string]string{"id": "1"}

	task := here.Mint(t, nil, "things: things.get READ thing:*")
	atHere, atThere := here.Client(t, testenv.Sandbox, task.Key), there.Client(t, testenv.Sandbox, task.Key)
	for _, c := range []*client.Client{atHere, atThere} {
		_, err := c.Invoke(t.Context(), "things", "things.get", get)
		require.NoError(t, err)
	}
	type end struct {
		which string
		err   error
	}
	ended := make(chan end, 2)
	for which, c := range map[string]*client.Client{"where it was revoked": atHere, "elsewhere": atThere} {
		stream, err := c.InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": "stream"})
		require.NoError(t, err)
		go func() {
			var last error
			for _, err := range stream.Data() {
				last = err
			}
			ended <- end{which, last}
		}()
	}

	began := time.Now()
	_, err := here.Client(t, testenv.Operator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: task.ID})
	require.NoError(t, err)
	_, err = atHere.Invoke(t.Context(), "things", "things.get", get)
	require.ErrorIs(t, err, client.TaskEnded, "where it was revoked it holds at once")
	testenv.Eventually(t, "the revocation at the other broker", func() bool {
		_, err := atThere.Invoke(t.Context(), "things", "things.get", get)
		return errors.Is(err, client.TaskEnded)
	})
	took := time.Since(began)
	t.Logf("revoked at the other broker after %s (promised: 1s)", took)
	require.Less(t, took, elsewhere)
	for range 2 {
		select {
		case cut := <-ended:
			require.ErrorIs(t, cut.err, client.TaskEnded, "a running stream ends with its task, %s", cut.which)
		case <-time.After(elsewhere):
			t.Fatal("a running stream did not end with its task")
		}
	}
	t.Logf("both streams cut after %s", time.Since(began))
	require.Less(t, time.Since(began), elsewhere)
	brokers := map[string]bool{}
	for _, e := range here.Events(t, task.ID) {
		brokers[e.GetBrokerId()] = true
	}
	require.Len(t, brokers, 2, "one trail holds what both did")
}
