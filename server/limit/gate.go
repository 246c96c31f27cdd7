package limit

import (
	"context"
	"sync"
	"time"
)

// Options are what a Gate is made of.
type Options struct {
	// Bounds by scope; a scope that is missing is not bounded.
	Bounds map[Scope]Bound
	// Wait is the longest that a call waits for a place; 0: not at all.
	Wait time.Duration
	// Waiting bounds how many wait at one time.
	Waiting int
	// Keys bounds how many keys are remembered.
	Keys int
	// Now is a clock with a monotonic reading.
	Now func() time.Time
}

// Gate lets calls in. It is for any number of goroutines: one mutex guards all of it,
// held for well under a microsecond (BenchmarkGate), which is less than what a sharded
// one pays to take several locks in order.
type Gate struct {
	o Options

	mu      sync.Mutex
	pools   map[Key]*pool
	waiters []*Pass
	seq     uint64 // of the latest to wait
	served  uint64 // of the latest to be let in
}

// pool is what is known of one key.
type pool struct {
	scope   Scope
	bound   Bound
	tokens  bucket
	running int
	waiting int
	// pinned: a call looks at it just now.
	pinned int
	// served counts up over all pools: who was let in last has the highest.
	served uint64
	// mean is how long a call took of late.
	mean time.Duration
}

// NewGate makes a Gate.
func NewGate(o Options) *Gate { return &Gate{o: o, pools: map[Key]*pool{}} }

// most is how many keys one call has.
const most = 4

// Pass is the way of one call through a Gate.
type Pass struct {
	gate  *Gate
	pools [most]*pool
	n     int
	began time.Time

	// While it waits:
	seq     uint64
	at      int           // in waiters
	settled chan struct{} // closed when it may enter, or must not any more
	refused *Refusal
	entered bool
}

// Enter takes one call out of what each of the keys may do, at most four, or out of
// none; the error is a *Refusal, or the cause of ctx if that ends meanwhile. Whoever
// gets a Pass must Leave.
//
// The first key is whose call it is: its own limit refuses at once, and where a place
// of the others is full, Enter waits, and calls of the owner with the fewest running
// come first.
func (g *Gate) Enter(ctx context.Context, keys ...Key) (*Pass, error) {
	p, err := g.arrive(keys)
	if err != nil {
		return nil, err
	}
	if p.settled == nil {
		return p, nil
	}
	return p, g.await(ctx, p)
}

// arrive lets a call in, puts it among those that wait, or refuses it.
func (g *Gate) arrive(keys []Key) (*Pass, error) {
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &Pass{gate: g, began: now}
	defer p.unpin()
	for _, k := range keys {
		one := g.pool(k, now)
		if one == nil {
			return nil, &Refusal{Scope: Broker, Rate: true, After: time.Second}
		}
		one.pinned++
		p.pools[p.n] = one
		p.n++
	}
	if r := p.tooOften(); r != nil {
		return nil, r
	}
	owner := p.pools[0]
	if owner.bound.Running > 0 && owner.running+owner.waiting >= owner.bound.Running {
		return nil, owner.full(g.o.Wait)
	}
	full := p.blockedBy()
	if full != nil && !g.queue(p) {
		return nil, full.full(g.o.Wait)
	}
	p.pay(-1)
	if full == nil {
		p.enter(now)
	}
	return p, nil
}

// pool finds or makes a key's pool. Each new one lets a few be forgotten that have
// nothing to be remembered. It gives nil where all that it remembers is in use.
func (g *Gate) pool(k Key, now time.Time) *pool {
	p := g.pools[k]
	if p != nil {
		p.tokens.fill(p.bound.PerSecond, p.bound.Burst, now)
		return p
	}
	looked := 0
	for other, old := range g.pools {
		if old.idle(now) {
			delete(g.pools, other)
		}
		if looked++; looked >= sample(len(g.pools), g.o.Keys) {
			break
		}
	}
	if len(g.pools) >= g.o.Keys {
		return nil
	}
	bound := g.o.Bounds[k.Scope]
	p = &pool{scope: k.Scope, bound: bound, tokens: fullBucket(bound.Burst, now)}
	g.pools[k] = p
	return p
}

func (p *pool) idle(now time.Time) bool {
	p.tokens.fill(p.bound.PerSecond, p.bound.Burst, now)
	return p.running+p.waiting+p.pinned == 0 && p.tokens.tokens >= float64(p.bound.Burst)
}

func (p *Pass) unpin() {
	for _, one := range p.pools[:p.n] {
		one.pinned--
	}
}

// tooOften names the pool that will have a token last, if one has none.
func (p *Pass) tooOften() *Refusal {
	var worst *Refusal
	for _, one := range p.pools[:p.n] {
		if one.bound.PerSecond <= 0 {
			continue
		}
		if lack := one.tokens.lack(one.bound.PerSecond); lack > 0 && (worst == nil || lack > worst.After) {
			worst = &Refusal{Scope: one.scope, Rate: true, After: lack}
		}
	}
	return worst
}

// blockedBy is the first pool without a place.
func (p *Pass) blockedBy() *pool {
	for _, one := range p.pools[:p.n] {
		if one.bound.Running > 0 && one.running >= one.bound.Running {
			return one
		}
	}
	return nil
}

// pay adds tokens to every pool, or takes them.
func (p *Pass) pay(tokens float64) {
	for _, one := range p.pools[:p.n] {
		if one.bound.PerSecond > 0 {
			one.tokens.tokens = min(one.tokens.tokens+tokens, float64(one.bound.Burst))
		}
	}
}

func (p *Pass) enter(now time.Time) {
	p.entered, p.began = true, now
	p.gate.served++
	p.pools[0].served = p.gate.served
	for _, one := range p.pools[:p.n] {
		one.running++
	}
}

const (
	soonest = 10 * time.Millisecond
	latest  = 30 * time.Second
)

// full is the refusal where a pool has no place. The time is that in which as many calls
// end as wait already, if they take as long as those of late.
func (p *pool) full(otherwise time.Duration) *Refusal {
	after := time.Duration(float64(p.mean) * float64(p.waiting+1) / float64(p.bound.Running))
	if p.mean == 0 {
		after = otherwise
	}
	return &Refusal{Scope: p.scope, After: min(max(after, soonest), latest)}
}

// Leave gives the places back. Whatever a call does afterwards, it does it no more.
func (p *Pass) Leave() { p.leave(false) }

// Undo gives the places back and what was counted as well: the call was refused
// elsewhere and does not count.
func (p *Pass) Undo() { p.leave(true) }

func (p *Pass) leave(undo bool) {
	now := p.gate.o.Now()
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	if !p.entered {
		return
	}
	p.entered = false
	took := now.Sub(p.began)
	for _, one := range p.pools[:p.n] {
		one.running--
		if !undo {
			one.mean += (took - one.mean) / 8
		}
	}
	if undo {
		p.pay(1)
	}
	p.gate.admit(now)
}

// Waiting is how many calls wait now.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiters)
}
