package assertion_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/client/assertion"
)

func TestMemoryReplay(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ctx := context.Background()
	m := assertion.NewMemoryReplay(2)
	claim := func(id string, at time.Duration) (bool, error) {
		return m.Claim(ctx, id, now.Add(at), now.Add(at+90*time.Second))
	}
	for _, c := range []struct {
		name  string
		id    string
		at    time.Duration
		fresh bool
		err   error
	}{
		{"first", "a", 0, true, nil},
		{"again", "a", 0, false, nil},
		{"again, later", "a", 89 * time.Second, false, nil},
		{"another", "b", 30 * time.Second, true, nil},
		{"full", "c", 40 * time.Second, false, assertion.ErrReplayFull},
		{"full, but known", "a", 40 * time.Second, false, nil},
		{"one has run out", "c", 100 * time.Second, true, nil},
		{"full again", "d", 111 * time.Second, false, assertion.ErrReplayFull},
	} {
		fresh, err := claim(c.id, c.at)
		require.Equal(t, c.fresh, fresh, c.name)
		require.ErrorIs(t, err, c.err, c.name)
	}
}

func TestOneOfManyClaimsIt(t *testing.T) {
	m := assertion.NewMemoryReplay(10)
	now := time.Unix(1_800_000_000, 0)
	var fresh atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if ok, err := m.Claim(context.Background(), "a", now, now.Add(time.Minute)); ok && err == nil {
				fresh.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, fresh.Load())
}

type failing struct{}

func (failing) Claim(context.Context, string, time.Time, time.Time) (bool, error) {
	return true, errors.New("redis is away")
}

func TestReplayInTheVerifier(t *testing.T) {
	c := newClock()
	b := newBroker(t, c)
	ctx := context.Background()

	for _, method := range []string{"POST", "PATCH", "get", "PURGE"} {
		t.Run(method, func(t *testing.T) {
			v := b.verifier(nil)
			token := b.sign(b.claims(method, target, "{}"))
			_, err := v.Verify(ctx, carrying(token, method, target, "{}"))
			require.NoError(t, err)
			c.Pass(89 * time.Second) // the last moment at which it is not expired
			_, err = v.Verify(ctx, carrying(token, method, target, "{}"))
			require.ErrorIs(t, err, assertion.Replayed)
		})
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"} {
		t.Run(method, func(t *testing.T) {
			v := b.verifier(nil)
			token := b.sign(b.claims(method, target, ""))
			for range 2 {
				_, err := v.Verify(ctx, carrying(token, method, target, ""))
				require.NoError(t, err)
			}
		})
	}
	t.Run("a refused request uses nothing up", func(t *testing.T) {
		v := b.verifier(nil)
		token := b.sign(b.claims("POST", target, "{}"))
		_, err := v.Verify(ctx, carrying(token, "POST", target, "{ }"))
		require.ErrorIs(t, err, assertion.DigestWrong)
		_, err = v.Verify(ctx, carrying(token, "POST", target, "{}"))
		require.NoError(t, err)
	})
	t.Run("no answer", func(t *testing.T) {
		v := b.verifier(func(o *assertion.Options) { o.Replay = failing{} })
		_, err := v.Verify(ctx, b.request("POST", target, "{}"))
		require.ErrorIs(t, err, assertion.ReplayUnknown)
		require.ErrorContains(t, err, "redis is away")
	})
	t.Run("full", func(t *testing.T) {
		v := b.verifier(func(o *assertion.Options) { o.Replay = assertion.NewMemoryReplay(3) })
		for i := range 4 {
			_, err := v.Verify(ctx, b.request("POST", target+"/"+strconv.Itoa(i), "{}"))
			if i < 3 {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, assertion.ReplayUnknown)
			require.ErrorIs(t, err, assertion.ErrReplayFull)
		}
	})
}
