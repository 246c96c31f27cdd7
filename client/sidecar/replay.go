package sidecar

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// replayable is how much of a body is kept so that a call that provably was not begun
// can be made again, in bytes. What is larger is made once.
const replayable = 256 << 10

// errMovedOn is what an attempt reads that was given up for another.
var errMovedOn = errors.New("the body belongs to another attempt")

// replay hands a request's body to one attempt after the other. Nothing waits to be
// buffered: each piece goes on as it comes, and its beginning is remembered beside.
type replay struct {
	reading sync.Mutex // held while source is waited for; taken before mu
	source  io.ReadCloser

	mu      sync.Mutex
	kept    []byte
	dropped bool  // more came than is kept
	end     error // of source, io.EOF among them
	current *attempt
}

// newReplay takes over a request's body; nil where there is none.
func newReplay(body io.ReadCloser) *replay {
	if body == nil || body == http.NoBody {
		return nil
	}
	return &replay{source: body}
}

// next gives the body from its beginning, and takes it from the attempt before. It
// reports false where the beginning is no longer there.
func (r *replay) next() (io.ReadCloser, bool) {
	if r == nil {
		return http.NoBody, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped {
		return nil, false
	}
	r.current = &attempt{of: r}
	return r.current, true
}

// failed gives what went wrong with reading the body; nil while nothing has.
func (r *replay) failed() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(r.end, io.EOF) {
		return nil
	}
	return r.end
}

// attempt is the body as one attempt reads it.
type attempt struct {
	of *replay
	at int // how much of what is kept was read
}

// Read gives what is kept, then what comes. An attempt whose Read still waits when the
// next one begins leaves there what it gets.
func (a *attempt) Read(p []byte) (int, error) {
	if n, err := a.readKept(p); n > 0 || err != nil {
		return n, err
	}
	a.of.reading.Lock()
	defer a.of.reading.Unlock()
	// Another attempt may have read meanwhile.
	if n, err := a.readKept(p); n > 0 || err != nil {
		return n, err
	}
	n, err := a.of.source.Read(p)
	return n, a.of.keep(a, p[:n], err)
}

// readKept gives what is there already: nothing, and no error, where source must be asked.
func (a *attempt) readKept(p []byte) (int, error) {
	r := a.of
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != a {
		return 0, errMovedOn
	}
	if a.at < len(r.kept) {
		n := copy(p, r.kept[a.at:])
		a.at += n
		return n, nil
	}
	return 0, r.end
}

// keep remembers what a has read, and how that ended.
func (r *replay) keep(a *attempt, piece []byte, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = err
	switch {
	case r.dropped:
	case len(r.kept)+len(piece) <= replayable:
		r.kept = append(r.kept, piece...)
		a.at += len(piece)
	default:
		r.dropped, r.kept, a.at = true, nil, 0
		if r.current != a {
			r.end = errMovedOn // the other attempt would miss what was kept
		}
	}
	return err
}

// Close does nothing: net/http closes the request's own body when the handler returns.
func (*attempt) Close() error { return nil }
