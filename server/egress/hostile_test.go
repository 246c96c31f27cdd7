package egress_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/egress"
)

// Tokens of some length, as their upstreams know them: what these write is made to be slow.
func longSecrets() map[string]string {
	var random strings.Builder
	for i := range 600 {
		_, _ = fmt.Fprintf(&random, "%x", i*i*i)
	}
	return map[string]string{
		"a key": "sk-live-4f9Qz7Lm2XcVbN8sKd0PwRtYuIoAeHgJ", "a JWT": base64.RawURLEncoding.EncodeToString([]byte(random.String())),
		"a login": `alice:correct horse 9%\&=x`, "one letter": strings.Repeat("a", 1000) + "b", "two in turn": strings.Repeat("ab", 500) + "c",
	}
}

// spread is all of a secret but its end, over and over, with something between any two bytes.
func spread(secret, between string, size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		for i := range len(secret) - 1 {
			_ = b.WriteByte(secret[i])
			_, _ = b.WriteString(between)
		}
	}
	return b.Bytes()[:size]
}

var hostileBetween = []string{
	"", "\n", `\`, `\\`, `\n`, `\\n`, "%", "%0a", "%250a", "0x", "&#10;", "&amp;#10;", "\ndata:", "&DiacriticalGrav",
	strings.Repeat(" ", 31), strings.Repeat(`\`, 31), strings.Repeat(`\n`, 30), strings.Repeat(`\u0020`, 30), strings.Repeat("%0a", 30),
}

// However many ways there are to read a text, to follow one costs no memory of its own: a
// token of 4 KiB was copied for each, at 13 µs a byte.
func TestScrubberForksAreCheap(t *testing.T) {
	const size = 16 << 10
	for name, secret := range longSecrets() {
		s := egress.NewScrubber([]byte(secret))
		for _, between := range hostileBetween {
			text := spread(secret, between, size)
			require.True(t, allocatesLess(size/50., func() {
				_, err := io.Copy(io.Discard, s.Reader(bytes.NewReader(text)))
				require.NoError(t, err)
			}), "%s, with %q between", name, between)
		}
	}
}

// allocatesLess tells whether f allocates less often than that. The runtime counts for the
// whole process, in which connections of earlier tests may still be ending: that only ever
// adds, so one count of a few that is low enough will do.
func allocatesLess(limit float64, f func()) bool {
	for range 5 {
		if testing.AllocsPerRun(1, f) < limit {
			return true
		}
	}
	return false
}

// What leads on nowhere is left in few steps, for every reading of it.
func TestScrubberLeavesARepetitionAtOnce(t *testing.T) {
	fibonacci := []string{"b", "a"}
	for len(fibonacci[1]) < 1000 {
		fibonacci = []string{fibonacci[1], fibonacci[1] + fibonacci[0]}
	}
	for _, pattern := range []string{strings.Repeat("a", 1000) + "b", strings.Repeat("ab", 500) + "c", strings.Repeat("a", 1000), fibonacci[1], "sk-live-4f9Qz7"} {
		require.LessOrEqual(t, egress.Misses(pattern), 16, "%.10s", pattern)
	}
}

// However far apart the parts of a secret stand, little is held back: what comes byte by
// byte is held in bounds as well.
func TestScrubberHoldsBackNoMoreThanItsBound(t *testing.T) {
	const secret = "skLive4f9Qz7Lm2XcVbN8sQ" // letters and digits alone, and it does not end as it begins
	longest := 3 * len(secret)               // as a list of bytes
	for _, between := range hostileBetween {
		text := spread(secret, between, 64<<10)
		in := &counted{r: bytes.NewReader(text)}
		r, out := egress.NewScrubber([]byte(secret)).Reader(iotest.OneByteReader(in)), 0
		buf, most := make([]byte, 4096), 0
		for {
			n, err := r.Read(buf)
			most = max(most, in.n-out)
			if out += n; err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
		}
		require.Equal(t, len(text), out, "with %q between", between)
		require.LessOrEqual(t, most, egress.MaxHeld*longest+len(secret), "with %q between", between)
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// A trail is what a slice of places would be that is copied for each fork.
func TestTrail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trail := &egress.Trail{}
		ends, places := []int32{trail.Add(0, -1)}, [][]int{{-1}}
		for step := range rapid.IntRange(1, 300).Draw(t, "steps") {
			i := rapid.IntRange(0, len(ends)-1).Draw(t, "which")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				ends, places = append(ends, ends[i]), append(places, slices.Clone(places[i]))
			case 1:
				var of []*int32
				var counts []int32
				for j := range ends {
					keep := rapid.IntRange(0, len(places[j])).Draw(t, "keep")
					places[j] = places[j][len(places[j])-keep:]
					of, counts = append(of, &ends[j]), append(counts, int32(keep))
				}
				trail.Shorten(of, counts)
			default:
				ends[i], places[i] = trail.Add(ends[i], step), append(places[i], step)
			}
			for j, end := range ends {
				for n := range places[j] {
					require.Equal(t, places[j][len(places[j])-1-n], trail.Start(end, int32(n)+1))
				}
			}
		}
	})
}

// An answer in zstd that nobody reads to its end leaves nobody behind who decodes it.
func TestDecodingLeavesNobodyBehind(t *testing.T) {
	var text bytes.Buffer
	for i := range 200_000 {
		_, _ = fmt.Fprintf(&text, "%x\n", i*i)
	}
	zstd := coders[slices.IndexFunc(coders, func(c coder) bool { return c.name == "zstd" })]
	b := coded(t, zstd.bytes(t, text.Bytes()), "zstd")
	res, err := b.do(t, b.get("/"))
	require.NoError(t, err)
	_, err = io.ReadFull(res.Body, make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("klauspost"))
	}, time.Minute, 10*time.Millisecond)
}

// BenchmarkHostileText is what a byte costs that was written to be slow.
func BenchmarkHostileText(b *testing.B) {
	for name, secret := range longSecrets() {
		s := egress.NewScrubber([]byte(secret))
		for _, between := range hostileBetween {
			text := spread(secret, between, 32<<10)
			b.Run(fmt.Sprintf("%s/%.8q", name, between), func(b *testing.B) {
				for b.Loop() {
					_, _ = io.Copy(io.Discard, s.Reader(bytes.NewReader(text)))
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(text)), "ns/byte")
			})
		}
	}
}
