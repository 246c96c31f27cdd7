package limit

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
)

// ErrNoRoom is what somebody gets for whom what is held may not grow by that much now.
var ErrNoRoom = errors.New("the broker holds as many bytes as it may")

// Budget bounds how many bytes are held in memory at one time: of requests that are
// read, and of answers that are kept until they are whole and taken.
//
// A workspace may never hold more than what is free besides, and one owner within it
// never more than what its workspace may still take. So a workspace alone gets half of
// the budget, two get a third each, an owner alone a third; and whoever comes next, an
// owner or a workspace, may hold as much as the greediest of those that are there,
// without anybody being counted beforehand (Choudhury and Hahne's dynamic thresholds for
// shared buffers). Many who take their part one after the other leave little, so the last
// of it is for who holds next to nothing: what a small call needs.
type Budget struct {
	total int64

	mu         sync.Mutex
	held       int64
	workspaces map[string]*share
	owners     map[owner]*share
}

type owner struct{ workspace, name string }

// share is what one holds; it is forgotten when its last Hold ends.
type share struct {
	bytes int64
	holds int
}

// NewBudget makes a budget of so many bytes.
func NewBudget(total int64) *Budget {
	return &Budget{total: total, workspaces: map[string]*share{}, owners: map[owner]*share{}}
}

// What nobody's task holds yet counts in a workspace of its own.
const (
	// Arriving is that of requests on their way in, by workload.
	Arriving = ""
	// Strangers is that of those who have shown no certificate, by address. No least part
	// is kept for them, for one stranger may have any number of addresses.
	Strangers = "?"
)

// Arrival is about what a request takes of the memory beside its header and its body: a
// stream, a goroutine and its stack.
const Arrival = 16 << 10

// ArrivalCost is what a request takes before anything of its body has arrived.
func ArrivalCost(header map[string][]string) int64 {
	cost := int64(Arrival)
	for name, values := range header {
		for _, v := range values {
			cost += int64(len(name) + len(v))
		}
	}
	return cost
}

// Held is how many bytes are held now.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Hold is what one call holds. It is for any number of goroutines.
type Hold struct {
	budget *Budget
	name   owner
	// taken runs ahead of need by less than a step, so that small additions cost no lock.
	need, taken int64
	mu          sync.Mutex
	ended       atomic.Bool
}

// Hold begins the account of one call of an owner within a workspace. It takes nothing
// yet; it must be ended by Release.
func (b *Budget) Hold(workspace, name string) *Hold {
	return &Hold{budget: b, name: owner{workspace, name}}
}

// Bytes are taken by the large step, and by the small one at first: most calls need no more.
const (
	smallStep = 4 << 10
	largeStep = 64 << 10
)

func stepFor(need int64) int64 {
	if need <= largeStep/2 {
		return smallStep
	}
	return largeStep
}

// Add takes n more bytes, or nothing and gives ErrNoRoom; so it does after Release.
func (h *Hold) Add(n int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended.Load() || n < 0 || n > math.MaxInt64-largeStep-h.need {
		return ErrNoRoom
	}
	if h.need+n > h.taken {
		step := stepFor(h.need + n)
		more := (h.need + n - h.taken + step - 1) / step * step
		if !h.budget.take(h.name, more, h.taken == 0) {
			return ErrNoRoom
		}
		h.taken += more
	}
	h.need += n
	return nil
}

// Return gives n bytes back that Add took. After Release there is nothing to give.
func (h *Hold) Return(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended.Load() {
		return
	}
	h.need -= n
	if spare := (h.taken - h.need) / largeStep * largeStep; spare > largeStep {
		h.taken -= spare
		h.budget.give(h.name, spare, h.taken == 0)
	}
}

// Release gives everything back. It may be called twice.
func (h *Hold) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended.Swap(true) || h.taken == 0 {
		return
	}
	h.budget.give(h.name, h.taken, true)
}

func (b *Budget) take(o owner, n int64, first bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	w, mine := b.workspaces[o.workspace], b.owners[o]
	if !b.mayHold(o, n+bytesOf(mine), n+bytesOf(w), b.total-b.held-n) {
		return false
	}
	if w == nil {
		w = &share{}
		b.workspaces[o.workspace] = w
	}
	if mine == nil {
		mine = &share{}
		b.owners[o] = mine
	}
	for _, s := range []*share{w, mine} {
		s.bytes += n
		if first {
			s.holds++
		}
	}
	b.held += n
	return true
}

// mayHold judges by what the owner and its workspace would hold, and what would be free.
func (b *Budget) mayHold(o owner, mine, workspace, free int64) bool {
	if o.workspace != Strangers && mine <= max(b.total/leastShares, smallStep) {
		return free >= 0
	}
	return free >= b.total/leastFree && mine <= free-workspace
}

// The part of a budget that each may have whatever others hold, and the part that is left
// for it: of 256 MiB, 64 KiB and 4 MiB.
const (
	leastShares = 4096
	leastFree   = 64
)

func bytesOf(s *share) int64 {
	if s == nil {
		return 0
	}
	return s.bytes
}

func (b *Budget) give(o owner, n int64, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	w, mine := b.workspaces[o.workspace], b.owners[o]
	for _, s := range []*share{w, mine} {
		s.bytes -= n
		if last {
			s.holds--
		}
	}
	if w.holds == 0 {
		delete(b.workspaces, o.workspace)
	}
	if mine.holds == 0 {
		delete(b.owners, o)
	}
}
