package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/grant"
	"github.com/onedoor/onedoor/server/store"
)

// add appends rows in a transaction of their own.
func add(ctx context.Context, b Backend, rows ...audit.Event) error {
	return b.Audit.Write(ctx, func(ctx context.Context, tx audit.Tx) error { return tx.Append(ctx, rows) })
}

// auditWrites: a transaction happens as a whole, or not at all.
func auditWrites(t *testing.T, b Backend) {
	ctx := t.Context()
	chain, _ := aChain(t, b, later)
	m := aTask(t, b, here, limited(grant.Limits{Calls: 5}))
	everything := func(ctx context.Context, tx audit.Tx) {
		ok, err := tx.Reserve(ctx, ref(m), m.Grants[0].ID, grant.Limits{Calls: 1})
		require.NoError(t, err)
		require.True(t, ok)
		late, err := tx.ClaimKeys(ctx, []audit.Claim{{Task: ref(m), Key: "key", InvocationID: "first"}}, noon)
		require.NoError(t, err)
		require.Empty(t, late)
		require.NoError(t, tx.OpenChain(ctx, "a chain", "broker", "an incarnation", noon))
		require.NoError(t, tx.Append(ctx, []audit.Event{row(chain, 1, here, audit.IntentRow)}))
	}
	stop := errors.New("stop")
	ends := map[string]func(ctx context.Context, tx audit.Tx) error{
		"an error of the function": func(context.Context, audit.Tx) error { return stop },
		"a swallowed conflict": func(ctx context.Context, tx audit.Tx) error {
			require.ErrorIs(t, tx.OpenChain(ctx, chain, "broker", "i", noon), store.ErrConflict)
			return nil
		},
		"a swallowed text": func(ctx context.Context, tx audit.Tx) error {
			_, err := tx.ClaimKeys(ctx, []audit.Claim{{Task: ref(m), Key: "a\x00b", InvocationID: id()}}, noon)
			require.Error(t, err)
			return nil
		},
		"a swallowed gap": func(ctx context.Context, tx audit.Tx) error {
			require.ErrorIs(t, tx.Append(ctx, []audit.Event{row(chain, 3, here, audit.IntentRow)}), store.ErrConflict)
			return nil
		},
	}
	for name, end := range ends {
		err := b.Audit.Write(ctx, func(ctx context.Context, tx audit.Tx) error {
			everything(ctx, tx)
			return end(ctx, tx)
		})
		require.Error(t, err, name)
		if name == "an error of the function" {
			require.Equal(t, stop, err, "the function's own error comes back as it is")
		}
	}
	func() {
		defer func() { require.Equal(t, "boom", recover()) }()
		_ = b.Audit.Write(ctx, func(ctx context.Context, tx audit.Tx) error {
			everything(ctx, tx)
			panic("boom")
		})
	}()
	cancelled, cancel := context.WithCancel(ctx)
	err := b.Audit.Write(cancelled, func(ctx context.Context, tx audit.Tx) error {
		everything(ctx, tx)
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled, "a commit that was not made is no success")

	seq, hash, err := b.Audit.Head(ctx, chain)
	require.NoError(t, err)
	require.Zero(t, seq)
	require.Nil(t, hash)
	write(t, b, everything) // as new: nothing of all that stayed
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		left, err := tx.Remaining(ctx, ref(m), m.Grants[0].ID)
		require.NoError(t, err)
		require.EqualValues(t, 4, left.Calls)
	})
	retried(t, b)
}

// retried: two transactions that read what the other writes cannot both have been
// first; one is run again and sees what the other wrote.
func retried(t *testing.T, b Backend) {
	m := aTask(t, b, here, limited(grant.Limits{Calls: 100}))
	var runs atomic.Int64
	errs := parallel(6, func(int) error {
		return b.Audit.Write(context.WithoutCancel(t.Context()), func(ctx context.Context, tx audit.Tx) error {
			runs.Add(1)
			left, err := tx.Remaining(ctx, ref(m), m.Grants[0].ID)
			if err != nil {
				return err
			}
			// Sets what was read plus one: a lost update would show.
			return tx.Settle(ctx, ref(m), m.Grants[0].ID, grant.Limits{Calls: 1, Tokens: 100 - left.Calls})
		})
	})
	require.Zero(t, failures(errs), "%v", errs)
	write(t, b, func(ctx context.Context, tx audit.Tx) {
		left, err := tx.Remaining(ctx, ref(m), m.Grants[0].ID)
		require.NoError(t, err)
		require.EqualValues(t, 94, left.Calls)
	})
}

