package limit_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/limit"
)

// crowd is a listener to which a test connects.
type crowd struct {
	*limit.Listener
	t *testing.T
}

func newCrowd(t *testing.T, most, perPeer int) *crowd {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	return &crowd{limit.NewListener(plain, most, perPeer), t}
}

// come connects and gives both ends.
func (c *crowd) come() (ours, theirs net.Conn) {
	theirs, err := net.Dial("tcp", c.Addr().String())
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = theirs.Close() })
	ours, err = c.Accept()
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = ours.Close() })
	return ours, theirs
}

// prove connects as a workload.
func (c *crowd) prove(path string) (theirs net.Conn, err error) {
	ours, theirs := c.come()
	if err := c.Prove(ours, identity(path)); err != nil {
		_ = ours.Close()
		return theirs, err
	}
	return theirs, nil
}

func identity(path string) tls.ConnectionState {
	return tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{{Scheme: "spiffe", Host: "x", Path: path}}}}}
}

func isOpen(t *testing.T, conn net.Conn) bool {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func TestStrangersHaveAQuarter(t *testing.T) {
	c := newCrowd(t, 16, 16)
	var all []net.Conn
	for range 20 {
		_, theirs := c.come()
		all = append(all, theirs)
	}
	require.Equal(t, 4, c.Open())
	require.False(t, isOpen(t, all[0]), "the oldest gives way")
	require.True(t, isOpen(t, all[19]), "to the newest")
	_, err := c.prove("/a")
	require.NoError(t, err)
}

func TestAWorkloadHasItsConnections(t *testing.T) {
	c := newCrowd(t, 16, 3)
	for range 3 {
		_, err := c.prove("/a")
		require.NoError(t, err)
	}
	_, err := c.prove("/a")
	require.Error(t, err)
	_, err = c.prove("/b")
	require.NoError(t, err)
	require.Equal(t, 4, c.Open())
}

// TestAFullListenerMakesRoom: whoever has most connections gives one up for somebody who
// has fewer, and to nobody who would then have as many.
func TestAFullListenerMakesRoom(t *testing.T) {
	c := newCrowd(t, 8, 8)
	var loud []net.Conn
	for range 8 {
		theirs, err := c.prove("/loud")
		require.NoError(t, err)
		loud = append(loud, theirs)
	}
	for range 4 {
		_, err := c.prove("/quiet")
		require.NoError(t, err)
	}
	require.False(t, isOpen(t, loud[7]), "the newest")
	require.True(t, isOpen(t, loud[0]))
	_, err := c.prove("/quiet")
	require.Error(t, err, "four and four")
	require.Equal(t, 8, c.Open())
	_, err = c.prove("/third")
	require.NoError(t, err)
}

// TestWithoutACertificate: many may be behind one address, so only all of them together
// are bounded.
func TestWithoutACertificate(t *testing.T) {
	c := newCrowd(t, 8, 1)
	for range 5 {
		ours, _ := c.come()
		require.NoError(t, c.Prove(ours, tls.ConnectionState{}))
	}
	require.Equal(t, 5, c.Open())
}

func TestWhatAConnectionHeldEndsWithIt(t *testing.T) {
	b := limit.NewBudget(64 * mib)
	held := func() *limit.Tail {
		tail := &limit.Tail{}
		_, h, _ := b.Account(limit.WithTail(t.Context(), tail), "a", "one")
		require.NoError(t, h.Add(mib))
		return tail
	}
	c := newCrowd(t, 8, 8)
	ours, theirs := c.come()
	conn := c.Find(theirs.LocalAddr().String())
	require.Same(t, ours, net.Conn(conn))
	done := held()
	conn.Keep(done)
	conn.Forget(done)
	conn.Keep(held())
	require.NoError(t, ours.Close())
	require.EqualValues(t, mib, b.Held(), "what was forgotten is somebody else's")
	done.End()
	conn.Keep(held())
	require.Zero(t, b.Held(), "nothing is kept for a connection that is gone")
	require.Nil(t, c.Find(theirs.LocalAddr().String()))
	require.Zero(t, c.Open())
	_, err := io.Copy(io.Discard, theirs)
	require.NoError(t, err)
}

func TestAForeignConnectionProvesNothing(t *testing.T) {
	c := newCrowd(t, 8, 8)
	one, other := net.Pipe()
	t.Cleanup(func() { _, _ = one.Close(), other.Close() })
	require.Error(t, c.Prove(one, tls.ConnectionState{}))
}

// reused is a connection from a port that another has had before it.
type reused struct{ net.Conn }

func (reused) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

type reuser struct{ net.Listener }

func (r reuser) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	return reused{conn}, err
}

// TestALatePortIsNotForgotten: the end of a connection does not hide a later one from the
// same port, whose answers would then not be bounded.
func TestALatePortIsNotForgotten(t *testing.T) {
	c := newCrowd(t, 16, 16)
	c.Listener = limit.NewListener(reuser{c.Listener.Listener}, 16, 16)
	old, _ := c.come()
	later, _ := c.come()
	require.NoError(t, old.Close())
	require.Same(t, later, c.Find(later.RemoteAddr().String()))
}
