package attack_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// While a task delegates at two brokers as fast as it can, it is ended, by an operator or
// by the task above it: no child of it lives afterwards, at neither broker, whichever moment
// it was minted in.
func TestAttack33_RevokeRace(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	many := func(c *config.Config) {
		c.Limits.FailureBurst = 1e6
		c.Limits.Delegation = config.Delegation{Depth: 4, Children: 1000, Tree: 2000}
	}
	here, there := site.Start(t, many), site.Start(t, many)
	here.Apply(t, upstream.Manifest("things", "", testenv.Things))
	for range 3 {
		root := here.Mint(t, here.DelegatesToSandbox2, readThings)
		raceToEnd(t, here, there, race{as: testenv.Sandbox, task: root, root: root, end: func() error {
			_, err := here.Client(t, testenv.Operator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: root.ID})
			return err
		}})

		root = here.Mint(t, here.DelegatesToSandbox2, readThings)
		above := here.Client(t, testenv.Sandbox, root.Key)
		r := here.Delegation(readThings)
		r.Delegates = []string{here.SPIFFEID(testenv.Sandbox2)}
		middle, err := testenv.TryDelegate(t, above, r)
		require.NoError(t, err)
		raceToEnd(t, here, there, race{as: testenv.Sandbox2, task: middle, root: root, live: 1, end: func() error {
			_, err := above.EndDelegated(t.Context(), middle.ID)
			return err
		}})
	}
	require.Zero(t, upstream.Requests())
}

// race is a task that delegates until it is ended.
type race struct {
	as         testenv.Role
	task, root testenv.Task
	end        func() error
	live       int // how many of the tree live afterwards
}

func raceToEnd(t *testing.T, here, there *testenv.Broker, r race) {
	t.Helper()
	var mu sync.Mutex
	var children []testenv.Task
	var load sync.WaitGroup
	for _, b := range []*testenv.Broker{here, there, here, there} {
		as := b.Client(t, r.as, r.task.Key)
		load.Go(func() {
			for {
				child, err := testenv.TryDelegate(t, as, b.Delegation(readThings))
				if errors.Is(err, client.TaskEnded) {
					return
				}
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				mu.Lock()
				children = append(children, child)
				mu.Unlock()
			}
		})
	}
	testenv.Eventually(t, "some children", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(children) > 8
	})
	require.NoError(t, r.end())
	require.Len(t, here.Tree(t, r.root.ID, true), r.live)
	load.Wait()
	require.Len(t, here.Tree(t, r.root.ID, true), r.live, "nor was one born after it")
	require.GreaterOrEqual(t, len(here.Tree(t, r.root.ID, false)), 1+len(children))
	for i, child := range children {
		_, err := here.Client(t, testenv.Sandbox2, child.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
		require.ErrorIs(t, err, client.TaskEnded, "child %d", i)
		if i > 20 {
			break // each opens a connection
		}
	}
}

// A child's stream is cut when any task above it is revoked, at another broker too; and
// ending the child, by its orchestrator or by a task above it, cuts nothing of its parent's or
// of its sister's.
func TestAttack33_EndsWithWhatIsAbove(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	here, there := site.Start(t), site.Start(t)
	here.Apply(t, upstream.Manifest("things", "", strings.ReplaceAll(testenv.Things, "timeout: 10s", "timeout: 10m")))
	root := here.Mint(t, here.DelegatesToSandbox2, readThings)
	above := here.Client(t, testenv.Sandbox, root.Key)
	left, right := here.Delegate(t, root, readThings), here.Delegate(t, root, readThings)
	r := here.Delegation(readThings)
	r.Delegates = []string{here.SPIFFEID(testenv.Sandbox2)}
	middle, err := testenv.TryDelegate(t, above, r)
	require.NoError(t, err)
	leaf, err := testenv.TryDelegate(t, here.Client(t, testenv.Sandbox2, middle.Key), here.Delegation(readThings))
	require.NoError(t, err)

	ofRoot, ofRight := running(t, here, testenv.Sandbox, root), running(t, there, testenv.Sandbox2, right)
	ofLeft, ofMiddle, ofLeaf := running(t, here, testenv.Sandbox2, left), running(t, here, testenv.Sandbox2, middle), running(t, there, testenv.Sandbox2, leaf)
	revoke := func(task testenv.Task) {
		_, err := here.Client(t, testenv.Orchestrator, "").Tasks().Revoke(t.Context(), &onedoorv1.TasksRevokeRequest{TaskId: task.ID})
		require.NoError(t, err)
	}
	revoke(left)
	require.ErrorIs(t, <-ofLeft, client.TaskEnded)
	require.ElementsMatch(t, []string{root.ID, right.ID, middle.ID, leaf.ID}, idsOf(here.Tree(t, root.ID, true)))
	_, err = above.EndDelegated(t.Context(), middle.ID)
	require.NoError(t, err)
	require.ErrorIs(t, <-ofMiddle, client.TaskEnded)
	require.ErrorIs(t, <-ofLeaf, client.TaskEnded, "below it, at the other broker")
	require.ElementsMatch(t, []string{root.ID, right.ID}, idsOf(here.Tree(t, root.ID, true)))
	select {
	case err := <-ofRoot:
		t.Fatalf("the parent's stream ended with its child: %v", err)
	case err := <-ofRight:
		t.Fatalf("the sister's stream ended: %v", err)
	default:
	}
	revoke(root)
	require.ErrorIs(t, <-ofRoot, client.TaskEnded)
	require.ErrorIs(t, <-ofRight, client.TaskEnded, "at the other broker")
}