func auditChains(t *testing.T, b Backend) {
	ctx := t.Context()
	chain, _ := aChain(t, b, later)
	other, _ := aChain(t, b, later)
	var rows []audit.Event
	for seq := range int64(137) {
		rows = append(rows, row(chain, seq+1, here, audit.IntentRow))
	}
	require.NoError(t, add(ctx, b, rows[:1]...))
	require.NoError(t, add(ctx, b, append(rows[1:136:136], row(other, 1, there, audit.Refusal))...), "two chains at once")
	for name, bad := range map[string][]audit.Event{
		"a row again":          {rows[135]},
		"a gap":                {row(chain, 138, here, audit.IntentRow)},
		"a gap inside":         {rows[136], row(chain, 139, here, audit.IntentRow)},
		"an unknown chain":     {row(id(), 1, here, audit.IntentRow)},
		"from the start again": {rows[0]},
	} {
		require.ErrorIs(t, add(ctx, b, bad...), store.ErrConflict, name)
	}
	seq, hash, err := b.Audit.Head(ctx, chain)
	require.NoError(t, err)
	require.EqualValues(t, 136, seq)
	require.Equal(t, rows[135].Hash, hash)

	heads, err := b.Audit.OpenHeads(ctx)
	require.NoError(t, err)
	require.ElementsMatch(t, []audit.Head{{ChainID: chain, Seq: 136, Hash: rows[135].Hash}, {ChainID: other, Seq: 1, Hash: row(other, 1, "", "").Hash}}, heads)

	require.NoError(t, b.Audit.CloseChain(ctx, chain))
	require.ErrorIs(t, b.Audit.CloseChain(ctx, id()), store.ErrNotFound)
	require.ErrorIs(t, add(ctx, b, rows[136]), store.ErrConflict, "a closed chain stays as it is")
	heads, err = b.Audit.OpenHeads(ctx)
	require.NoError(t, err)
	require.Len(t, heads, 1)
	seq, _, err = b.Audit.Head(ctx, chain)
	require.NoError(t, err)
	require.EqualValues(t, 136, seq)

	got, err := b.Audit.Events(ctx, audit.Filter{Workspace: here, Limit: 1000})
	require.NoError(t, err)
	require.Len(t, got, 136)
	for i := range got {
		require.Equal(t, rows[135-i], got[i], "every field as it was written")
	}

	errs := parallel(4, func(int) error { return add(context.WithoutCancel(ctx), b, row(other, 2, there, audit.Refusal)) })
	require.Equal(t, 3, failures(errs), "one writer a row: %v", errs)
}

