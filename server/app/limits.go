package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onedoor/onedoor/server/api"
	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/limit"
)

// rememberedKeys bounds how many tasks, users, … a gate remembers, and how many peers
// that failed. An entry takes about 300 bytes.
const rememberedKeys = 100_000

// limits are what keeps one from using up what others need. All listeners share them.
type limits struct {
	calls      *limit.Gate // by task, user, workspace and broker, or by workload
	connectors *limit.Gate
	failures   *limit.Failures
	budget     *limit.Budget
}

func newLimits(c *config.Limits) limits {
	gate := func(bounds map[limit.Scope]limit.Bound) *limit.Gate {
		return limit.NewGate(limit.Options{
			Bounds: bounds, Wait: time.Duration(c.Wait), Waiting: c.Waiting, Keys: rememberedKeys, Now: time.Now,
		})
	}
	return limits{
		calls: gate(map[limit.Scope]limit.Bound{
			limit.Task: bound(c.Task), limit.User: bound(c.User), limit.Workspace: bound(c.Workspace),
			limit.Workload: bound(c.Workload), limit.Broker: {Running: c.Broker.Concurrent},
		}),
		connectors: gate(map[limit.Scope]limit.Bound{limit.Connector: bound(c.Connector)}),
		failures:   limit.NewFailures(c.FailuresPerSecond, c.FailureBurst, rememberedKeys, time.Now),
		budget:     limit.NewBudget(int64(c.HeldBytes)),
	}
}

func bound(s config.Share) limit.Bound {
	return limit.Bound{PerSecond: s.CallsPerSecond, Burst: s.CallBurst, Running: s.Concurrent}
}

func (l limits) api() api.Limits {
	return api.Limits{Failures: l.failures, Gate: l.calls, Budget: l.budget}
}

// register shows how near the limits are.
func (l limits) register(r prometheus.Registerer) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("onedoor_calls_waiting", "Calls that wait for a place now.", func() float64 { return float64(l.calls.Waiting() + l.connectors.Waiting()) })
	gauge("onedoor_held_bytes", "Bytes of requests and answers held now.", func() float64 { return float64(l.budget.Held()) })
}
