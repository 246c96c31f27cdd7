package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/lease"
)

const window = 700 * time.Millisecond

// source is a store of one number that counts how often it is read.
type source struct {
	value int
	reads int
}

func (s *source) load(context.Context) (int, error) {
	s.reads++
	return s.value, nil
}

func newCache(size int) *lease.Cache[string, int] {
	return lease.New[string, int](window, time.Now, size)
}

func get(t *testing.T, c *lease.Cache[string, int], key string, load func(context.Context) (int, error)) int {
	t.Helper()
	v, err := c.Get(t.Context(), key, load)
	require.NoError(t, err)
	return v
}

func TestTrust(t *testing.T) {
	tests := []struct {
		name string
		// steps run one after the other, each after its delay.
		steps []func(c *lease.Cache[string, int])
		after []time.Duration
		reads int
	}{
		{name: "within the window it is served", after: []time.Duration{window - 1}, reads: 1},
		{name: "at the window it has run out", after: []time.Duration{window}, reads: 2},
		{
			name: "a poll extends it",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
			},
			after: []time.Duration{window - 1, window - 1},
			reads: 1,
		},
		{
			name: "but only for one window from the poll's start",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Renew(time.Now().Add(-100 * time.Millisecond)) },
			},
			after: []time.Duration{window - 1, window - 100*time.Millisecond},
			reads: 2,
		},
		{
			name: "polls without a gap carry it on",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
			},
			after: []time.Duration{window / 2, window / 2, window / 2, window / 2},
			reads: 1,
		},
		{
			name: "what ran out before the first poll stays out",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
			},
			after: []time.Duration{window, 1},
			reads: 2,
		},
		{
			name: "what ran out between two polls stays out",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
			},
			after: []time.Duration{window / 2, window, 1},
			reads: 2,
		},
		{
			name: "an older poll takes nothing back",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Renew(time.Now()) },
				func(c *lease.Cache[string, int]) { c.Renew(time.Now().Add(-time.Hour)) },
			},
			after: []time.Duration{window / 2, 0, window - 1},
			reads: 1,
		},
		{
			name: "forgotten is forgotten, renewed or not",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) {
					c.Forget(func(k string, v int) bool { return k == "k" && v == 1 })
					c.Renew(time.Now())
				},
			},
			after: []time.Duration{1, 1},
			reads: 2,
		},
		{
			name: "forgetting another leaves it",
			steps: []func(*lease.Cache[string, int]){
				func(c *lease.Cache[string, int]) { c.Forget(func(_ string, v int) bool { return v != 1 }) },
			},
			after: []time.Duration{1, 1},
			reads: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, src := newCache(10), &source{value: 1}
				get(t, c, "k", src.load)
				for i, wait := range tt.after {
					time.Sleep(wait)
					if i < len(tt.steps) {
						tt.steps[i](c)
					}
				}
				require.Equal(t, 1, get(t, c, "k", src.load))
				require.Equal(t, tt.reads, src.reads)
			})
		})
	}
}

func TestSlowReadCountsFromItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := newCache(10), &source{}
		slow := func(ctx context.Context) (int, error) {
			time.Sleep(window - 1)
			return src.load(ctx)
		}
		get(t, c, "k", slow)
		get(t, c, "k", slow)
		require.Equal(t, 1, src.reads)
		time.Sleep(time.Nanosecond)
		get(t, c, "k", slow)
		require.Equal(t, 2, src.reads)
	})
}

func TestOneLoadServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := newCache(10), &source{value: 7}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				v, err := c.Get(t.Context(), "k", func(ctx context.Context) (int, error) {
					time.Sleep(10 * time.Millisecond)
					return src.load(ctx)
				})
				require.NoError(t, err)
				require.Equal(t, 7, v)
			})
		}
		wg.Wait()
		require.Equal(t, 1, src.reads)
	})
}

func TestForgetDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10)
		reads := 0
		load := func(context.Context) (int, error) { // reads first, answers late
			reads++
			v := reads
			time.Sleep(100 * time.Millisecond)
			return v, nil
		}
		var early, late int
		var wg sync.WaitGroup
		wg.Go(func() { early = get(t, c, "k", load) })
		time.Sleep(50 * time.Millisecond)
		c.Forget(func(_ string, v int) bool { return v == 1 })
		c.Renew(time.Now())
		wg.Go(func() { late = get(t, c, "k", load) })
		wg.Wait()
		require.Equal(t, 1, early, "it asked before the change")
		require.Equal(t, 2, late, "it asked after the change and must see it")
		require.Equal(t, 2, get(t, c, "k", load), "the old value must not be stored")
		require.Equal(t, 2, reads)
	})
}

func TestForgetOfAnotherDoesNotSpoilALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := newCache(10), &source{value: 1}
		var wg sync.WaitGroup
		wg.Go(func() {
			get(t, c, "k", func(ctx context.Context) (int, error) {
				time.Sleep(100 * time.Millisecond)
				return src.load(ctx)
			})
		})
		time.Sleep(50 * time.Millisecond)
		c.Forget(func(k string, _ int) bool { return k == "other" })
		wg.Wait()
		get(t, c, "k", src.load)
		require.Equal(t, 1, src.reads)
	})
}

func TestWaiterIsNotServedWhatRanOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10)
		reads := 0
		load := func(context.Context) (int, error) {
			reads++
			v := reads
			time.Sleep(2 * window)
			return v, nil
		}
		var wg sync.WaitGroup
		results := make([]int, 3)
		wg.Go(func() { results[0] = get(t, c, "k", load) })
		time.Sleep(window)
		for i := 1; i <= 2; i++ {
			wg.Go(func() { results[i] = get(t, c, "k", load) })
		}
		wg.Wait()
		require.Equal(t, []int{1, 2, 2}, results, "those who waited share one newer load, however slow")
	})
}

