package limit

import (
	"sync"
	"time"
)

// Failures counts what strangers do wrong, by name. It is for any number of goroutines.
//
// It remembers a bounded number of names. Where there is no room, one makes it whose
// failures time has forgiven; and where there is none of these either, the newcomer's
// failure is not remembered. So nobody is freed by the failures of others, however many
// names an attacker has.
type Failures struct {
	perSecond float64
	burst     int
	most      int
	now       func() time.Time

	mu     sync.Mutex
	byName map[string]*bucket
}

// NewFailures makes one that blocks a name after burst failures and forgives perSecond
// of them, both positive, and remembers at most most names.
func NewFailures(perSecond float64, burst, most int, now func() time.Time) *Failures {
	return &Failures{perSecond: perSecond, burst: burst, most: most, now: now, byName: map[string]*bucket{}}
}

// Blocked gives the time after which the name may try again; 0: now.
func (f *Failures) Blocked(name string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.byName[name]
	if b == nil {
		return 0
	}
	b.fill(f.perSecond, f.burst, f.now())
	return b.lack(f.perSecond)
}

// Failed counts one failure.
func (f *Failures) Failed(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	b := f.byName[name]
	if b == nil {
		if !f.room(now) {
			return
		}
		full := fullBucket(f.burst, now)
		b = &full
		f.byName[name] = b
	}
	b.fill(f.perSecond, f.burst, now)
	b.tokens = max(b.tokens-1, 0)
}

// room looks at a few names at each call, so that none ever costs a look at all of them:
// Go's maps are walked from a random place.
func (f *Failures) room(now time.Time) bool {
	looked := 0
	for name, b := range f.byName {
		if b.fill(f.perSecond, f.burst, now); b.tokens >= float64(f.burst) {
			delete(f.byName, name)
		}
		if looked++; looked >= sample(len(f.byName), f.most) {
			break
		}
	}
	return len(f.byName) < f.most
}

const (
	fewLooks  = 4  // enough to keep a map about as small as what is in use
	manyLooks = 32 // where it is full
)

func sample(have, most int) int {
	if have < most {
		return fewLooks
	}
	return manyLooks
}
