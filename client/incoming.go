package client

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lingerTime and lingerBytes bound how long, and through how much, the end of an answer
	// is awaited whose body was closed before it.
	lingerTime  = 100 * time.Millisecond
	lingerBytes = 64 << 10
)

// relayedBody is the body of a relayed answer.
type relayedBody struct {
	stream   *Stream
	patience time.Duration // lingerTime
	closed   atomic.Bool

	mu   sync.Mutex // held by whoever receives
	rest []byte
	err  error
}

// Read implements io.Reader. It ends in io.EOF only where the answer was whole.
func (b *relayedBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.rest) == 0 && b.err == nil && len(p) > 0 {
		b.rest, b.err = b.stream.next()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	b.stream.Close()
	return 0, b.err
}

// Close implements io.Closer. Whoever decodes JSON closes a body a moment before its end
// has arrived. To cut the call there would have the broker record a call that its caller
// gave up, so the end is given a moment to come.
func (b *relayedBody) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	if !b.mu.TryLock() { // somebody waits for more, and shall not any longer
		b.stream.Close()
		return nil
	}
	if b.err != nil {
		b.mu.Unlock()
		b.stream.Close()
		return nil //nolint:nilerr // Read has told it
	}
	go b.linger()
	return nil
}

// linger receives until the end of the answer, or for as long as is worth while. b.mu is
// held.
func (b *relayedBody) linger() {
	defer b.mu.Unlock()
	defer b.stream.Close()
	enough := time.AfterFunc(b.patience, b.stream.Close)
	defer enough.Stop()
	for left := lingerBytes; left > 0 && b.err == nil; {
		var piece []byte
		piece, b.err = b.stream.next()
		left -= len(piece)
	}
}

// expectNone waits for the end of an answer that has no body.
func (b *relayedBody) expectNone() error {
	defer b.stream.Close()
	switch _, err := b.stream.next(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return b.stream.named(cut("it has a body where none can be"))
	default:
		return err
	}
}
