package sidecar

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onedoor/onedoor/client"
)

// The limits of a connection to the broker.
const (
	connectTimeout = 10 * time.Second // name, TCP, TLS and the first answer
	pingAfter      = 30 * time.Second // silence after which the broker is asked whether it lives
	pingTimeout    = 15 * time.Second
	maxHeader      = 256 << 10 // bytes of an answer's header
)

// pool holds one connection a generation of the SVID, as client.conn does: TLS looks at
// an SVID in the handshake alone, so after a rotation new calls go over a new connection,
// and the old one is closed when the last of its running calls has ended.
type pool struct {
	identity *identity
	addr     string
	dialer   *http.Transport
	changed  func(error) // told when a connection could be made, and when not

	mu      sync.Mutex
	current *link
	links   map[*link]struct{}
	closed  bool
	dialing sync.WaitGroup
	stop    context.Context
	cancel  context.CancelFunc
}

// link is one connection, or the attempt to have one.
type link struct {
	leaf    *x509.Certificate
	ready   chan struct{} // closed when cc and err stand
	cc      *http.ClientConn
	err     error
	retired atomic.Bool
	// waiting counts, under pool.mu, those who were promised a place on it: a rotation
	// meanwhile does not take it from them.
	waiting int
}

func newPool(i *identity, o Options, changed func(error)) (*pool, error) {
	config, err := client.TLSConfig(o.REST, o.BrokerID, i)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	p := &pool{identity: i, addr: o.REST, changed: changed, links: map[*link]struct{}{}}
	p.dialer = &http.Transport{
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    connectTimeout,
		Protocols:              protocols,
		DisableCompression:     true, // bodies pass as they are
		MaxResponseHeaderBytes: maxHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	p.stop, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// acquire gives a connection that speaks for the present SVID, with room reserved on it
// for one call. Whatever the error, nothing was sent.
func (p *pool) acquire(ctx context.Context) (*link, error) {
	for range 3 {
		l, err := p.present()
		if err != nil {
			return nil, &unsent{cause: err}
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			p.leave(l)
			return nil, ctx.Err()
		}
		if l.err != nil {
			return nil, &unsent{cause: l.err}
		}
		if p.reserve(l) {
			return l, nil
		}
	}
	return nil, &unsent{cause: errors.New("its connections end as soon as they are made")}
}

// present gives the current connection, or begins to make it. All who come meanwhile
// wait for the same one.
func (p *pool) present() (*link, error) {
	leaf, err := p.identity.current()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the sidecar is stopping")
	}
	if p.current != nil && p.current.leaf.Equal(leaf) {
		p.current.waiting++
		return p.current, nil
	}
	l := &link{leaf: leaf, ready: make(chan struct{}), waiting: 1}
	if p.current != nil {
		p.retireLocked(p.current)
	}
	p.current, p.links[l] = l, struct{}{}
	p.dialing.Go(func() { p.connect(l) })
	return l, nil
}

// connect makes a connection. It counts only once something was answered over it: in TLS
// 1.3 a server judges the client's certificate after the client's handshake has ended, so
// that without it a call would be sent to find out.
func (p *pool) connect(l *link) {
	ctx, cancel := context.WithTimeout(p.stop, connectTimeout)
	defer cancel()
	cc, err := p.dialer.NewClientConn(ctx, "https", p.addr)
	if err == nil {
		if err = p.probe(ctx, cc); err != nil {
			_ = cc.Close()
		}
	}
	p.changed(err)
	p.mu.Lock()
	l.cc, l.err = cc, err
	if err == nil && p.closed {
		_ = cc.Close()
	}
	if err != nil {
		p.forgetLocked(l)
	}
	close(l.ready)
	p.mu.Unlock()
	if err == nil {
		cc.SetStateHook(func(*http.ClientConn) {
			if l.retired.Load() || cc.Err() != nil {
				go p.look(l) // aside: whoever caused it may hold p.mu
			}
		})
	}
}

// probe asks for a path that does not exist, which the broker answers before it looks for
// a key and without a line in the audit trail.
func (p *pool) probe(ctx context.Context, cc *http.ClientConn) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+p.addr+"/", http.NoBody)
	if err != nil {
		return err
	}
	response, err := cc.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("it ended the connection of this workload: %w", err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.ProtoMajor != 2 {
		return errors.New("it speaks no HTTP/2")
	}
	return response.Body.Close()
}

// reserve takes the place on l that present promised; false where the connection has ended.
func (p *pool) reserve(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.waiting--
	if !p.closed && l.cc.Reserve() == nil {
		return true
	}
	p.retireLocked(l)
	return false
}

// leave gives up the place on l that present promised.
func (p *pool) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.waiting--
	if l.retired.Load() {
		p.retireLocked(l)
	}
}

// retire lets no further call start on l.
func (p *pool) retire(l *link) {
	if l == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retireLocked(l)
}

func (p *pool) retireLocked(l *link) {
	if p.current == l {
		p.current = nil
	}
	l.retired.Store(true)
	go p.look(l) // aside: it takes p.mu, and closing runs hooks
}

func (p *pool) forgetLocked(l *link) {
	delete(p.links, l)
	if p.current == l {
		p.current = nil
	}
}

// look closes a connection that is retired and idle, or has ended.
func (p *pool) look(l *link) {
	<-l.ready // within connectTimeout
	if l.err != nil {
		return
	}
	p.mu.Lock()
	isOver := l.cc.Err() != nil || l.retired.Load() && l.waiting == 0 && l.cc.InFlight() == 0
	if isOver {
		p.forgetLocked(l)
	}
	p.mu.Unlock()
	if isOver {
		_ = l.cc.Close() // not under p.mu: it runs the hook
	}
}

// close ends every connection, and with them the calls that still run.
func (p *pool) close() {
	p.cancel()
	p.mu.Lock()
	p.closed, p.current = true, nil
	var made []*link
	for l := range p.links {
		select {
		case <-l.ready:
			made = append(made, l)
		default: // connect closes it
		}
	}
	clear(p.links)
	p.mu.Unlock()
	for _, l := range made {
		_ = l.cc.Close()
	}
	p.dialing.Wait()
	p.dialer.CloseIdleConnections()
}
