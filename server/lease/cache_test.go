package lease_test

import (
	"context"
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
