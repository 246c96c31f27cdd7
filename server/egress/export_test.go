package egress

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
)

// ControlSocket runs what runs on a socket just before it connects.
func ControlSocket(ctx context.Context, p Policy, address string) error {
	return (&dialer{policy: p}).control(ctx, "tcp", address, nil)
}

// DialOther asks the dialer of origin for a connection to another place.
func DialOther(ctx context.Context, r Resolver, o Origin, p Policy, hostPort string) (net.Conn, error) {
	return (&dialer{resolver: r, origin: o, policy: p, log: slog.New(slog.DiscardHandler)}).dial(ctx, "tcp", hostPort)
}

// Target builds a request's URL.
func Target(r *Request) (*url.URL, error) { return target(r, &attached{}) }

// ProxyFor names the proxy that connections of a key take to an origin; empty for none.
func ProxyFor(r *Routing, key PoolKey, to Origin) string {
	if p := r.find(key, to); p != nil {
		return p.Name
	}
	return ""
}

// ReadAnswer reads the header of an answer to CONNECT.
func ReadAnswer(r io.Reader) (int, error) { return readAnswer(r) }

// NewTurns is a connection of HTTP/1, and what begins each turn but the first.
func NewTurns(c net.Conn) (conn net.Conn, begin func()) {
	t := newTurns(c)
	return t, t.begin
}

// Trail is where symbols begin that threads have read.
type Trail struct{ trail }

// Add goes on behind prev.
func (t *Trail) Add(prev int32, start int) int32 { return t.add(prev, start) }

// Start says where the last so many symbols before end begin.
func (t *Trail) Start(end, count int32) int { return t.start(end, count) }

// Shorten keeps the last so many symbols before each end.
func (t *Trail) Shorten(ends []*int32, counts []int32) { t.shorten(ends, counts) }

// Misses says in how many steps a walk that has read all of a pattern but its last byte
// finds that what comes leads nowhere.
func Misses(pattern string) (n int) {
	a := newAutomaton([][]byte{[]byte(pattern)}, false)
	for at := len(pattern) - 1; at != 0; n++ {
		at = int(a.nodes[at].miss)
	}
	return n
}

// MaxHeld is how much is held back of a text, in bytes for each symbol of the longest form.
const MaxHeld = maxSpread
