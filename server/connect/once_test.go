package connect_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/credential"
)

// TestACodeIsSentOnce, however many brokers and windows bring it.
func TestACodeIsSentOnce(t *testing.T) {
	for name, at := range map[string]struct {
		server func(w *world) *tokenServer
		begun  func(w *world) *try
	}{
		"the provider's": {func(w *world) *tokenServer { return &w.provider.tokenServer }, func(w *world) *try { return w.atProvider(t) }},
		"the issuer's": {func(w *world) *tokenServer { return &w.proof.tokenServer }, func(w *world) *try {
			y := w.offer(t, w.Flow)
			y.begin(t)
			return y
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			y := at.begun(w)
			query := y.answer()
			if name == "the issuer's" {
				query.Del("iss")
			}
			before := at.server(w).requests()
			results := make(chan error, 8)
			for range 8 {
				f := w.with(func(*connect.Options) {})
				go func() {
					_, err := f.Answer(t.Context(), query.Encode(), y.browser, peer)
					results <- err
				}()
			}
			won := 0
			for range 8 {
				if err := <-results; err == nil {
					won++
				}
			}
			require.Equal(t, 1, won)
			require.Equal(t, before+1, at.server(w).requests())
		})
	}
}

// leaving is a trail during whose first intent the browser gives up.
type leaving struct {
	connect.Trail
	leave func()
}

func (l leaving) BeginAdmin(ctx context.Context, e audit.Event) (audit.Intent, error) {
	defer l.leave()
	return l.Trail.BeginAdmin(ctx, e)
}

// TestTheBrowserGivesUp: a code that is about to be sent is good once, so its exchange is
// finished all the same.
func TestTheBrowserGivesUp(t *testing.T) {
	w := newWorld(t)
	y := w.atProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.keeping.Trail = leaving{w.options.Trail, cancel}
	f := w.with(func(o *connect.Options) { o.Credentials = credential.NewKeeper(w.keeping) })
	arrived, err := f.Answer(ctx, y.answer().Encode(), y.browser, peer)
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	require.Empty(t, y.ended(t, arrived, err).Problem)
	require.True(t, w.stored(t))
}

// away is a store that cannot be written a few times.
type away struct {
	credential.Store
	times *int
}

func (a away) Put(ctx context.Context, r credential.Record) error {
	if *a.times--; *a.times >= 0 {
		return errors.New("the store is away")
	}
	return a.Store.Put(ctx, r)
}

// TestTokensAreNotGivenUpSoon: the code is consumed, so what came for it is stored when
// the store is back.
func TestTokensAreNotGivenUpSoon(t *testing.T) {
	w := newWorld(t)
	y := w.atProvider(t)
	times := 3
	w.keeping.Store = away{w.keeping.Store, &times}
	f := w.with(func(o *connect.Options) { o.Credentials = credential.NewKeeper(w.keeping) })
	arrived, err := f.Answer(t.Context(), y.answer().Encode(), y.browser, peer)
	require.Empty(t, y.ended(t, arrived, err).Problem)
	require.True(t, w.stored(t))
	require.Equal(t, 1, w.provider.requests())
}
