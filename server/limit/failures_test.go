package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/limit"
)

func TestFailures(t *testing.T) {
	c := newClock()
	f := limit.NewFailures(2, 3, 100, c.Now)
	for range 3 {
		require.Zero(t, f.Blocked("a"))
		f.Failed("a")
	}
	wait := f.Blocked("a")
	require.Equal(t, 500*time.Millisecond, wait)
	require.Zero(t, f.Blocked("b"))
	for range 10 {
		f.Failed("a")
	}
	require.Equal(t, wait, f.Blocked("a"), "what a blocked one does does not prolong it")
	c.pass(wait)
	require.Zero(t, f.Blocked("a"))
}

// TestAFloodOfNamesFreesNobody: memory stays bounded, and who is blocked stays blocked
// however many others fail.
func TestAFloodOfNamesFreesNobody(t *testing.T) {
	c := newClock()
	f := limit.NewFailures(1, 3, 1000, c.Now)
	for range 3 {
		f.Failed("guesser")
	}
	for i := range 100_000 {
		f.Failed(fmt.Sprint("name", i))
		require.LessOrEqual(t, f.Remembered(), 1000)
	}
	require.Positive(t, f.Blocked("guesser"))
	c.pass(time.Hour)
	for i := range 10_000 {
		f.Failed(fmt.Sprint("later", i))
	}
	for range 3 {
		f.Failed("newcomer")
	}
	require.LessOrEqual(t, f.Remembered(), 1000)
}

// BenchmarkFloodOfNames: a newcomer costs the same in an empty table and in a full one.
func BenchmarkFloodOfNames(b *testing.B) {
	for _, most := range []int{1 << 30, 100_000} {
		b.Run(fmt.Sprintf("most=%d", most), func(b *testing.B) {
			f := limit.NewFailures(0.001, 3, most, time.Now)
			names := make([]string, 500_000)
			for i := range names {
				names[i] = fmt.Sprint("name", i)
				f.Failed(names[i])
			}
			b.ResetTimer()
			for i := range b.N {
				f.Failed(names[i%len(names)])
			}
		})
	}
}