func auditListing(t *testing.T, b Backend) {
	ctx := t.Context()
	one, _ := aChain(t, b, later)
	two, _ := aChain(t, b, later)
	taskID, invocation := id(), id()
	for seq := range int64(6) {
		for _, chain := range []string{one, two} {
			here, there := row(chain, 2*seq+1, here, audit.IntentRow), row(chain, 2*seq+2, there, audit.IntentRow)
			here.Time, there.Time = noon.Add(time.Duration(seq/2)*time.Second), noon // several rows of one moment
			if seq == 3 {
				here.TaskID, here.InvocationID = taskID, invocation
				there.TaskID, there.InvocationID = taskID, invocation
			}
			require.NoError(t, add(ctx, b, here, there))
		}
	}
	list := func(f audit.Filter) (all []audit.Event) {
		for {
			page, err := b.Audit.Events(ctx, f)
			require.NoError(t, err)
			if len(page) == 0 {
				return all
			}
			require.LessOrEqual(t, len(page), f.Limit)
			all = append(all, page...)
			last := page[len(page)-1]
			f.After = &audit.Cursor{Time: last.Time, ChainID: last.ChainID, Seq: last.Seq}
		}
	}
	all := list(audit.Filter{Workspace: here, Limit: 5})
	require.Len(t, all, 12)
	for i := range all[1:] {
		a, b := all[i], all[i+1]
		require.Equal(t, here, b.Workspace)
		newer := a.Time.After(b.Time) || a.Time.Equal(b.Time) && (a.ChainID > b.ChainID || a.ChainID == b.ChainID && a.Seq > b.Seq)
		require.True(t, newer, "newest first")
	}
	for name, k := range map[string]struct {
		filter audit.Filter
		want   int
	}{
		"a task":                        {audit.Filter{Workspace: here, TaskID: taskID}, 2},
		"an invocation":                 {audit.Filter{Workspace: here, InvocationID: invocation}, 2},
		"both":                          {audit.Filter{Workspace: here, TaskID: taskID, InvocationID: invocation}, 2},
		"an invocation of another task": {audit.Filter{Workspace: here, TaskID: id(), InvocationID: invocation}, 0},
		"an unknown task":               {audit.Filter{Workspace: here, TaskID: id()}, 0},
		"an unknown workspace":          {audit.Filter{Workspace: "nowhere"}, 0},
		"no workspace":                  {audit.Filter{}, 0},
	} {
		k.filter.Limit = 1
		require.Len(t, list(k.filter), k.want, name)
	}
	require.Empty(t, list(audit.Filter{Workspace: here}), "no limit, nothing listed")
}

func deadBrokers(t *testing.T, b Backend) {
	ctx := t.Context()
	dead, deadIncarnation := aChain(t, b, noon)
	living, _ := aChain(t, b, later)
	rows := []audit.Event{
		row(dead, 1, audit.SystemWorkspace, audit.ChainOpened), row(dead, 2, here, audit.IntentRow), row(dead, 3, here, audit.IntentRow),
		row(dead, 4, here, audit.AdminIntent), row(dead, 5, here, audit.Refusal), row(dead, 6, here, audit.IntentRow),
	}
	own, foreign, admin := row(dead, 7, here, audit.OutcomeRow), row(living, 1, there, audit.OutcomeRow), row(living, 2, here, audit.AdminOutcome)
	own.InvocationID, foreign.InvocationID, admin.InvocationID = rows[1].InvocationID, rows[2].InvocationID, rows[3].InvocationID
	require.NoError(t, add(ctx, b, append(rows, own)...))
	require.NoError(t, add(ctx, b, foreign, admin))

	for now, want := range map[time.Time][]string{noon.Add(-1000): nil, noon: {dead}, later.Add(-1000): {dead}} {
		chains, err := b.Audit.DeadChains(ctx, now)
		require.NoError(t, err)
		require.Equal(t, want, chains, now)
	}
	orphans, err := b.Audit.Orphans(ctx, dead, 10)
	require.NoError(t, err)
	require.Equal(t, []audit.Event{rows[2], rows[5]}, orphans, "an outcome in another workspace is none")
	orphans, err = b.Audit.Orphans(ctx, dead, 1)
	require.NoError(t, err)
	require.Equal(t, []audit.Event{rows[2]}, orphans)

	write(t, b, func(ctx context.Context, tx audit.Tx) {
		for _, k := range []struct {
			workspace, invocation string
			want                  bool
		}{
			{here, own.InvocationID, true}, {there, own.InvocationID, false}, {here, rows[2].InvocationID, false},
			{here, admin.InvocationID, true}, {here, id(), false},
		} {
			got, err := tx.HasOutcome(ctx, k.workspace, k.invocation)
			require.NoError(t, err)
			require.Equal(t, k.want, got)
		}
	})
	require.NoError(t, b.Audit.CloseChain(ctx, dead))
	chains, err := b.Audit.DeadChains(ctx, noon)
	require.NoError(t, err)
	require.Empty(t, chains)
	require.NoError(t, b.Brokers.Leave(ctx, deadIncarnation))
}

