package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/fault"
)

func stranger(peer string, reason fault.Reason) audit.Event {
	return audit.Event{Peer: peer, Reason: string(reason)}
}

func (b *bench) refuse(t testing.TB, times int, e audit.Event) {
	t.Helper()
	for range times {
		require.NoError(t, b.Refuse(t.Context(), e))
	}
}

// refusals gives the counts of the refusal rows, oldest first, by who and why.
func refusals(rows []audit.Event) map[string][]int64 {
	counts := map[string][]int64{}
	for _, e := range rows {
		if e.Kind == audit.Refusal {
			who := e.SPIFFEID
			if who == "" {
				who = e.Peer
			}
			counts[who+" "+e.Reason] = append(counts[who+" "+e.Reason], e.Count)
		}
	}
	return counts
}

func ones(n int, more ...int64) []int64 {
	list := make([]int64, n, n+len(more))
	for i := range list {
		list[i] = 1
	}
	return append(list, more...)
}

func TestRefusalIsRecorded(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, b.Refuse(ctx, audit.Event{
		Workspace: workspace, InvocationID: "i", Connector: "crm", Tool: "contacts.get", Reason: "GRANT_MISSING", Resources: []string{"contact:1"},
	}), "that its caller is gone does not keep it out of the trail")
	b.refuse(t, 1, stranger("192.0.2.1:1", fault.SVIDInvalid))
	rows := b.trail(t)
	require.Equal(t, audit.Refusal, rows[1].Kind)
	require.Equal(t, audit.Refused, rows[1].Decision)
	require.Equal(t, []string{"contact:1"}, rows[1].Resources)
	require.Equal(t, "contacts.get", rows[1].Tool)
	require.Equal(t, audit.SystemWorkspace, rows[2].Workspace, "no workspace is known of a stranger")
}

func TestManyRefusalsAreCounted(t *testing.T) {
	b := newBench(t)
	b.refuse(t, 9, stranger("192.0.2.1:1", fault.SVIDInvalid))
	require.Equal(t, map[string][]int64{"192.0.2.1:1 SVID_INVALID": ones(9)}, refusals(b.trail(t)))
	b.refuse(t, 25, stranger("192.0.2.1:2", fault.SVIDInvalid)) // another port is no other stranger
	b.refuse(t, 2, stranger("192.0.2.1:1", fault.SVIDMissing))
	b.refuse(t, 3, stranger("192.0.2.9:1", fault.SVIDInvalid))
	workload := audit.Event{Workspace: workspace, SPIFFEID: "spiffe://example.org/s", Peer: "192.0.2.1:1", Reason: "SVID_INVALID"}
	b.refuse(t, 11, workload)
	require.Len(t, b.trail(t), 1+9+2+3+9, "the counted ones wait")

	b.close(t)
	require.Equal(t, map[string][]int64{
		"192.0.2.1:1 SVID_INVALID":            ones(9),
		"192.0.2.1:2 SVID_INVALID":            {25},
		"192.0.2.1:1 SVID_MISSING":            ones(2),
		"192.0.2.9:1 SVID_INVALID":            ones(3),
		"spiffe://example.org/s SVID_INVALID": ones(9, 2),
	}, refusals(b.trail(t)))
}

// A stranger has any number of the addresses of one IPv6 network.
func TestRefusalsFromOneNetwork(t *testing.T) {
	b := newBench(t)
	for i := range 30 {
		b.refuse(t, 1, stranger(fmt.Sprintf("[2001:db8:1:2::%x]:1", i), fault.SVIDInvalid))
	}
	b.refuse(t, 1, stranger("[2001:db8:1:3::1]:1", fault.SVIDInvalid))
	require.Len(t, b.trail(t), 1+9+1)
}

func TestRefusalsAreCountedByTheMinute(t *testing.T) {
	b := newBench(t)
	e := stranger("192.0.2.1:1", fault.SVIDInvalid)
	b.refuse(t, 9, e)
	b.clock.advance(59 * time.Second)
	b.refuse(t, 1, e)
	b.clock.advance(2 * time.Second)
	b.refuse(t, 1, e) // the minute is over, but its count is not written yet: none is lost
	other := stranger("192.0.2.2:1", fault.SVIDInvalid)
	b.refuse(t, 9, other)
	b.clock.advance(time.Minute)
	b.refuse(t, 9, other) // a new minute
	b.close(t)
	require.Equal(t, map[string][]int64{
		"192.0.2.1:1 SVID_INVALID": ones(9, 2),
		"192.0.2.2:1 SVID_INVALID": ones(18),
	}, refusals(b.trail(t)))
}

func TestRefusalsWithoutAStore(t *testing.T) {
	b := newBench(t)
	b.flaky.set(func(f *flaky) { f.down = true })
	for range 9 {
		require.True(t, fault.Is(b.Refuse(t.Context(), stranger("192.0.2.1:1", fault.SVIDInvalid)), fault.AuditUnavailable))
	}
	b.refuse(t, 5, stranger("192.0.2.1:1", fault.SVIDInvalid))
	b.flaky.set(func(f *flaky) { f.down = false })
	b.close(t)
	require.Equal(t, map[string][]int64{"192.0.2.1:1 SVID_INVALID": {5}}, refusals(b.trail(t)), "what was counted is kept")
}

// A crowd of strangers fills neither memory nor store: past ten thousand they share
// one count, which accuses none of them.
func TestTooManyStrangersShareACount(t *testing.T) {
	b := newBench(t)
	b.flaky.set(func(f *flaky) { f.down = true }) // their first rows are not what this is about
	var wg sync.WaitGroup
	for part := range 20 {
		wg.Go(func() {
			for n := range audit.MaxRefusalKeys / 20 {
				_ = b.Refuse(context.Background(), stranger(fmt.Sprintf("stranger-%d-%d", part, n), fault.SVIDInvalid))
			}
		})
	}
	wg.Wait()
	b.flaky.set(func(f *flaky) { f.down = false })
	for n := range 12 {
		b.refuse(t, 1, audit.Event{Workspace: workspace, SPIFFEID: fmt.Sprint("spiffe://example.org/", n), TaskID: "task", Reason: "TASK_ENDED"})
	}
	b.clock.advance(2 * time.Minute)
	b.refuse(t, 2, audit.Event{Workspace: workspace, SPIFFEID: "spiffe://example.org/late", TaskID: "task", Reason: "TASK_ENDED"})
	b.close(t)
	require.Equal(t, map[string][]int64{"(others) TASK_ENDED": {5}}, counted(refusals(b.trail(t))))
	for _, e := range b.trail(t) {
		if e.Count > 1 {
			require.Empty(t, e.SPIFFEID)
			require.Empty(t, e.TaskID)
			require.Equal(t, audit.SystemWorkspace, e.Workspace)
		}
	}
}

// counted leaves the rows out that stand for one refusal.
func counted(all map[string][]int64) map[string][]int64 {
	out := map[string][]int64{}
	for who, counts := range all {
		for _, n := range counts {
			if n > 1 {
				out[who] = append(out[who], n)
			}
		}
	}
	return out
}
