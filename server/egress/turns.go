package egress

import (
	"errors"
	"net"
	"sync"
)

var errUnasked = errors.New("the upstream sent an answer before it was asked")

// turns is a connection of HTTP/1 on which no answer counts that came before its question.
// net/http gives a connection to the next request without a look at what it has read
// already: where an upstream can be made to send two answers for one request, the second
// could become that of somebody else's. What an upstream sends after it was asked is
// taken for the answer; HTTP/1 has no way to tell.
type turns struct {
	net.Conn

	mu      sync.Mutex
	changed *sync.Cond
	reading bool // waits for bytes, and all that came before was looked at
	closed  bool
	asked   bool // something was written in this turn
}

func newTurns(c net.Conn) *turns {
	t := &turns{Conn: c}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// begin waits until net/http has looked at all that it has read, which is at once: then it
// waits for more, or has closed the connection since it found something. From here on
// nothing may come before something is written.
func (t *turns) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.reading && !t.closed {
		t.changed.Wait()
	}
	t.asked = false
}

// Read refuses what comes before a request.
func (t *turns) Read(p []byte) (int, error) {
	t.mu.Lock()
	t.reading = true
	t.changed.Broadcast()
	t.mu.Unlock()
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = false
	if n > 0 && !t.asked {
		return 0, errUnasked
	}
	return n, err
}

// Write opens the way for an answer.
func (t *turns) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.asked = true
	t.mu.Unlock()
	return t.Conn.Write(p)
}

// Close ends a wait for the reader too.
func (t *turns) Close() error {
	t.mu.Lock()
	t.closed = true
	t.changed.Broadcast()
	t.mu.Unlock()
	return t.Conn.Close()
}
