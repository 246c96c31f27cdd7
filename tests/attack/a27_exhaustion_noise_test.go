package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// noisy limits: a task may have 3 calls at once, its user 5, a connector 6, all 8.
func noisy(c *config.Config) {
	c.Limits.Task.Concurrent, c.Limits.User.Concurrent, c.Limits.Connector.Concurrent = 3, 5, 6
	c.Limits.Workspace.Concurrent, c.Limits.Broker.Concurrent = 8, 9
	c.Limits.Wait = config.Duration(30e9)
}

// gate is an upstream that holds each call of /things/ID until the test lets one of that
// ID go, and tells whose came.
type gate struct {
	mu     sync.Mutex
	came   []string
	leaves map[string]chan struct{}
}

func (g *gate) leave(id string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaves == nil {
		g.leaves = map[string]chan struct{}{}
	}
	if g.leaves[id] == nil {
		g.leaves[id] = make(chan struct{})
	}
	return g.leaves[id]
}

func (g *gate) arrivals() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.came...)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/things/")
	if id == "quick" {
		_, _ = w.Write([]byte(`{}`))
		return
	}
	leave := g.leave(id)
	g.mu.Lock()
	g.came = append(g.came, id)
	g.mu.Unlock()
	select {
	case <-leave:
	case <-r.Context().Done():
	}
	_, _ = w.Write([]byte(`{}`))
}

// noise makes calls of a task that stay at the upstream, each in a goroutine of its own.
func noise(t *testing.T, b *testenv.Broker, key, id string, calls int) *sync.WaitGroup {
	var all sync.WaitGroup
	rest := b.REST(t, testenv.Sandbox, key)
	for range calls {
		all.Go(func() { rest.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+id+`"}`)) })
	}
	return &all
}

// TestAttack27_NoisyTask: a task that calls without end is refused, is told whose limit
// that is and when to come again, and nobody else notices it.
func TestAttack27_NoisyTask(t *testing.T) {
	g := &gate{}
	b, _ := target(t, g.ServeHTTP, noisy)
	loud, quiet := b.Mint(t, nil, readThings), b.Mint(t, nil, readThings)
	running := noise(t, b, loud.Key, "loud", 3)
	testenv.Eventually(t, "the noisy task has all of its places", func() bool { return len(g.arrivals()) == 3 })
	again, other := b.REST(t, testenv.Sandbox, loud.Key), b.REST(t, testenv.Sandbox, quiet.Key)
	for range 30 {
		refused := again.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"quick"}`))
		require.Equal(t, http.StatusTooManyRequests, refused.Status, refused.Body)
		require.NotEmpty(t, refused.Header.Get("Retry-After"))
		require.Equal(t, "RATE_LIMITED", refused.Reason(t))
		require.Equal(t, "task", refused.Metadata(t)["limit"])
		require.Equal(t, "limits.task.concurrent", refused.Metadata(t)["raise"])
		served := other.Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"quick"}`))
		require.Equal(t, http.StatusOK, served.Status, served.Body)
	}
	require.InDelta(t, 30, b.Metric(t, `onedoor_limited_total{limit="task"}`), 0)
	close(g.leave("loud"))
	running.Wait()
	require.Contains(t, reasons(b.Events(t, loud.ID)), "RATE_LIMITED")
}

// TestAttack27_TurnsAtAFullConnector: all places of a connector are taken by two noisy
// tasks, which wait for more. The next place goes to a third, who has none.
func TestAttack27_TurnsAtAFullConnector(t *testing.T) {
	g := &gate{}
	b, _ := target(t, g.ServeHTTP, noisy, func(c *config.Config) {
		c.Limits.User.Concurrent, c.Limits.Task.Concurrent = 7, 6
		c.Limits.Connector.Concurrent = 2
	})
	loud, quiet := b.Mint(t, nil, readThings), b.Mint(t, nil, readThings)
	running := noise(t, b, loud.Key, "loud", 6)
	testenv.Eventually(t, "the noisy task has all places and wants more", func() bool {
		return len(g.arrivals()) == 2 && b.Metric(t, "onedoor_calls_waiting") == 4
	})
	served := noise(t, b, quiet.Key, "quiet", 1)
	testenv.Eventually(t, "the quiet one waits", func() bool { return b.Metric(t, "onedoor_calls_waiting") == 5 })
	g.leave("loud") <- struct{}{}
	testenv.Eventually(t, "one has come in", func() bool { return len(g.arrivals()) == 3 })
	require.Equal(t, "quiet", g.arrivals()[2])
	close(g.leave("quiet"))
	close(g.leave("loud"))
	served.Wait()
	running.Wait()
	require.Zero(t, b.Metric(t, "onedoor_calls_waiting"))
}

