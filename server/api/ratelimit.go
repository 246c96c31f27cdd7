package api

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/onedoor/onedoor/server/fault"
)

// Limits bound how often somebody may call. All must be positive.
type Limits struct {
	// FailuresPerSecond and FailureBurst bound failed authentications a peer.
	FailuresPerSecond float64
	FailureBurst      int
	// CallsPerSecond and CallBurst bound the calls of one task.
	CallsPerSecond float64
	CallBurst      int
	// Concurrent bounds the calls of one task that run at once.
	Concurrent int
}

// maxTracked bounds how many peers and tasks are remembered; the oldest half of them
// goes when it is reached, which forgives them at most one burst.
const maxTracked = 100_000

type limiter struct {
	limits Limits
	mu     sync.Mutex
	peers  map[string]*rate.Limiter
	tasks  map[string]*share
}

type share struct {
	rate    *rate.Limiter
	running int
}

func newLimiter(l Limits) *limiter {
	return &limiter{limits: l, peers: map[string]*rate.Limiter{}, tasks: map[string]*share{}}
}

// peerLimited refuses a peer that failed to authenticate too often of late.
func (c *Chain) peerLimited(ctx context.Context, in *call, next func(context.Context) error) error {
	in.limitedAs = limitName(ctx)
	if wait := c.limits.blocked(in.limitedAs); wait > 0 {
		f := fault.New(fault.RateLimited, "too many failed authentications; try again later", nil)
		f.RetryAfter = wait
		return f
	}
	return next(ctx)
}

// rateLimited holds one task to its share.
func (c *Chain) rateLimited(ctx context.Context, in *call, next func(context.Context) error) error {
	if in.caller == nil {
		return next(ctx)
	}
	leave, err := c.limits.enter(in.caller.Task.Workspace + "|" + in.caller.Task.ID)
	if err != nil {
		return err
	}
	defer leave()
	return next(ctx)
}

// limitName is who is counted: the SPIFFE ID that the TLS peer proved, since sandboxes
// behind one address must not block each other; else the address without its port.
func limitName(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
		if uris := info.State.PeerCertificates[0].URIs; len(uris) == 1 {
			return uris[0].String()
		}
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}

func (l *limiter) blocked(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[name]
	if p == nil || p.Tokens() >= 1 {
		return 0
	}
	return time.Duration(float64(time.Second) / l.limits.FailuresPerSecond)
}

func (l *limiter) failed(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[name]
	if p == nil {
		prune(l.peers, func(r *rate.Limiter) bool { return r.Tokens() >= float64(l.limits.FailureBurst) })
		p = rate.NewLimiter(rate.Limit(l.limits.FailuresPerSecond), l.limits.FailureBurst)
		l.peers[name] = p
	}
	p.Allow()
}

// enter takes one call out of a task's share; leave gives its place back.
func (l *limiter) enter(name string) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.tasks[name]
	if s == nil {
		prune(l.tasks, func(s *share) bool { return s.running == 0 })
		s = &share{rate: rate.NewLimiter(rate.Limit(l.limits.CallsPerSecond), l.limits.CallBurst)}
		l.tasks[name] = s
	}
	if s.running >= l.limits.Concurrent {
		f := fault.New(fault.RateLimited, "too many calls of this task run at once", nil)
		f.RetryAfter = 100 * time.Millisecond
		return nil, f
	}
	if !s.rate.Allow() {
		f := fault.New(fault.RateLimited, "this task calls too often", nil)
		f.RetryAfter = time.Duration(float64(time.Second) / l.limits.CallsPerSecond)
		return nil, f
	}
	s.running++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		s.running--
	}, nil
}

// prune makes room in a full map by dropping what is idle.
func prune[V any](m map[string]V, idle func(V) bool) {
	if len(m) < maxTracked {
		return
	}
	for k, v := range m {
		if idle(v) {
			delete(m, k)
		}
	}
}
