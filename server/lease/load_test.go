package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
