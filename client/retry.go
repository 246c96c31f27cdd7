package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

const (
	// maxTries bounds how often one call is tried in all.
	maxTries = 4
	// firstPause is the pause before the second try; it doubles with each further one.
	firstPause = 100 * time.Millisecond
	// longestPause is the longest wait that a broker may ask for and get. Where it asks
	// for more, the caller gets the error, with RetryAfter, and decides.
	longestPause = 10 * time.Second
)

// call is what the options of one Invoke say. A call without effect is the zero value.
type call struct {
	key      string // the caller's own idempotency key
	needsKey bool   // set one where the caller did not
	minting  bool   // has an effect that no key protects
}

// CallOption changes one Invoke or InvokeStream.
type CallOption func(*call)

// WithIdempotencyKey sets the UUID that makes the call unique within its task, instead
// of a random one. A call with a key that was used before gets CONFLICT, with the first
// invocation's id as Metadata["first_invocation_id"], and nothing is sent.
func WithIdempotencyKey(uuid string) CallOption { return func(c *call) { c.key = uuid } }

// verdict says what to do after a failure.
type verdict int

const (
	giveUp verdict = iota
	sameKey
	newKey
)

// judgeRetry says whether and how a call may be tried again.
//
// Which key the next try carries matters. RATE_LIMITED is decided before the broker
// looks at the key, so the key is still unused. UPSTREAM_UNAVAILABLE comes after the
// intent was written and has used the key up: the next try needs a new one, and a key
// of the caller's own is the end of it. STORE_ and AUDIT_UNAVAILABLE mean that nothing
// was sent, but the intent may have been committed and only the confirmation lost; a new
// key keeps such a remnant from answering CONFLICT. A key of the caller's own is kept:
// CONFLICT is then the worst that can come of it. What is minted knows no key: there the
// remnant would be a second task.
func judgeRetry(reason Reason, o call) verdict {
	ownKey := o.key != ""
	switch {
	case reason == RateLimited:
		return sameKey
	case o.minting:
		return giveUp
	case reason == StoreUnavailable || reason == AuditUnavailable:
		if ownKey {
			return sameKey
		}
		return newKey
	case reason == UpstreamUnavailable:
		if ownKey {
			return giveUp
		}
		return newKey
	}
	return giveUp
}

// try makes a call, and makes it again while judgeRetry allows and ctx leaves time.
func (c *Client) try(ctx context.Context, o call, attempt func(key string) error) error {
	key := o.key
	for n := 1; ; n++ {
		if key == "" && o.needsKey {
			var err error
			if key, err = newUUID(time.Now(), c.random); err != nil {
				return &Error{Message: err.Error(), code: codes.Internal, cause: err}
			}
		}
		err := attempt(key)
		var e *Error
		if !errors.As(err, &e) {
			return err
		}
		e.IdempotencyKey = key
		next := judgeRetry(e.Reason, o)
		if next == giveUp || n == maxTries || !c.pause(ctx, n, e.RetryAfter) {
			return e
		}
		if next == newKey {
			key = ""
		}
	}
}

// pause waits before try n+1 and reports whether there is any sense in it: a wait
// beyond the context's deadline would only replace the reason by "deadline exceeded".
func (c *Client) pause(ctx context.Context, n int, asked time.Duration) bool {
	wait := firstPause << (n - 1)
	wait = wait/2 + c.jitter(wait/2)
	if asked > 0 {
		wait = asked + c.jitter(asked/10)
	}
	deadline, bounded := ctx.Deadline()
	if wait > longestPause || (bounded && time.Until(deadline) <= wait) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// jitter gives a random part of most, or all of it where randomness fails.
func (c *Client) jitter(most time.Duration) time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(c.random, b[:]); err != nil || most <= 0 {
		return most
	}
	return time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(most)) //nolint:gosec // below most
}

// newUUID makes a UUID of version 7 (RFC 9562): the time, then 74 random bits. Keys
// that come one after the other stand side by side in the broker's index, which costs
// it much less than keys strewn all over.
func newUUID(now time.Time, random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("idempotency key: %w", err)
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// lockedReader lets calls that run side by side share one source of randomness.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}
