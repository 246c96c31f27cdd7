package egress

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// pool is the connections of one PoolKey to one origin that show one certificate and go
// one way.
type pool struct {
	transport *http.Transport
	policy    Policy
	notAfter  time.Time    // the certificate's; zero for none
	lastUsed  atomic.Int64 // by pools.clock
}

type poolID struct {
	key    PoolKey
	origin Origin
	shows  certificateID
	via    routeID
}

// pools holds at most max pools and closes the one that was not used for longest.
type pools struct {
	max   int
	clock atomic.Int64 // counts uses

	mu     sync.RWMutex
	all    map[poolID]*pool
	closed bool
}

// find gives the transport of id if it stands under policy, else nil. It is all that
// an exchange does here but for the first.
func (p *pools) find(id poolID, policy Policy) *http.Transport {
	p.mu.RLock()
	found := p.all[id]
	p.mu.RUnlock()
	if found == nil || !found.policy.equal(policy) {
		return nil
	}
	found.lastUsed.Store(p.clock.Add(1))
	return found.transport
}

// add puts a transport in, made by open, unless another goroutine came first. One
// under another policy is replaced: what that one let through is not inherited.
func (p *pools) add(id poolID, policy Policy, shows *certificate, open func() (*http.Transport, error)) (*http.Transport, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, denied(errClosed)
	}
	old := p.all[id]
	if old != nil && old.policy.equal(policy) {
		return old.transport, nil
	}
	transport, err := open()
	if err != nil {
		return nil, err
	}
	if old != nil {
		p.drop(id)
	}
	made := &pool{transport: transport, policy: policy}
	if shows != nil {
		made.notAfter = shows.pair.Leaf.NotAfter
	}
	p.supersede(id, made.notAfter)
	if len(p.all) >= p.max {
		p.evict()
	}
	made.lastUsed.Store(p.clock.Add(1))
	p.all[id] = made
	return transport, nil
}

// supersede drops the pools that differ from id by a certificate alone which ends no
// later: an SVID was renewed, and the one before it is shown no more. A late call that
// still bears that one makes a pool of its own, which goes at the next renewal.
func (p *pools) supersede(id poolID, notAfter time.Time) {
	for other, one := range p.all {
		if other.key == id.key && other.origin == id.origin && other.via == id.via && other.shows != id.shows && !one.notAfter.After(notAfter) {
			p.drop(other)
		}
	}
}

// evict drops the pool that was not used for longest. It looks at all of them: that
// is rare, and keeps the common way free of a list to be kept in order.
func (p *pools) evict() {
	var oldest poolID
	var at int64 = -1
	for id, one := range p.all {
		if used := one.lastUsed.Load(); at < 0 || used < at {
			oldest, at = id, used
		}
	}
	p.drop(oldest)
}

// drop forgets a pool. Exchanges that run in it end in peace; nothing finds it again.
func (p *pools) drop(id poolID) {
	p.all[id].transport.CloseIdleConnections()
	delete(p.all, id)
}

func (p *pools) forget(match func(PoolKey) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.all {
		if match(id.key) {
			p.drop(id)
		}
	}
}

func (p *pools) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for id := range p.all {
		p.drop(id)
	}
}
