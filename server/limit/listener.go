package limit

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Listener bounds the connections to one address. Whoever connects counts by their
// network address until they have proved who they are, and then by that.
//
//	Accept ──▶ unproven, at most a quarter ──handshake──▶ proven, at most most, perPeer each
//
// Where the unproven are too many, the address that has most of them loses its oldest;
// where the proven are, the peer that has most of them loses its newest to one who has
// fewer. So however many connections somebody opens, others get in.
type Listener struct {
	net.Listener
	most, perPeer int

	mu       sync.Mutex
	byAddr   map[string]*Conn   // by remote address and port
	unproven map[string][]*Conn // by address, the oldest first
	waiting  int                // how many unproven
	proven   map[string][]*Conn // by who they are
	inside   int                // how many proven
}

// NewListener bounds l to most connections, and to perPeer of one certificate.
func NewListener(l net.Listener, most, perPeer int) *Listener {
	return &Listener{
		Listener: l, most: most, perPeer: perPeer,
		byAddr: map[string]*Conn{}, unproven: map[string][]*Conn{}, proven: map[string][]*Conn{},
	}
}

// Conn is one connection of a Listener.
type Conn struct {
	net.Conn
	from   *Listener
	name   string // under which it is counted
	proven bool
	gone   bool
	tails  map[*Tail]struct{}

	written atomic.Int64
}

// Write writes, and counts what the peer's side has taken.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// Written is how many bytes were written in all.
func (c *Conn) Written() int64 { return c.written.Load() }

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: raw, from: l, name: PeerOf(raw.RemoteAddr().String())}
	l.mu.Lock()
	l.byAddr[raw.RemoteAddr().String()] = c
	l.unproven[c.name] = append(l.unproven[c.name], c)
	l.waiting++
	var cut *Conn
	if l.waiting > max(l.most/4, 1) {
		cut = largest(l.unproven)[0]
	}
	l.mu.Unlock()
	if cut != nil {
		_ = cut.Close() // it is the peer's who has most of them
	}
	return c, nil
}

func largest(all map[string][]*Conn) (found []*Conn) {
	for _, list := range all {
		if len(list) > len(found) {
			found = list
		}
	}
	return found
}

var (
	errNotOurs = errors.New("not a connection of this listener")
	errMany    = errors.New("this peer has too many connections")
)

// Prove counts a connection by who its peer has proved to be, or refuses one too many.
// Call it after the handshake: a certificate alone, which crypto/tls shows to
// VerifyConnection before it checks the signature, proves nothing, and whoever copied
// one could use up the connections of another.
func (l *Listener) Prove(conn net.Conn, state tls.ConnectionState) error {
	c, ok := conn.(*Conn)
	if !ok {
		return errNotOurs
	}
	name, certified := c.name, len(state.PeerCertificates) > 0
	if certified && len(state.PeerCertificates[0].URIs) == 1 {
		name = state.PeerCertificates[0].URIs[0].String()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.gone || c.proven {
		return nil
	}
	if certified && len(l.proven[name]) >= l.perPeer {
		return errMany
	}
	if l.inside >= l.most {
		most := largest(l.proven)
		if len(most) <= len(l.proven[name])+1 {
			return errMany
		}
		cut := most[len(most)-1]
		l.drop(cut)
		_ = cut.Conn.Close() // a socket's Close does not wait
		cut.endTails()
	}
	l.drop(c)
	c.gone, c.proven, c.name = false, true, name
	l.byAddr[c.RemoteAddr().String()] = c
	l.proven[name] = append(l.proven[name], c)
	l.inside++
	return nil
}

// drop takes a connection out of all lists.
func (l *Listener) drop(c *Conn) {
	if c.gone {
		return
	}
	c.gone = true
	if at := c.RemoteAddr().String(); l.byAddr[at] == c { // or a later one from the same port
		delete(l.byAddr, at)
	}
	lists, count := l.unproven, &l.waiting
	if c.proven {
		lists, count = l.proven, &l.inside
	}
	list := lists[c.name]
	for i, other := range list {
		if other == c {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if lists[c.name] = list; len(list) == 0 {
		delete(lists, c.name)
	}
	*count--
}

// Peer is who has proved to be there, or its address before that.
func (c *Conn) Peer() string {
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	return c.name
}

// Close ends the connection and what its calls held.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	c.from.drop(c)
	c.endTails()
	return err
}

func (c *Conn) endTails() {
	for t := range c.tails {
		t.End()
	}
	c.tails = nil
}

// Find gives the open connection of a peer's address and port, or nil.
func (l *Listener) Find(address string) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byAddr[address]
}

// Keep ends the tail with the connection, at the latest. Forget it when it has ended.
func (c *Conn) Keep(t *Tail) {
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	if c.gone {
		t.End()
		return
	}
	if c.tails == nil {
		c.tails = map[*Tail]struct{}{}
	}
	c.tails[t] = struct{}{}
}

// Forget undoes Keep.
func (c *Conn) Forget(t *Tail) {
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	delete(c.tails, t)
}

// Open is how many connections are open now.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting + l.inside
}
