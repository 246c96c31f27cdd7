package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/mint"
)

// used is a row of the ledger, of a call by m's task.
func used(workspace, userID, agent, taskID, model string, at time.Time) audit.LedgerRow {
	return audit.LedgerRow{
		Workspace: workspace, InvocationID: id(), Time: at, UserID: userID, Agent: agent, TaskID: taskID, Connector: "llm",
		Usage: audit.Usage{Model: model, Asked: "alias", Input: 100, CachedInput: 20, CacheWrite: 10, Output: 7, MicroUSD: 1000},
	}
}

func usage(t *testing.T, b Backend) {
	m, other := aTask(t, b, here), aTask(t, b, there)
	alice, taskID := m.Task.User, m.Task.ID
	yesterday := noon.Add(-24 * time.Hour)
	rows := []audit.LedgerRow{
		used(here, alice.ID, "mailer", taskID, "m-1", noon),
		used(here, alice.ID, "mailer", taskID, "m-2", noon),
		used(here, alice.ID, "coder", id(), "m-1", yesterday),
		used(here, id(), "coder", id(), "m-1", noon.Add(time.Microsecond)),
		// The same ids under another workspace: nothing of it is met in the first.
		used(there, alice.ID, "mailer", taskID, "m-1", noon),
	}
	rows[1].MicroUSD, rows[1].Estimated = -1, true
	l := ledger{t, b}
	l.add(rows...)
	usageOfWhom(l, m, other)
	usageBy(l, m, rows[2])
	usageMended(l, rows)

	// What is rolled back was never there.
	stop := errors.New("stop")
	require.ErrorIs(t, b.Audit.Write(t.Context(), func(ctx context.Context, tx audit.Tx) error {
		require.NoError(t, tx.AddUsage(ctx, used(here, alice.ID, "mailer", taskID, "m-1", noon)))
		return stop
	}), stop)
	require.EqualValues(t, 4, l.sums(audit.UsageQuery{})[0].Calls)
}

// ledger is the ledger of a backend.
type ledger struct {
	t *testing.T
	b Backend
}

func (l ledger) add(rows ...audit.LedgerRow) {
	write(l.t, l.b, func(ctx context.Context, tx audit.Tx) {
		for _, r := range rows {
			require.NoError(l.t, tx.AddUsage(ctx, r))
		}
	})
}

func (l ledger) remove(workspace, invocationID string) {
	write(l.t, l.b, func(ctx context.Context, tx audit.Tx) {
		require.NoError(l.t, tx.RemoveUsage(ctx, workspace, invocationID))
	})
}

// sums are those of the first workspace up to the end, unless the query says otherwise.
func (l ledger) sums(q audit.UsageQuery) []audit.UsageSum {
	q.Limit = 100
	if q.Workspace == "" {
		q.Workspace = here
	}
	if q.Until.IsZero() {
		q.Until = later
	}
	list, err := l.b.Audit.Usage(l.t.Context(), q)
	require.NoError(l.t, err)
	return list
}

