package limit

import (
	"context"
	"time"
)

// queue puts a call among those that wait, and reports whether there was room. Where it
// is full, the latest of the owner who has most of them there gives way to a call of
// somebody who has fewer.
func (g *Gate) queue(p *Pass) bool {
	if g.o.Wait <= 0 || g.o.Waiting <= 0 {
		return false
	}
	if len(g.waiters) >= g.o.Waiting {
		last := g.greediest()
		if last.pools[0].waiting <= p.pools[0].waiting+1 {
			return false
		}
		last.refused = last.waitsFor().full(g.o.Wait)
		g.unqueue(last)
		last.pay(1)
		close(last.settled)
	}
	g.seq++
	p.seq, p.at, p.settled = g.seq, len(g.waiters), make(chan struct{})
	g.waiters = append(g.waiters, p)
	for _, one := range p.pools[:p.n] {
		one.waiting++
	}
	return true
}

// greediest is the latest waiter of the owner who has most of them.
func (g *Gate) greediest() *Pass {
	var found *Pass
	for _, w := range g.waiters {
		if found == nil || w.pools[0].waiting > found.pools[0].waiting ||
			w.pools[0] == found.pools[0] && w.seq > found.seq {
			found = w
		}
	}
	return found
}

func (g *Gate) unqueue(p *Pass) {
	end := len(g.waiters) - 1
	g.waiters[p.at] = g.waiters[end]
	g.waiters[p.at].at = p.at
	g.waiters[end] = nil
	g.waiters = g.waiters[:end]
	for _, one := range p.pools[:p.n] {
		one.waiting--
	}
}

// admit lets in whom the free places are for: always the one of those who could enter
// whose owner has the fewest calls running, of these the one whose owner was let in
// longest ago, and of the same owner's the one who came first. After it nobody waits who
// could enter, so whoever arrives and finds a place passes nobody.
func (g *Gate) admit(now time.Time) {
	for {
		var next *Pass
		for _, w := range g.waiters {
			if (next == nil || w.before(next)) && w.blockedBy() == nil {
				next = w
			}
		}
		if next == nil {
			return
		}
		g.unqueue(next)
		next.enter(now)
		close(next.settled)
	}
}

func (p *Pass) before(q *Pass) bool {
	mine, theirs := p.pools[0], q.pools[0]
	if mine.running != theirs.running {
		return mine.running < theirs.running
	}
	if mine.served != theirs.served {
		return mine.served < theirs.served
	}
	return p.seq < q.seq
}

// await waits until the call may enter, for as long as it may wait. What comes to an end
// at the same moment as the wait is taken as it is: a place that was given is used, or
// given back if nobody is there any more to use it.
func (g *Gate) await(ctx context.Context, p *Pass) error {
	late := time.NewTimer(g.o.Wait)
	defer late.Stop()
	select {
	case <-p.settled:
	case <-late.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := context.Cause(ctx)
	switch {
	case p.entered && gone == nil:
		return nil
	case p.entered:
		p.entered = false
		for _, one := range p.pools[:p.n] {
			one.running--
		}
		p.pay(1)
		g.admit(g.o.Now())
		return gone
	case p.refused != nil:
		return p.refused
	}
	g.unqueue(p)
	p.pay(1)
	if gone != nil {
		return gone
	}
	return p.waitsFor().full(g.o.Wait)
}

// waitsFor is the pool that a waiter waits for; any, where its place is just free.
func (p *Pass) waitsFor() *pool {
	if full := p.blockedBy(); full != nil {
		return full
	}
	return p.pools[p.n-1]
}
