package egress

import (
	"context"
	"errors"
	"io"
	"net/http/httptrace"
	"sync"
	"time"
)

var (
	errFirstByte = errors.New("no answer began in time")
	errIdle      = errors.New("the answer paused for too long")
)

// times watches one exchange: from the request's last byte to the answer's first, and
// between two reads of the answer. What is over ends the exchange's context.
type times struct {
	cancel context.CancelCauseFunc
	total  *time.Timer

	mu sync.Mutex
	// wait is for the answer to begin, and then to go on; it runs only meanwhile.
	wait     *time.Timer
	answered bool
}

// withTimes gives the context of one exchange, which ends after lim.Total at the latest.
func withTimes(ctx context.Context, lim Limits) (context.Context, *times, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &times{cancel: cancel}
	t.total = time.AfterFunc(lim.Total, func() { cancel(context.DeadlineExceeded) })
	t.wait = time.AfterFunc(lim.Total, t.late) // in fact when Reset says
	t.wait.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// A request that is sent again begins anew. One that was not sent waits for a
		// connection, for which there are limits of its own.
		WroteRequest: func(httptrace.WroteRequestInfo) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if !t.answered { // else it has begun before the request was written to its end
				t.wait.Reset(lim.FirstByte)
			}
		},
	})
	return ctx, t, func() { t.wait.Stop(); t.total.Stop(); cancel(nil) }
}

func (t *times) late() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answered {
		t.cancel(errIdle)
	} else {
		t.cancel(errFirstByte)
	}
}

// body is the answer's, which must go on coming.
func (t *times) body(b io.ReadCloser, idle time.Duration) io.ReadCloser {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered = true
	t.wait.Stop()
	return &paced{ReadCloser: b, timer: t.wait, pause: idle}
}

// paced is a body whose every read must bring something in time. While nobody reads no
// time runs: that the caller is slow is not the upstream's fault.
type paced struct {
	io.ReadCloser
	timer *time.Timer
	pause time.Duration
}

func (p *paced) Read(b []byte) (int, error) {
	p.timer.Reset(p.pause)
	defer p.timer.Stop()
	return p.ReadCloser.Read(b)
}

func (p *paced) Close() error {
	p.timer.Stop()
	return p.ReadCloser.Close()
}

// whyEnded is why an exchange's context ended, in words that may be shown.
func whyEnded(ctx context.Context) error {
	cause := ctx.Err()
	for _, own := range []error{errFirstByte, errIdle, context.DeadlineExceeded} {
		if errors.Is(context.Cause(ctx), own) {
			return own
		}
	}
	return cause
}