func idempotencyKeys(t *testing.T, b Backend) {
	m, n := aTask(t, b, here), aTask(t, b, there)
	claim := func(task audit.TaskRef, key, invocation string) audit.Claim {
		return audit.Claim{Task: task, Key: key, InvocationID: invocation}
	}
	var many []audit.Claim
	for range 150 {
		many = append(many, claim(ref(m), id(), id()))
	}
	steps := []struct {
		name   string
		claims []audit.Claim
		late   map[audit.Claim]string
	}{
		{"nothing", nil, map[audit.Claim]string{}},
		{"new ones", []audit.Claim{claim(ref(m), "k", "1"), claim(ref(m), "l", "2")}, map[audit.Claim]string{}},
		{"one comes late", []audit.Claim{claim(ref(m), "k", "3"), claim(ref(m), "n", "4")}, map[audit.Claim]string{claim(ref(m), "k", "3"): "1"}},
		{"its own again", []audit.Claim{claim(ref(m), "k", "1")}, map[audit.Claim]string{}},
		{"another task", []audit.Claim{claim(ref(n), "k", "5")}, map[audit.Claim]string{}},
		{"the same id in another workspace", []audit.Claim{claim(audit.TaskRef{Workspace: there, TaskID: m.Task.ID}, "k", "6")}, map[audit.Claim]string{}},
		{"twice at once: the first wins", []audit.Claim{claim(ref(m), "o", "7"), claim(ref(m), "o", "8")}, map[audit.Claim]string{claim(ref(m), "o", "8"): "7"}},
		{"twice at once, and late", []audit.Claim{claim(ref(m), "o", "9"), claim(ref(m), "o", "10")},
			map[audit.Claim]string{claim(ref(m), "o", "9"): "7", claim(ref(m), "o", "10"): "7"}},
		{"many", many, map[audit.Claim]string{}},
	}
	for _, s := range steps {
		write(t, b, func(ctx context.Context, tx audit.Tx) {
			late, err := tx.ClaimKeys(ctx, s.claims, noon)
			require.NoError(t, err, s.name)
			require.Equal(t, s.late, late, s.name)
		})
	}
	var first atomic.Int64
	errs := parallel(8, func(int) error {
		var late map[audit.Claim]string
		err := b.Audit.Write(context.WithoutCancel(t.Context()), func(ctx context.Context, tx audit.Tx) (err error) {
			late, err = tx.ClaimKeys(ctx, []audit.Claim{claim(ref(m), "contended", id())}, noon)
			return err
		})
		if err == nil && len(late) == 0 {
			first.Add(1)
		}
		return err
	})
	require.Zero(t, failures(errs), "%v", errs)
	require.EqualValues(t, 1, first.Load())
}

// hostileTexts: what one database cannot store, none stores, and no error repeats it.
func hostileTexts(t *testing.T, b Backend) {
	chain, _ := aChain(t, b, later)
	for name, text := range map[string]string{"a NUL": "can\x00ary", "not UTF-8": "can\xffary"} {
		for field, change := range map[string]func(*audit.Event){
			"tool": func(e *audit.Event) { e.Tool = text }, "resource": func(e *audit.Event) { e.Resources = []string{text} },
		} {
			e := row(chain, 1, here, audit.IntentRow)
			change(&e)
			err := add(t.Context(), b, e)
			require.Error(t, err, "%s in %s", name, field)
			require.NotContains(t, err.Error(), "ary")
		}
	}
	e := row(chain, 1, here, audit.IntentRow)
	e.Tool = `'; DROP TABLE tasks; -- $1 ? %s "` + "\n\u202e\U0001F512"
	require.NoError(t, add(t.Context(), b, e))
	got, err := b.Audit.Events(t.Context(), audit.Filter{Workspace: here, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []audit.Event{e}, got)
	bare := audit.Event{ChainID: chain, Seq: 2, Workspace: here, Time: noon.Add(time.Hour), Hash: []byte{1}}
	require.NoError(t, add(t.Context(), b, bare))
	got, err = b.Audit.Events(t.Context(), audit.Filter{Workspace: here, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []audit.Event{bare}, got, "empty fields come back as empty")
}