// TestAttack27_NoisyUserAndWorkspace: many tasks of one user get no further than their
// user, and all tasks of a workspace no further than that.
func TestAttack27_NoisyUserAndWorkspace(t *testing.T) {
	g := &gate{}
	b, upstream := target(t, g.ServeHTTP, noisy, func(c *config.Config) { c.Limits.Wait = config.Duration(1) })
	b.Put(t, "things", "bob", canary)
	users := func(name string) func(*onedoorv1.TasksCreateRequest) {
		return func(r *onedoorv1.TasksCreateRequest) { r.User = name }
	}
	sandbox := b.TLS(t, testenv.Sandbox)
	call := func(key, id string) testenv.Answer {
		return b.RESTWith(t, sandbox, b.RESTURL, key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"`+id+`"}`))
	}
	var all []*sync.WaitGroup
	for range 2 {
		all = append(all, noise(t, b, b.Mint(t, nil, readThings).Key, "held", 3))
	}
	testenv.Eventually(t, "alice has all of her places, and one was refused", func() bool {
		return len(g.arrivals()) == 5 && b.Metric(t, `onedoor_limited_total{limit="user"}`) == 1
	})
	refused := call(b.Mint(t, nil, readThings).Key, "quick")
	require.Equal(t, "user", refused.Metadata(t)["limit"], "a fresh task of hers has none either")
	bob := b.Mint(t, users("bob"), readThings)
	require.Equal(t, http.StatusOK, call(bob.Key, "quick").Status)

	// The connector has six places: alice's five, and one of bob's.
	all = append(all, noise(t, b, bob.Key, "held", 1))
	testenv.Eventually(t, "the connector is full", func() bool { return len(g.arrivals()) == 6 })
	require.Equal(t, "connector", call(bob.Key, "quick").Metadata(t)["limit"])
	b.Apply(t, upstream.Manifest("more", bearer, testenv.Things))
	b.Put(t, "more", "bob", canary)
	second := b.Mint(t, users("bob"), "more: things.get READ thing:*")
	answer := b.REST(t, testenv.Sandbox, second.Key).Do(t, http.MethodPost, "/v1/invoke", `{"connector":"more","tool":"things.get","arguments":{"id":"quick"}}`)
	require.Equal(t, http.StatusOK, answer.Status, "another connector has places of its own")
	close(g.leave("held"))
	for _, one := range all {
		one.Wait()
	}
}

// TestAttack27_NoisyOrchestrator: who mints without end is slowed down, and operators are
// not.
func TestAttack27_NoisyOrchestrator(t *testing.T) {
	b := testenv.NewSite(t, "", 0).Start(t, func(c *config.Config) {
		c.Limits.Workload.CallsPerSecond, c.Limits.Workload.CallBurst = 0.001, 5
	})
	loud := b.REST(t, testenv.Orchestrator, "")
	for range 5 {
		require.Equal(t, http.StatusOK, loud.Do(t, http.MethodGet, "/v1/tasks", "").Status)
	}
	refused := loud.Do(t, http.MethodGet, "/v1/tasks", "")
	require.Equal(t, http.StatusTooManyRequests, refused.Status)
	require.Equal(t, "workload", refused.Metadata(t)["limit"])
	require.Equal(t, http.StatusOK, b.REST(t, testenv.Operator, "").Do(t, http.MethodGet, "/v1/tasks", "").Status)
}

// TestAttack27_FloodOfGuesses: who guesses keys is shut out before anything is looked up,
// whatever else they try then, and nobody else is.
func TestAttack27_FloodOfGuesses(t *testing.T) {
	g := &gate{}
	b, _ := target(t, g.ServeHTTP, func(c *config.Config) { c.Limits.FailuresPerSecond, c.Limits.FailureBurst = 0.001, 20 })
	task := b.Mint(t, nil, readThings)
	thief := b.TLS(t, testenv.Sandbox2)
	guess := func(i int) testenv.Answer {
		return b.RESTWith(t, thief, b.RESTURL, fmt.Sprint("odk_guess", i)).Do(t, http.MethodGet, "/v1/task", "")
	}
	for i := range 20 {
		require.Equal(t, http.StatusUnauthorized, guess(i).Status)
	}
	shut := guess(20)
	require.Equal(t, http.StatusTooManyRequests, shut.Status)
	require.Equal(t, "peer", shut.Metadata(t)["limit"])
	require.NotEmpty(t, shut.Header.Get("Retry-After"))
	served := b.REST(t, testenv.Sandbox, task.Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"quick"}`))
	require.Equal(t, http.StatusOK, served.Status, served.Body)
}