// running is a stream of a task's that has begun; it gives how that ends.
func running(t *testing.T, b *testenv.Broker, as testenv.Role, task testenv.Task) <-chan error {
	t.Helper()
	s, err := b.Client(t, as, task.Key).InvokeStream(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
	ended, first := make(chan error, 1), make(chan struct{})
	go func() {
		var last error
		begun := false
		for _, err := range s.Data() {
			if last = err; !begun {
				begun = true
				close(first)
			}
		}
		ended <- last
	}()
	<-first
	return ended
}

func idsOf(tasks []*onedoorv1.Task) (ids []string) {
	for _, k := range tasks {
		ids = append(ids, k.GetId())
	}
	return ids
}

// All of a tree together spends what its root may spend, whoever of it calls, at whichever
// broker.
func TestAttack33_SpentTogether(t *testing.T) {
	t.Parallel()
	upstream := testenv.NewUpstream(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	site := testenv.NewSite(t, testenv.Postgres(t), 0)
	here, there := site.Start(t), site.Start(t)
	here.Apply(t, upstream.Manifest("things", "", testenv.Things))
	const most = "things: things.get READ thing:* calls=20"
	root := here.Mint(t, here.DelegatesToSandbox2, most)
	callers := []*client.Client{here.Client(t, testenv.Sandbox, root.Key)}
	for range 3 {
		child := here.Delegate(t, root, most)
		callers = append(callers, here.Client(t, testenv.Sandbox2, child.Key), there.Client(t, testenv.Sandbox2, child.Key))
	}
	var calls sync.WaitGroup
	var answered atomic.Int64
	for n := range 70 {
		calls.Go(func() {
			_, err := callers[n%len(callers)].Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
			switch client.ReasonOf(err) {
			case "":
				answered.Add(1)
			case client.LimitReached:
			default:
				t.Errorf("%v", err)
			}
		})
	}
	calls.Wait()
	require.EqualValues(t, 20, answered.Load())
	require.Equal(t, 20, upstream.Requests())
}

// Tasks that delegate to tasks that delegate, as fast as they can: the tree stays within
// its bounds, its calls within the share of one task, and others call on.
func TestAttack33_ForkBomb(t *testing.T) {
	t.Parallel()
	b, _ := target(t, func(http.ResponseWriter, *http.Request) {}, func(c *config.Config) {
		c.Limits.Delegation = config.Delegation{Depth: 3, Children: 4, Tree: 12}
	})
	other := b.Mint(t, nil, readThings)
	root := b.Mint(t, func(r *onedoorv1.TasksCreateRequest) {
		r.Delegates = []string{b.SPIFFEID(testenv.Sandbox), b.SPIFFEID(testenv.Sandbox2)}
	}, readThings)
	next := b.Delegation(readThings)
	next.Sandbox, next.Delegates = b.SPIFFEID(testenv.Sandbox), []string{b.SPIFFEID(testenv.Sandbox)}
	var bomb sync.WaitGroup
	var refused sync.Map
	var fork func(task testenv.Task)
	fork = func(task testenv.Task) {
		as := b.Client(t, testenv.Sandbox, task.Key)
		for range 6 {
			bomb.Go(func() {
				child, err := testenv.TryDelegate(t, as, next)
				var why *client.Error
				if errors.As(err, &why) {
					refused.Store(string(why.Reason)+" "+why.Metadata["limit"], true)
					return
				}
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				fork(child)
			})
		}
	}
	fork(root)
	bomb.Wait()
	tree := b.Tree(t, root.ID, false)
	require.Len(t, tree, 12)
	children := map[string]int{}
	for _, k := range tree {
		require.LessOrEqual(t, k.GetDepth(), int32(3))
		if children[k.GetParentId()]++; k.GetParentId() != "" {
			require.LessOrEqual(t, children[k.GetParentId()], 4)
		}
	}
	refused.Range(func(why, _ any) bool {
		require.Contains(t, []string{"LIMIT_REACHED delegation.depth", "LIMIT_REACHED delegation.children", "LIMIT_REACHED delegation.tree"}, why)
		return true
	})
	_, err := b.Client(t, testenv.Sandbox, other.Key).Invoke(t.Context(), "things", "things.get", map[string]string{"id": "1"})
	require.NoError(t, err)
}

// Delegating does not multiply what one task may do at a time: places and rate are those
// of the whole tree.
func TestAttack33_OneShareForATree(t *testing.T) {
	t.Parallel()
	b, upstream := target(t, func(http.ResponseWriter, *http.Request) {}, func(c *config.Config) {
		c.Limits.Task = config.Share{CallsPerSecond: 0.001, CallBurst: 10, Concurrent: 10}
	})
	root := b.Mint(t, b.DelegatesToSandbox2, readThings)
	children := []testenv.Task{b.Delegate(t, root, readThings), b.Delegate(t, root, readThings)}
	allowed := 0
	for n := range 12 {
		answer := b.REST(t, testenv.Sandbox2, children[n%2].Key).Do(t, http.MethodPost, "/v1/invoke", invoke("things.get", `{"id":"1"}`))
		if answer.Status == http.StatusOK {
			allowed++
			continue
		}
		require.Equal(t, "RATE_LIMITED", answer.Reason(t))
	}
	require.Equal(t, 8, allowed, "two of the ten went to delegating")
	require.Equal(t, 8, upstream.Requests())
}
