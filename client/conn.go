package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// conn is a grpc.ClientConnInterface over one connection a generation of the SVID.
//
// TLS checks an SVID at the handshake only, so a connection speaks for the SVID with
// which it was made. Before every RPC conn compares that one with the source's: after
// a rotation the RPC goes over a new connection, and the old one is closed when the
// last of its running RPCs has ended. No goroutine watches, so nothing can be missed,
// and an idle client costs nothing.
type conn struct {
	dial   dialer
	bearer *bearer // nil without a task key

	mu      sync.Mutex
	current *link // nil before the first RPC and after a retirement
	links   map[*link]struct{}
	closed  bool
	closing sync.WaitGroup // retired connections on their way out
}

// link is one connection. Its fields below cc are guarded by conn.mu.
type link struct {
	cc      *grpc.ClientConn
	refused atomic.Pointer[error]

	leaf    *x509.Certificate
	running int
	retired bool
}

// Invoke implements grpc.ClientConnInterface. SVID_EXPIRED, which says that nothing
// happened, is tried once more over a fresh connection.
func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	err := c.invoke(ctx, method, args, reply, opts)
	if ReasonOf(err) == SVIDExpired {
		err = c.invoke(ctx, method, args, reply, opts)
	}
	return err
}

func (c *conn) invoke(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	l, err := c.acquire()
	if err != nil {
		return err
	}
	defer c.release(l)
	ctx, left := withDeparture(ctx)
	return c.judge(l, method, left, l.cc.Invoke(ctx, method, args, reply, c.options(method, opts)...))
}

// NewStream implements grpc.ClientConnInterface.
func (c *conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	l, err := c.acquire()
	if err != nil {
		return nil, err
	}
	ctx, left := withDeparture(ctx)
	ended := sync.OnceFunc(func() { c.release(l) })
	opts = append(c.options(method, opts), grpc.OnFinish(func(error) { ended() }))
	inner, err := l.cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		ended()
		return nil, c.judge(l, method, left, err)
	}
	judge := func(err error) error { return c.judge(l, method, left, err) }
	return &judgedStream{ClientStream: inner, judge: judge}, nil
}

// judgedStream gives a stream's errors as *Error.
type judgedStream struct {
	grpc.ClientStream
	judge func(error) error
}

func (s *judgedStream) RecvMsg(m any) error { return s.judge(s.ClientStream.RecvMsg(m)) }
func (s *judgedStream) SendMsg(m any) error { return s.judge(s.ClientStream.SendMsg(m)) }

// options adds the task key to what a sandbox may call. Elsewhere it is of no use, and
// under an operator's SVID it would look stolen.
func (c *conn) options(method string, opts []grpc.CallOption) []grpc.CallOption {
	opts = slices.Clone(opts)
	if c.bearer != nil && strings.HasPrefix(method, "/"+onedoorv1.Broker_ServiceDesc.ServiceName+"/") {
		opts = append(opts, grpc.PerRPCCredentials(*c.bearer))
	}
	return opts
}

// judge turns err into an *Error and draws the conclusions that only this layer can.
func (c *conn) judge(l *link, method string, left *atomic.Bool, err error) error {
	err = fromStatus(err)
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Reason == SVIDExpired {
		c.retire(l)
	}
	if e.Reason != "" {
		return e
	}
	if refused := l.refused.Load(); refused != nil && !left.Load() && e.code == codes.Unavailable {
		return &Error{Message: (*refused).Error(), code: codes.Unauthenticated, cause: *refused}
	}
	if left.Load() && hasEffect(method) && e.code != codes.Unimplemented {
		e.Reason, e.code = OutcomeUnknown, codes.Unknown
		e.Message = "the call was handed to the broker, but its answer did not arrive: " + e.Message
	}
	return e
}

// hasEffect reports whether method calls an upstream or mints a sub-agent's task.
func hasEffect(method string) bool {
	switch method {
	case onedoorv1.Broker_Invoke_FullMethodName, onedoorv1.Broker_InvokeStream_FullMethodName,
		onedoorv1.Broker_Relay_FullMethodName, onedoorv1.Broker_DelegateTask_FullMethodName:
		return true
	}
	return false
}

// acquire gives the connection that speaks for the present SVID, counted as in use.
func (c *conn) acquire() (*link, error) {
	svid, err := c.dial.source.GetX509SVID()
	if err != nil {
		return nil, &Error{Message: "this workload has no X.509-SVID: " + err.Error(), code: codes.Unavailable,
			cause: fmt.Errorf("%w: %w", ErrNoIdentity, err)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &Error{Message: ErrClosed.Error(), code: codes.Canceled, cause: ErrClosed}
	}
	if c.current == nil || !c.current.leaf.Equal(svid.Certificates[0]) {
		if err := c.renew(svid.Certificates[0]); err != nil {
			return nil, &Error{Message: err.Error(), code: codes.InvalidArgument, cause: fmt.Errorf("%w: %w", ErrNotConfigured, err)}
		}
	}
	c.current.running++
	return c.current, nil
}

// renew makes a connection for leaf the current one. c.mu is held.
func (c *conn) renew(leaf *x509.Certificate) error {
	next := &link{leaf: leaf}
	var err error
	if next.cc, err = c.dial.open(&next.refused); err != nil {
		return fmt.Errorf("broker address %q: %w", c.dial.addr, err)
	}
	old := c.current
	c.current, c.links[next] = next, struct{}{}
	if old != nil {
		old.retired = true
		c.closeIfDrained(old)
	}
	return nil
}

// release ends one RPC on l.
func (c *conn) release(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.running--
	c.closeIfDrained(l)
}

// retire lets no further RPC start on l.
func (c *conn) retire(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == l {
		c.current = nil
	}
	l.retired = true
	c.closeIfDrained(l)
}

// closeIfDrained closes l once it is retired and idle. c.mu is held, perhaps from within
// gRPC's own end of an RPC, so the closing itself happens aside.
func (c *conn) closeIfDrained(l *link) {
	if _, open := c.links[l]; open && l.retired && l.running == 0 {
		delete(c.links, l)
		c.closing.Go(func() { _ = l.cc.Close() })
	}
}

// close ends every connection; running RPCs fail.
func (c *conn) close() error {
	c.mu.Lock()
	links := slices.Collect(maps.Keys(c.links))
	c.closed, c.current = true, nil
	clear(c.links)
	c.mu.Unlock()
	var first error
	for _, l := range links {
		if err := l.cc.Close(); err != nil && first == nil {
			first = err
		}
	}
	c.closing.Wait()
	return first
}
