package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/broker"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/limit"
)

// TestAnAnswerThatFindsNoRoom: it is given up, and the trail says that the call was made
// and how the upstream answered.
func TestAnAnswerThatFindsNoRoom(t *testing.T) {
	for name, run := range map[string]func(*bench, broker.Call) error{
		"whole":                  func(b *bench, c broker.Call) error { _, err := b.Invoke(t.Context(), c); return err },
		"held until it is whole": func(b *bench, c broker.Call) error { _, err := b.InvokeStream(t.Context(), c, &sink{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			b := newModelBench(t)
			b.options.Budget = limit.NewBudget(1 << 20)
			b.Broker = broker.New(b.options)
			b.answer(text(201, strings.Repeat("x", 900<<10)))
			c := b.call(t, "chat", hello, wide)
			err := run(b, c)
			requireReason(t, fault.AnswerDropped, err)
			require.Equal(t, "201", fault.From(err).Metadata["upstream_status"])
			require.Zero(t, fault.From(err).RetryAfter, "nobody is asked to repeat it")
			require.Zero(t, b.options.Budget.Held())
			o := b.outcome(t, c)
			require.Equal(t, audit.Failed, o.Outcome)
			require.Equal(t, "ANSWER_DROPPED", o.Reason)
			require.Equal(t, 201, o.UpstreamStatus)
		})
	}
}

// TestAFullConnector: what it refuses is recorded as refused, and nothing was sent.
func TestAFullConnector(t *testing.T) {
	b := newBench(t)
	b.options.Gate = limit.NewGate(limit.Options{Keys: 100, Now: time.Now, Bounds: map[limit.Scope]limit.Bound{
		limit.Connector: {PerSecond: 0.001, Burst: 1, Running: 1},
	}})
	b.Broker = broker.New(b.options)
	b.answer(text(200, `{}`))
	get := func() error {
		_, err := b.Invoke(t.Context(), b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.get READ contact:*"))
		return err
	}
	_, err := b.Invoke(t.Context(), b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.delete DESTRUCTIVE contact:*"))
	requireReason(t, fault.GrantMissing, err)
	require.NoError(t, get(), "what is not granted takes no place")
	err = get()
	requireReason(t, fault.RateLimited, err)
	require.Equal(t, "connector", fault.From(err).Metadata["limit"])
	require.EqualValues(t, 1, b.hits.Load())
}

// TestAPlaceIsGivenBack: however a call ends, a panic included.
func TestAPlaceIsGivenBack(t *testing.T) {
	b := newBench(t)
	b.options.Gate = limit.NewGate(limit.Options{Keys: 100, Now: time.Now, Bounds: map[limit.Scope]limit.Bound{limit.Connector: {Running: 1}}})
	b.Broker = broker.New(b.options)
	b.answer(text(200, `{}`))
	granted := func() broker.Call {
		return b.call(t, "contacts.get", `{"id":"1"}`, "crm: contacts.get READ contact:*")
	}
	b.trailStore.down.Store(true)
	_, err := b.Invoke(t.Context(), granted())
	requireReason(t, fault.AuditUnavailable, err)
	b.trailStore.down.Store(false)
	broken := b.options
	broken.Upstreams = map[string]broker.Upstream{"http": lost{}}
	require.Panics(t, func() { _, _ = broker.New(broken).Invoke(t.Context(), granted()) })
	_, err = b.Invoke(t.Context(), granted())
	require.NoError(t, err)
}
