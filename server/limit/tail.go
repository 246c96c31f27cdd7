package limit

import (
	"context"
	"sync"
)

// Tail is the time in which a transport holds a call's answer after the call itself has
// ended: until the other side has taken it, or is cut off.
type Tail struct {
	mu      sync.Mutex
	holds   []*Hold
	request *Hold // of what has arrived, until the call counts it itself
	ended   bool
}

// Arrived lets the Hold of a request live until Entered is called, or the tail ends.
func (t *Tail) Arrived(h *Hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		h.Release()
		return
	}
	t.request = h
}

// Entered says that the call's own account holds the request from now on. A nil Tail has
// nothing to give back.
func (t *Tail) Entered() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.request != nil {
		t.request.Release()
	}
	t.request = nil
}

// Keep lets a Hold live as long as the tail.
func (t *Tail) Keep(h *Hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		h.Release()
		return
	}
	t.holds = append(t.holds, h)
}

// Hold is the account of the call itself; nil before the call was let in.
func (t *Tail) Hold() *Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.holds) == 0 {
		return nil
	}
	return t.holds[len(t.holds)-1]
}

// End releases what is held. It may be called twice.
func (t *Tail) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.request != nil {
		t.request.Release()
	}
	for _, h := range t.holds {
		h.Release()
	}
	t.holds, t.request = nil, nil
}

type (
	tailKey struct{}
	holdKey struct{}
)

// WithTail says that whoever made the context ends the tail.
func WithTail(ctx context.Context, t *Tail) context.Context {
	return context.WithValue(ctx, tailKey{}, t)
}

// TailOf gives the tail of a call's transport; nil: what the call holds ends with it.
func TailOf(ctx context.Context) *Tail {
	t, _ := ctx.Value(tailKey{}).(*Tail)
	return t
}

// Account opens a call's account, as long as its transport's tail or else until end is
// called; the context carries it to whatever holds bytes for the call.
func (b *Budget) Account(ctx context.Context, workspace, name string) (_ context.Context, h *Hold, end func()) {
	h, end = b.Hold(workspace, name), func() {}
	if t := TailOf(ctx); t != nil {
		t.Keep(h)
	} else {
		end = h.Release
	}
	return context.WithValue(ctx, holdKey{}, h), h, end
}

// HoldOf gives the account of the context's call; nil if it has none.
func HoldOf(ctx context.Context) *Hold {
	h, _ := ctx.Value(holdKey{}).(*Hold)
	return h
}
