package attack_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
	"github.com/stretchr/testify/require"
)

// TestAttack27_StormLeavesNothing: whatever becomes of calls (refused, waiting, taken back,
// cut with their connection or their task, lost by their upstream), nothing that they had
// stays taken: no place, no byte, no connection.
func TestAttack27_StormLeavesNothing(t *testing.T) {
	const places = 6
	b, h := trapped(t, func(c *config.Config) {
		c.Limits.Task.Concurrent, c.Limits.User.Concurrent, c.Limits.Connector.Concurrent = places, places+2, places
		c.Limits.Workspace.Concurrent, c.Limits.Broker.Concurrent = 2*places, 2*places
		c.Limits.Wait, c.Limits.SendTimeout = config.Duration(200*time.Millisecond), config.Duration(time.Second)
		c.Limits.HeldBytes = 8 << 20
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	grants := "things: things.get,things.stream READ thing:*"
	storm := &storm{b, t, rand.New(rand.NewPCG(seed, 27)), sync.Mutex{}}
	orchestrator := b.REST(t, testenv.Orchestrator, "")
	var all sync.WaitGroup
	for range 3 {
		doomed, spared := b.Mint(t, nil, grants), b.Mint(t, nil, grants)
		for range 40 {
			key := []testenv.Task{doomed, spared}[storm.roll(2)].Key
			all.Go(func() { storm.call(key) })
		}
		time.Sleep(time.Duration(storm.roll(300)) * time.Millisecond) // in the midst of it
		require.Equal(t, http.StatusOK, orchestrator.Do(t, http.MethodPost, "/v1/tasks/"+doomed.ID+":revoke", "{}").Status)
	}
	all.Wait()
	for _, gauge := range []string{"onedoor_rpcs_running", "onedoor_calls_waiting", "onedoor_held_bytes"} {
		testenv.Eventually(t, gauge, func() bool { return b.Metric(t, gauge) == 0 })
	}
	testenv.Eventually(t, "every upstream is let go", func() bool { return h.running.Load() == 0 })

	// Every place is there: as many calls as there are places run at once, and no more.
	task := b.Mint(t, nil, grants)
	rest := b.REST(t, testenv.Sandbox, task.Key)
	for range places {
		all.Go(func() { rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"silent"}`)) })
	}
	testenv.Eventually(t, "all places can be had", func() bool { return h.running.Load() == places })
	require.Equal(t, "task", rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`)).Metadata(t)["limit"])
	all.Wait()
}

// storm makes calls of all kinds that end in all ways.
type storm struct {
	b  *testenv.Broker
	t  *testing.T
	r  *rand.Rand
	mu sync.Mutex
}

func (s *storm) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n)
}

func (s *storm) call(key string) {
	id := []string{"endless", "bomb", "stall", "slow", "silent", "header", "large", "1", "1", "events"}[s.roll(10)]
	arguments := fmt.Sprintf(`{"id":%q}`, id)
	way := []func(context.Context, string, string){s.whole, s.stream, s.raw, s.web}[s.roll(4)]
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(1+s.roll(1500))*time.Millisecond)
	defer cancel()
	way(ctx, key, arguments)
}

func (s *storm) dial(key string) *client.Client {
	return s.b.Client(s.t, testenv.Sandbox, key)
}

func (s *storm) whole(ctx context.Context, key, arguments string) {
	_, _ = s.dial(key).Broker().Invoke(ctx, &onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(arguments)})
}

// stream reads a few pieces, and goes with its context.
func (s *storm) stream(ctx context.Context, key, arguments string) {
	in, err := s.dial(key).Broker().InvokeStream(ctx, &onedoorv1.InvokeStreamRequest{Connector: "things", Tool: "things.stream", ArgumentsJson: []byte(arguments)})
	for pieces := s.roll(20); err == nil && pieces > 0; pieces-- {
		_, err = in.Recv()
	}
}

// raw takes nothing of the answer, and takes the call back, or ends the connection, or
// waits until it is cut.
func (s *storm) raw(ctx context.Context, key, arguments string) {
	conn := testenv.DialHTTP2(s.t, s.b.Addr, s.b.TLS(s.t, testenv.Sandbox), 0)
	defer conn.Close()
	stream, err := conn.GRPC(s.t, onedoorv1.Broker_Invoke_FullMethodName, key,
		&onedoorv1.InvokeRequest{Connector: "things", Tool: "things.get", ArgumentsJson: []byte(arguments)}, s.roll(4) > 0)
	if err != nil {
		return
	}
	<-ctx.Done()
	if s.roll(2) == 0 {
		_ = conn.Reset(stream)
	}
}

func (s *storm) web(ctx context.Context, key, arguments string) {
	path, tool := "/v1/invoke", "things.get"
	if s.roll(2) == 0 {
		path, tool = "/v1/invoke:stream", "things.stream"
	}
	body := invoke(tool, arguments)
	conn := speak(s.t, hostOf(s.b.RESTURL), s.b.TLS(s.t, testenv.Sandbox), "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "+
		key+fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body))+body)
	defer func() { _ = conn.Close() }()
	<-ctx.Done() // it reads nothing
}
