package assertions_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client"
	"github.com/onedoor/onedoor/tests/testenv"
)

const (
	assertionHeader = "X-Onedoor-Jwt-Assertion"
	txnHeader       = "Txn-Token"
)

// received makes a probe of what came over the wire.
func received(origin string, r *http.Request) (probe, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return probe{}, err
	}
	tokens := append(r.Header.Values(assertionHeader), r.Header.Values(txnHeader)...)
	if len(tokens) != 1 {
		return probe{}, fmt.Errorf("%d assertions came", len(tokens))
	}
	return probe{Token: tokens[0], Method: r.Method, URL: origin + r.RequestURI, Body: string(body), Part: "once"}, nil
}

// service is an internal API that has each request judged by a panel, and answers 200
// only if all accept it.
type service struct {
	*testenv.Upstream
	panel []verifier

	mu       sync.Mutex
	accepted map[string]int // by verifier
	requests map[string]int // by kid
	refused  []error
}

func newService(t *testing.T, panel []verifier) *service {
	t.Helper()
	s := &service{panel: panel, accepted: map[string]int{}, requests: map[string]int{}}
	s.Upstream = testenv.NewUpstream(t, s)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.judge(r); err != nil {
		s.mu.Lock()
		s.refused = append(s.refused, err)
		s.mu.Unlock()
		http.Error(w, err.Error(), http.StatusForbidden)
	}
}

func (s *service) judge(r *http.Request) error {
	p, err := received(s.Origin, r)
	if err != nil {
		return err
	}
	key, err := keyOf(p.Token)
	if err != nil {
		return err
	}
	verdicts := make([]error, len(s.panel))
	var asked sync.WaitGroup
	for i, v := range s.panel {
		asked.Go(func() {
			said, err := v.ask(p)
			if err == nil && !said.Accepted {
				err = errors.New(said.Why)
			}
			if err != nil {
				verdicts[i] = fmt.Errorf("%s refused an assertion: %w", v.name, err)
			}
		})
	}
	asked.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[key]++
	for i, v := range s.panel {
		if verdicts[i] == nil {
			s.accepted[v.name]++
		}
	}
	return errors.Join(verdicts...)
}

// kids counts the keys that have signed so far.
func (s *service) kids() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// requireNoGap: each request was accepted by each of the panel.
func (s *service) requireNoGap(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Empty(t, s.refused)
	total := 0
	for _, n := range s.requests {
		total += n
	}
	t.Logf("%d requests under %d keys", total, len(s.requests))
	require.GreaterOrEqual(t, len(s.requests), 3)
	for _, v := range s.panel {
		require.Equal(t, total, s.accepted[v.name], "accepted by %s", v.name)
	}
}

// keeper is an internal API that keeps what it receives and judges nothing, called
// through connectors that want different assertions.
type keeper struct {
	client *client.Client

	mu   sync.Mutex
	last probe
	err  error
}

func newKeeper(t *testing.T, b *testenv.Broker) *keeper {
	t.Helper()
	k := &keeper{}
	var u *testenv.Upstream
	u = testenv.NewUpstream(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, err := received(u.Origin, r)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.last, k.err = p, err
	}))
	b.Apply(t, manifest(u, "kept", "audience: "+audience))
	b.Apply(t, manifest(u, "elsewhere", "audience: https://other.internal"))
	b.Apply(t, manifest(u, "chain", "profile: txn-token"))
	task := b.Mint(t, nil, "kept: things.* WRITE thing:*", "elsewhere: things.* WRITE thing:*", "chain: things.* WRITE thing:*")
	k.client = b.Client(t, testenv.Sandbox, task.Key)
	return k
}

// take gives what one call of a connector's tool was sent with.
func (k *keeper) take(t *testing.T, connector, tool string, arguments any) probe {
	t.Helper()
	answer, err := k.client.Invoke(t.Context(), connector, tool, arguments)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	k.mu.Lock()
	defer k.mu.Unlock()
	require.NoError(t, k.err)
	return k.last
}
