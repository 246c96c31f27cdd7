package testenv

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// RawHTTP2 is an HTTP/2 connection over which a test says whatever it likes, frame by
// frame. What the other side sends is read and thrown away, but for how it ends.
type RawHTTP2 struct {
	framer *http2.Framer // to write, under mu
	mu     sync.Mutex
	conn   net.Conn
	next   uint32
	ended  int
	over   bool
}

// DialHTTP2 connects. window is how much of each answer the broker may send at once, and
// no more is ever asked for.
func DialHTTP2(t testing.TB, address string, config *tls.Config, window uint32) *RawHTTP2 {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte(http2.ClientPreface))
	require.NoError(t, err)
	r := &RawHTTP2{framer: http2.NewFramer(conn, conn), conn: conn, next: 1}
	require.NoError(t, r.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}))
	go func() {
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.over = true
		}()
		for {
			frame, err := r.framer.ReadFrame()
			if err != nil {
				return
			}
			if r.see(frame) != nil {
				return
			}
		}
	}()
	return r
}

// see answers what must be answered, and counts what ends.
func (r *RawHTTP2) see(frame http2.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return r.framer.WriteSettingsAck()
		}
	case *http2.RSTStreamFrame:
		r.ended++
	case *http2.HeadersFrame:
		if f.StreamEnded() {
			r.ended++
		}
	}
	return nil
}

// Ended is how many answers have ended so far: in good form or not.
func (r *RawHTTP2) Ended() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// IsClosed reports whether the other side has closed the connection.
func (r *RawHTTP2) IsClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// HeaderBlock encodes fields, names and values in turn, as they are, without HPACK's
// table.
func HeaderBlock(fields ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true}) // a Buffer takes all
	}
	return block.Bytes()
}

// Begin sends the header of one more request, and gives its stream. fields are names and
// values in turn.
func (r *RawHTTP2) Begin(ends bool, method, path string, fields ...string) (uint32, error) {
	block := HeaderBlock(append([]string{":method", method, ":scheme", "https", ":authority", "localhost", ":path", path}, fields...)...)
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.next
	r.next += 2
	return id, r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: ends})
}

// GRPC begins a call of an RPC with a task's key and sends its request, of which half is
// left out if it is not whole.
func (r *RawHTTP2) GRPC(t testing.TB, method, key string, request proto.Message, whole bool) (uint32, error) {
	t.Helper()
	message, err := proto.Marshal(request)
	require.NoError(t, err)
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	framed = append(framed, message...)
	id, err := r.Begin(false, "POST", method, "content-type", "application/grpc", "te", "trailers", "authorization", "Bearer "+key)
	if err != nil {
		return 0, err
	}
	if !whole {
		framed = framed[:len(framed)/2]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return id, r.framer.WriteData(id, whole, framed)
}

// Say writes frames of any kind.
func (r *RawHTTP2) Say(what func(*http2.Framer) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return what(r.framer)
}

// Reset takes a request back.
func (r *RawHTTP2) Reset(id uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.framer.WriteRSTStream(id, http2.ErrCodeCancel)
}

// Close ends the connection.
func (r *RawHTTP2) Close() { _ = r.conn.Close() }
