package lease_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/lease"
	"github.com/onedoor/onedoor/server/store"
)

// feed is a change feed in memory whose clock differs from ours.
type feed struct {
	mu      sync.Mutex
	changes []store.Change
	err     error
	delay   time.Duration
}

const skew = -time.Hour // the store's clock is an hour behind

func storeNow() time.Time { return time.Now().Add(skew) }

func (f *feed) Changes(ctx context.Context, since time.Time) ([]store.Change, error) {
	f.mu.Lock()
	delay := f.delay
	f.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	var out []store.Change
	for _, c := range f.changes {
		if !c.At.Before(since) {
			out = append(out, c)
		}
	}
	return out, nil
}

func (f *feed) set(err error, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.delay = err, delay
}

func (f *feed) add(id string, age time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, store.Change{Workspace: "w", Kind: store.TaskChanged, ID: id, At: storeNow().Add(-age)})
}

// poll is one call of On.
type poll struct {
	ids     []string
	started time.Time
}

// polls is what On was called with so far, and what was logged.
type polls struct {
	mu   sync.Mutex
	all  []poll
	logs bytes.Buffer
}

func (p *polls) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.Write(line)
}

func (p *polls) on(changes []store.Change, started time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := poll{started: started}
	for _, c := range changes {
		one.ids = append(one.ids, c.ID)
	}
	p.all = append(p.all, one)
}

func (p *polls) read() (all []poll, ids []string, logs string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.all {
		ids = append(ids, one.ids...)
	}
	return slices.Clone(p.all), ids, p.logs.String()
}

func (p *polls) ids() []string { _, ids, _ := p.read(); return ids }
func (p *polls) count() int    { all, _, _ := p.read(); return len(all) }

// run polls until the test ends and waits for its end.
func run(t *testing.T, f *feed) *polls {
	p := &polls{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&lease.Poller{
			Feed: f, Now: time.Now, StoreNow: storeNow, On: p.on,
			Log: slog.New(slog.NewTextHandler(p, nil)),
		}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return p
}

func pause(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestPollerHandsOverEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		f.add("before the start, within the overlap", 14*time.Second)
		f.add("long before the start", 16*time.Second)
		p := run(t, f)
		require.Equal(t, []string{"before the start, within the overlap"}, p.ids())

		f.add("new", 0)
		f.add("committed late", 10*time.Second)
		pause(time.Second)
		require.Equal(t, []string{"before the start, within the overlap", "new", "committed late"}, p.ids())

		pause(time.Minute)
		f.add("new", 0) // the same thing changed once more
		pause(time.Second)
		require.Len(t, p.ids(), 4)
	})
}

func TestPollerRenewsAtEveryPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &feed{delay: 100 * time.Millisecond}
		p := run(t, f)
		pause(900 * time.Millisecond)
		all, _, _ := p.read()
		require.Len(t, all, 4, "an empty poll counts as well")
		for i, one := range all {
			require.Equal(t, begin.Add(time.Duration(i)*lease.Every), one.started, "the start is the moment before the read")
		}
	})
}

func TestPollerFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		p := run(t, f)
		before := p.count()
		f.set(errors.New("database away"), 0)
		f.add("during the failure", 0)
		pause(time.Minute)
		require.Equal(t, before, p.count(), "a failed poll must not renew")
		require.Empty(t, p.ids())
		_, _, logs := p.read()
		require.Equal(t, 1, strings.Count(logs, "database away"), "one line, not one a poll")

		f.set(nil, 0)
		pause(time.Second)
		require.Equal(t, []string{"during the failure"}, p.ids(), "the gap is covered")
		_, _, logs = p.read()
		require.Contains(t, logs, "read again")
	})
}

func TestPollerOutlivesAPollThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{delay: time.Hour}
		p := run(t, f)
		pause(time.Second)
		require.Zero(t, p.count())
		f.set(nil, 0)
		pause(2 * time.Second)
		require.NotZero(t, p.count())
	})
}

// A change bears a time from before its transaction, and shows only once that is committed: a
// commit that waits for a standby, or a broker with another time, makes it older than polls
// reach back.
func TestAChangeThatShowsTooLateIsHeededAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, src := &feed{}, &source{value: 1}
		c := newCache(10)
		forget := func(changes []store.Change, started time.Time) {
			for _, one := range changes {
				c.Forget(func(key string, _ int) bool { return key == one.ID })
			}
			c.Renew(started)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go (&lease.Poller{Feed: f, Now: time.Now, StoreNow: storeNow, On: forget}).Run(ctx)
		asked := func() int { pause(window / 2); return get(t, c, "k", src.load) }
		for range 100 { // polls carry on what is remembered
			require.Equal(t, 1, asked())
		}
		src.value = 2
		f.add("k", 20*time.Second)
		began, heeded := time.Now(), false
		for !heeded && time.Since(began) < time.Hour {
			heeded = asked() == 2
		}
		require.True(t, heeded, "what was revoked is believed for ever")
		require.LessOrEqual(t, time.Since(began), lease.Longest+window)
	})
}