func TestFailingLoads(t *testing.T) {
	boom := errors.New("boom")
	t.Run("an error is passed on and not remembered", func(t *testing.T) {
		c, src := newCache(10), &source{value: 3}
		_, err := c.Get(t.Context(), "k", func(context.Context) (int, error) { return 0, boom })
		require.Equal(t, boom, err)
		require.Equal(t, 3, get(t, c, "k", src.load))
	})
	t.Run("who waits does not inherit the error of an earlier read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, src := newCache(10), &source{value: 3}
			go func() {
				_, _ = c.Get(t.Context(), "k", func(context.Context) (int, error) {
					time.Sleep(time.Millisecond)
					return 0, boom
				})
			}()
			synctest.Wait()
			require.Equal(t, 3, get(t, c, "k", src.load))
		})
	})
	t.Run("a caller who gives up does not take others along", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, src := newCache(10), &source{value: 3}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				_, _ = c.Get(ctx, "k", func(ctx context.Context) (int, error) {
					<-ctx.Done()
					return 0, ctx.Err()
				})
			}()
			synctest.Wait()
			time.AfterFunc(time.Millisecond, cancel)
			require.Equal(t, 3, get(t, c, "k", src.load))
		})
	})
	t.Run("nor does one of those who came after it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, src := newCache(10), &source{value: 3}
			fail := make(chan struct{})
			go func() {
				_, _ = c.Get(t.Context(), "k", func(context.Context) (int, error) { <-fail; return 0, boom })
			}()
			synctest.Wait()
			// Two wait for that load. When it fails one of them loads and the
			// other waits again, until the one that loads gives up.
			loading := make(chan int, 2)
			cancels, results := [2]context.CancelFunc{}, [2]error{}
			var wg sync.WaitGroup
			for i := range 2 {
				ctx, cancel := context.WithCancel(t.Context())
				cancels[i] = cancel
				wg.Go(func() {
					_, results[i] = c.Get(ctx, "k", func(ctx context.Context) (int, error) {
						loading <- i
						if len(loading) == 2 {
							return src.load(ctx)
						}
						<-ctx.Done()
						return 0, ctx.Err()
					})
				})
			}
			synctest.Wait()
			close(fail)
			synctest.Wait()
			first := <-loading
			loading <- first // keeps the count at one for the other
			cancels[first]()
			wg.Wait()
			cancels[1-first]()
			require.ErrorIs(t, results[first], context.Canceled)
			require.NoError(t, results[1-first])
		})
	})
	t.Run("who gives up waiting hears why", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, release := newCache(10), make(chan struct{})
			defer close(release)
			go func() {
				_, _ = c.Get(t.Context(), "k", func(context.Context) (int, error) { <-release; return 0, nil })
			}()
			synctest.Wait()
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(boom)
			_, err := c.Get(ctx, "k", nil)
			require.Equal(t, boom, err)
		})
	})
	t.Run("a panic frees those who wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, src := newCache(10), &source{value: 3}
			go func() {
				defer func() { _ = recover() }()
				_, _ = c.Get(t.Context(), "k", func(context.Context) (int, error) {
					time.Sleep(time.Millisecond)
					panic("boom")
				})
			}()
			synctest.Wait()
			require.Equal(t, 3, get(t, c, "k", src.load))
		})
	})
}

func TestSizeIsBounded(t *testing.T) {
	for _, size := range []int{0, 1, 2, 33, 1000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := lease.New[string, int](time.Hour, time.Now, size)
			for i := range 3 * (size + 1) {
				get(t, c, fmt.Sprint(i), (&source{value: i}).load)
			}
			held := 0
			c.Forget(func(string, int) bool { held++; return false })
			require.LessOrEqual(t, held, max(size, 1))
			require.GreaterOrEqual(t, held, max(size, 1)/2)
		})
	}
}

func TestWhatIsUsedOutlivesWhatIsNot(t *testing.T) {
	c := lease.New[string, int](time.Hour, time.Now, 1000)
	hot := &source{}
	for i := range 20_000 {
		get(t, c, "hot", hot.load)
		get(t, c, fmt.Sprint(i), (&source{}).load)
	}
	require.Less(t, hot.reads, 20, "a used entry was evicted again and again")
}

// A value is never served to a call that began after the Forget that hit it; run it
// with -race.
func TestConcurrentUse(t *testing.T) {
	c := newCache(64)
	var stored, announced atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range 4 {
		wg.Go(func() {
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				before := announced.Load()
				v, err := c.Get(t.Context(), fmt.Sprint(i%100), func(context.Context) (int, error) {
					return int(stored.Load()), nil
				})
				if err != nil || int64(v) < before {
					t.Errorf("got %d (%v), but %d had replaced it before the call", v, err, before)
					return
				}
			}
		})
	}
	for next := range int64(500) {
		stored.Store(next)
		started := time.Now()
		c.Forget(func(_ string, v int) bool { return int64(v) < next })
		c.Renew(started)
		announced.Store(next)
	}
	close(stop)
	wg.Wait()
}

func BenchmarkHit(b *testing.B) {
	c := lease.New[string, int](time.Hour, time.Now, 10_000)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("0123456789abcdef0123456789abcdef-%d", i)
		_, _ = c.Get(b.Context(), keys[i], (&source{}).load)
	}
	load := func(context.Context) (int, error) { return 0, errors.New("a miss") }
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := c.Get(b.Context(), keys[i%len(keys)], load); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
