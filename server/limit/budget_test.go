package limit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/limit"
)

const mib = 1 << 20

// greedy takes as much as it is given, and gives how much that was.
func greedy(b *limit.Budget, workspace, name string) int64 {
	var all int64
	h := b.Hold(workspace, name)
	for h.Add(mib) == nil {
		all += mib
	}
	return all
}

func TestShares(t *testing.T) {
	b := limit.NewBudget(120 * mib)
	require.EqualValues(t, 40*mib, greedy(b, "a", "one"), "an owner alone: a third")
	for i := range 10 {
		greedy(b, "a", fmt.Sprint(i))
	}
	require.LessOrEqual(t, b.Held(), int64(60*mib), "a workspace alone: a half")
	require.NoError(t, b.Hold("b", "one").Add(20*mib), "there is room for others")
	require.NoError(t, b.Hold("a", "late").Add(4<<10), "nor do its greedy ones shut out their own")
}

// TestManyShutOutNobody: whoever takes all that they are given, one after the other, an
// equal of theirs gets what a small call needs.
func TestManyShutOutNobody(t *testing.T) {
	b := limit.NewBudget(256 * mib)
	for i := range 40 {
		greedy(b, "", fmt.Sprint(i))
		greedy(b, fmt.Sprint(i), "one")
	}
	for i := range 40 {
		require.NoError(t, b.Hold("", fmt.Sprint("small ", i)).Add(64<<10), i)
		require.ErrorIs(t, b.Hold("", fmt.Sprint("small ", i)).Add(8*mib), limit.ErrNoRoom)
	}
	require.LessOrEqual(t, b.Held(), int64(256*mib))
}

// TestStrangersShutOutNobody: however many addresses a stranger has, those who are known
// have room.
func TestStrangersShutOutNobody(t *testing.T) {
	b := limit.NewBudget(256 * mib)
	for i := range 10_000 {
		_ = b.Hold(limit.Strangers, fmt.Sprint(i)).Add(mib)
		_ = b.Hold(limit.Strangers, fmt.Sprint(i)).Add(1)
	}
	require.LessOrEqual(t, b.Held(), int64(128*mib))
	require.GreaterOrEqual(t, greedy(b, "a", "one"), int64(40*mib))
}

func TestReleaseGivesBack(t *testing.T) {
	b := limit.NewBudget(12 * mib)
	h := b.Hold("a", "one")
	require.NoError(t, h.Add(3*mib))
	require.ErrorIs(t, h.Add(9*mib), limit.ErrNoRoom)
	require.EqualValues(t, 3*mib, b.Held(), "what was refused took nothing")
	require.NoError(t, h.Add(1), "and did not end it")
	h.Release()
	h.Release()
	require.Zero(t, b.Held())
	require.ErrorIs(t, h.Add(1), limit.ErrNoRoom, "nothing is held by what has ended")
	require.Zero(t, b.Held())
}

// TestTheBudgetHolds: whatever is asked for, no more is held than may be, and a workspace
// that holds nothing gets something.
func TestTheBudgetHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 64 * mib
		b := limit.NewBudget(total)
		var holds []*limit.Hold
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(holds) > 0 && rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
				i := rapid.IntRange(0, len(holds)-1).Draw(t, "which")
				holds[i].Release()
				holds = append(holds[:i], holds[i+1:]...)
			} else {
				h := b.Hold(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "workspace")), fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "owner")))
				_ = h.Add(rapid.Int64Range(0, total).Draw(t, "bytes"))
				holds = append(holds, h)
			}
			if b.Held() < 0 || b.Held() > total {
				t.Fatalf("%d held", b.Held())
			}
			fresh := b.Hold("fresh", "one")
			if err := fresh.Add(mib); err != nil {
				t.Fatalf("nothing is left for others: %d held", b.Held())
			}
			fresh.Release()
		}
		for _, h := range holds {
			h.Release()
		}
		if b.Held() != 0 {
			t.Fatalf("%d left over", b.Held())
		}
	})
}

// TestReturn: what was taken is given back, step by step, and never twice.
func TestReturn(t *testing.T) {
	b := limit.NewBudget(64 * mib)
	h := b.Hold("a", "one")
	for range 100 {
		require.NoError(t, h.Add(mib))
		h.Return(mib)
		require.LessOrEqual(t, b.Held(), int64(mib))
	}
	require.NoError(t, h.Add(3*mib))
	h.Release()
	h.Return(3 * mib)
	require.Zero(t, b.Held())
}

func TestASmallCallTakesLittle(t *testing.T) {
	b := limit.NewBudget(64 * mib)
	require.NoError(t, b.Hold("a", "one").Add(100))
	require.LessOrEqual(t, b.Held(), int64(4<<10))
}

// TestATailHoldsOn: what a call held is held until its transport has done with it.
func TestATailHoldsOn(t *testing.T) {
	b := limit.NewBudget(64 * mib)
	tail := &limit.Tail{}
	ctx, h, end := b.Account(limit.WithTail(t.Context(), tail), "a", "one")
	require.Same(t, h, limit.HoldOf(ctx))
	require.Same(t, h, tail.Hold())
	require.NoError(t, h.Add(mib))
	end()
	require.EqualValues(t, mib, b.Held())
	tail.End()
	tail.End()
	require.Zero(t, b.Held())
	_, late, _ := b.Account(limit.WithTail(t.Context(), tail), "a", "one")
	require.Error(t, late.Add(1), "nothing is held for a transport that is gone")

	_, h, end = b.Account(t.Context(), "a", "one")
	require.NoError(t, h.Add(mib))
	end()
	require.Zero(t, b.Held(), "without one it ends with the call")
}
