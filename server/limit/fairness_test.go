package limit_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/limit"
)

// shape is the gate of the property: small, so that everything in it fills up.
func shape(c *clock) *limit.Gate {
	return limit.NewGate(limit.Options{Now: c.Now, Keys: 1000, Wait: time.Hour, Waiting: 6, Bounds: map[limit.Scope]limit.Bound{
		limit.Task: {Running: 4}, limit.User: {Running: 5}, limit.Workspace: {Running: 6},
	}})
}

// model is what must be true of the gate, counted beside it.
type model struct {
	calls   []*modelCall
	running map[limit.Key]int
}

type modelCall struct {
	keys    []limit.Key
	pass    *limit.Pass
	entered bool
}

var bounds = map[limit.Scope]int{limit.Task: 4, limit.User: 5, limit.Workspace: 6}

func (m *model) full(c *modelCall) bool {
	for _, k := range c.keys {
		if m.running[k] >= bounds[k.Scope] {
			return true
		}
	}
	return false
}

// settle follows whom the gate has let in, and fails where somebody passed one who could
// have entered as well and has fewer calls running.
func (m *model) settle(t *rapid.T) {
	for {
		var best, let *modelCall
		for _, c := range m.calls {
			if c.entered {
				continue
			}
			if !m.full(c) && (best == nil || m.running[c.keys[0]] < m.running[best.keys[0]]) {
				best = c
			}
			if c.pass.Entered() && (let == nil || m.running[c.keys[0]] < m.running[let.keys[0]]) {
				let = c
			}
		}
		if let == nil {
			if best != nil {
				t.Fatalf("%v waits although it could enter", best.keys)
			}
			return
		}
		if m.running[let.keys[0]] > m.running[best.keys[0]] {
			t.Fatalf("%v passed %v", let.keys, best.keys)
		}
		m.enter(let, 1)
		let.entered = true
	}
}

func (m *model) enter(c *modelCall, by int) {
	for _, k := range c.keys {
		if m.running[k] += by; m.running[k] > bounds[k.Scope] {
			panic(fmt.Sprintf("%v: more than may run", k))
		}
	}
}

// TestFairness: under any order of arrivals and ends, no task with fewer running calls
// waits while one with more gets a place that it could have had.
func TestFairness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := shape(newClock())
		m := &model{running: map[limit.Key]int{}}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if len(m.calls) > 0 && rapid.Bool().Draw(t, "ends") {
				i := rapid.IntRange(0, len(m.calls)-1).Draw(t, "which")
				if c := m.calls[i]; c.entered {
					m.calls = append(m.calls[:i], m.calls[i+1:]...)
					c.pass.Leave()
					m.enter(c, -1)
					m.settle(t)
				}
				continue
			}
			task := rapid.IntRange(0, 5).Draw(t, "task")
			c := &modelCall{keys: []limit.Key{
				key(limit.Task, fmt.Sprint(task)), key(limit.User, fmt.Sprint(task%3)), key(limit.Workspace, ""),
			}}
			var err error
			if c.pass, err = g.Arrive(c.keys...); err != nil {
				continue
			}
			m.calls = append(m.calls, c)
			m.drop(g)
			m.settle(t)
		}
		for len(m.calls) > 0 { // nothing is left over
			for _, c := range m.calls {
				if c.entered {
					c.pass.Leave()
					m.enter(c, -1)
				}
			}
			m.calls = waiting(m.calls)
			m.settle(t)
		}
		if g.Waiting() != 0 {
			t.Fatalf("%d still wait", g.Waiting())
		}
	})
}

// drop takes out those that gave way to others in a full queue.
func (m *model) drop(*limit.Gate) {
	kept := m.calls[:0]
	for _, c := range m.calls {
		if c.entered || !c.pass.GaveWay() {
			kept = append(kept, c)
		}
	}
	m.calls = kept
}

func waiting(calls []*modelCall) (still []*modelCall) {
	for _, c := range calls {
		if !c.entered {
			still = append(still, c)
		}
	}
	return still
}
