package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/lease"
)

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
