package egress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
)

// Options are what a Door is made of. Every field may be left out.
type Options struct {
	// Resolver finds addresses. Default: NewResolver().
	Resolver Resolver
	// Log takes refused addresses. Default: none.
	Log *slog.Logger
	// Now is the time by which certificates are judged. Default: time.Now.
	Now func() time.Time
	// Bundles verify upstreams whose policy names a SPIFFE ID. Default: none, and such
	// upstreams are refused.
	Bundles x509bundle.Source
	// Routing says what goes through a proxy. Default: nothing does.
	Routing *Routing
	// ProxySecrets are what proxies demand. Default: none, and such proxies are not used.
	ProxySecrets ProxySecrets
	// MaxPools bounds how many (PoolKey, Origin, client certificate, proxy) have connections at
	// one time; the one not used for longest gives way. Default: 1024.
	MaxPools int
}

const defaultMaxPools = 1024

var errClosed = errors.New("the door is closed")

// Door makes outbound exchanges. It is for any number of goroutines.
type Door struct {
	options Options
	pools   pools
}

// New makes a Door.
func New(o Options) *Door {
	if o.Resolver == nil {
		o.Resolver = NewResolver()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxPools <= 0 {
		o.MaxPools = defaultMaxPools
	}
	return &Door{options: o, pools: pools{max: o.MaxPools, all: map[poolID]*pool{}}}
}

// Do makes one exchange and returns when the answer's header is there. Whoever gets a
// Response must close its Body or call Bytes. Every error is an *[Error].
//
// A redirect is an answer like any other; it is never followed. Nothing is retried
// but in two cases, both over a pooled connection that turned out dead: where nothing
// of the request had been written or the upstream said (HTTP/2) that it had not
// looked at it; and where the method is GET, HEAD or OPTIONS, or the request carries
// an Idempotency-Key, so that a second delivery does no harm by its own definition
// (RFC 9110, 9.2.2).
func (d *Door) Do(ctx context.Context, key PoolKey, policy Policy, req *Request, att Attachment, lim Limits) (*Response, error) {
	if cause := ctx.Err(); cause != nil {
		return nil, &Error{Kind: TimedOut, cause: cause}
	}
	lim = lim.orDefaults()
	at, err := att.open()
	if err != nil {
		return nil, denied(err)
	}
	sent := &sentMark{replayable: isReplayable(req)}
	ctx, times, cancel := withTimes(ctx, lim)
	out, err := build(httptrace.WithClientTrace(ctx, sent.trace()), req, at)
	if err != nil {
		cancel()
		return nil, err
	}
	shown := at.shows
	via, unable := d.route(ctx, key, policy, req.Origin, shown)
	if unable != nil {
		cancel()
		return nil, via.failed(unable)
	}
	if at, err = at.sign(out, req.Body); err != nil {
		cancel()
		return nil, denied(err)
	}
	transport, err := d.transport(poolID{key, req.Origin, shown.id(), via.id()}, policy, shown, via)
	if err != nil {
		cancel()
		return nil, err
	}
	// The transport itself, not an http.Client: it follows no redirect, keeps no
	// cookies, and adds no Referer.
	answer, err := transport.RoundTrip(out) //nolint:bodyclose // the Response closes it
	if err != nil {
		defer cancel()
		return nil, via.failed(classify(ctx, err, sent.Load()))
	}
	answer.Body = times.body(answer.Body, lim.Idle)
	return newResponse(ctx, cancel, answer, via.watch(at), lim)
}

func (d *Door) transport(id poolID, policy Policy, shows *certificate, via route) (*http.Transport, error) {
	if found := d.pools.find(id, policy); found != nil {
		return found, nil
	}
	policy = policy.clone()
	return d.pools.add(id, policy, shows, func() (*http.Transport, error) {
		own := &dialer{
			resolver: d.options.Resolver, origin: id.origin, policy: policy, via: via, shows: shows,
			bundles: d.options.Bundles, log: d.options.Log, now: d.options.Now,
		}
		return own.transport(d.options.Now)
	})
}

// Forget closes the idle connections of every key that matches, and lets no later
// exchange use the busy ones. Call it when a credential or a connector changes.
func (d *Door) Forget(match func(PoolKey) bool) { d.pools.forget(match) }

// Close closes all idle connections and refuses every later Do. Running exchanges end
// in peace.
func (d *Door) Close() { d.pools.close() }

// sentMark is true from the moment at which a connection was given to the request.
type sentMark struct {
	atomic.Bool
	replayable bool
}

func (s *sentMark) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		// net/http asks for a second connection only when it sends again. For what is
		// not replayable it does so only where nothing had been written.
		GetConn: func(string) {
			if !s.replayable {
				s.Store(false)
			}
		},
		GotConn: func(got httptrace.GotConnInfo) {
			s.Store(true)
			if conn, ok := got.Conn.(*turns); ok && got.Reused {
				conn.begin()
			}
		},
	}
}

// isReplayable says what net/http may send twice, or more.
func isReplayable(req *Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	for name := range req.Header {
		if s := spelling(name); s == "idempotency-key" || s == "x-idempotency-key" {
			return true
		}
	}
	return false
}