// usageOfWhom: every filter counts what it names, and nothing of another workspace.
func usageOfWhom(l ledger, m, other mint.Minted) {
	t, sums, alice, taskID := l.t, l.sums, m.Task.User, m.Task.ID
	require.Equal(t, []audit.UsageSum{{
		Calls: 4, Estimated: 1, Input: 400, CachedInput: 80, CacheWrite: 40, Output: 28, MicroUSD: 3000, Unpriced: 1,
	}}, sums(audit.UsageQuery{}))
	require.Empty(t, sums(audit.UsageQuery{Workspace: "elsewhere"}))
	require.EqualValues(t, 1, sums(audit.UsageQuery{Workspace: there})[0].Calls)
	require.EqualValues(t, 1, sums(audit.UsageQuery{Workspace: there, By: audit.UsageGroups{User: true}})[0].Calls)
	require.Empty(t, sums(audit.UsageQuery{Workspace: there, By: audit.UsageGroups{User: true}})[0].UserSubject, "a user of one workspace is not named under another")
	require.Empty(t, sums(audit.UsageQuery{Workspace: there, TaskID: other.Task.ID}))

	for name, k := range map[string]struct {
		q     audit.UsageQuery
		calls int64
	}{
		"from":      {audit.UsageQuery{From: noon}, 3},
		"until":     {audit.UsageQuery{Until: noon}, 1},
		"user":      {audit.UsageQuery{UserID: alice.ID}, 3},
		"subject":   {audit.UsageQuery{UserSubject: alice.Subject, UserIssuer: alice.Issuer}, 3},
		"agent":     {audit.UsageQuery{Agent: "coder"}, 2},
		"task":      {audit.UsageQuery{TaskID: taskID}, 2},
		"model":     {audit.UsageQuery{Model: "m-2"}, 1},
		"connector": {audit.UsageQuery{Connector: "llm"}, 4},
		"several":   {audit.UsageQuery{Agent: "coder", UserID: alice.ID}, 1},
	} {
		require.Equal(t, k.calls, sums(k.q)[0].Calls, name)
	}
	require.Empty(t, sums(audit.UsageQuery{Agent: "nobody"}), "nothing has no sum")
	require.Empty(t, sums(audit.UsageQuery{UserSubject: alice.Subject, UserIssuer: "https://issuer.example"}))
	require.Empty(t, sums(audit.UsageQuery{Workspace: there, UserSubject: alice.Subject, UserIssuer: alice.Issuer}))
	require.Empty(t, sums(audit.UsageQuery{UserSubject: other.Task.User.Subject, UserIssuer: alice.Issuer}))
}

// usageBy: sums are told apart by what is asked for.
func usageBy(l ledger, m mint.Minted, yesterday audit.LedgerRow) {
	t, sums, alice := l.t, l.sums, m.Task.User
	byUser := sums(audit.UsageQuery{UserID: alice.ID, By: audit.UsageGroups{User: true, Model: true}})
	require.Len(t, byUser, 2)
	require.Equal(t, alice.ID, byUser[0].UserID)
	require.Equal(t, alice.Subject, byUser[0].UserSubject)
	require.Equal(t, alice.Issuer, byUser[0].UserIssuer)
	require.Equal(t, []string{"m-1", "m-2"}, []string{byUser[0].Model, byUser[1].Model})
	require.EqualValues(t, 2, byUser[0].Calls)
	byDay := sums(audit.UsageQuery{By: audit.UsageGroups{Day: true, Agent: true, Connector: true, Task: true}})
	require.Equal(t, "2026-11-22", byDay[0].Day)
	require.Equal(t, "coder", byDay[0].Agent)
	require.Equal(t, "llm", byDay[0].Connector)
	require.Equal(t, yesterday.TaskID, byDay[0].TaskID)
	require.Len(t, byDay, 3)
	one, err := l.b.Audit.Usage(t.Context(), audit.UsageQuery{Workspace: here, Until: later, By: audit.UsageGroups{Agent: true}, Limit: 1})
	require.NoError(t, err)
	require.Len(t, one, 1)
}

// usageMended: a row is replaced by whoever knows better, and taken out where nothing was used.
func usageMended(l ledger, rows []audit.LedgerRow) {
	t, sums, add, remove := l.t, l.sums, l.add, l.remove
	// Whoever knows better comes later, and counts once.
	better := rows[1]
	better.Output, better.MicroUSD, better.Estimated, better.Time = 9, 5, false, noon.Add(time.Minute)
	add(better)
	require.EqualValues(t, 1, sums(audit.UsageQuery{From: noon.Add(time.Second)})[0].Calls, "when it ended is known better too")
	require.Equal(t, audit.UsageSum{
		Calls: 4, Input: 400, CachedInput: 80, CacheWrite: 40, Output: 30, MicroUSD: 3005,
	}, sums(audit.UsageQuery{})[0])
	foreign := better
	foreign.Workspace = there
	add(foreign)
	require.EqualValues(t, 30, sums(audit.UsageQuery{})[0].Output, "a row of another workspace changes none of this one's")

	// What was not used after all is taken out, and nothing of another workspace.
	remove(there, better.InvocationID)
	remove(there, better.InvocationID)
	remove(there, rows[0].InvocationID)
	require.EqualValues(t, 4, sums(audit.UsageQuery{})[0].Calls)
	remove(here, better.InvocationID)
	require.EqualValues(t, 3, sums(audit.UsageQuery{})[0].Calls)
	add(better)
}
