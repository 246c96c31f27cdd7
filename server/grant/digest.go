package grant

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// digestLabel keeps the digest apart from any other hash; it changes with the form.
const digestLabel = "onedoor grants v1"

// Digest is a hash over everything in the grants but their ids: what a person
// approves. The order of grants, tools and resources does not matter, how often a
// grant is given does (its limits count each time). Ends count in microseconds, as
// they are stored.
func Digest(grants []Grant) [32]byte {
	sums := make([][]byte, len(grants))
	for i := range grants {
		sum := sha256.Sum256(grants[i].canonical())
		sums[i] = sum[:]
	}
	slices.SortFunc(sums, bytes.Compare)
	var e encoder
	e.text(digestLabel)
	e.number(int64(len(sums)))
	for _, sum := range sums {
		e.b = append(e.b, sum...)
	}
	return sha256.Sum256(e.b)
}

// canonical encodes g so that no two different grants share an encoding: every text
// and list stands behind its length.
func (g *Grant) canonical() []byte {
	var e encoder
	e.text(g.Connector)
	e.number(g.Revision)
	e.set(g.Tools)
	e.number(int64(g.MaxSeverity))
	e.set(texts(g.Resources))
	l := g.Limits
	for _, n := range []int64{l.Calls, l.Bytes, l.Rows, l.Tokens, l.MicroUSD} {
		e.number(n)
	}
	if g.ExpiresAt.IsZero() {
		e.text("with the task")
	} else {
		e.text("at")
		e.number(g.ExpiresAt.UnixMicro())
	}
	return e.b
}

type encoder struct{ b []byte }

func (e *encoder) number(n int64) {
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(n)) //nolint:gosec // the bits are what is hashed
}

func (e *encoder) text(s string) {
	e.number(int64(len(s)))
	e.b = append(e.b, s...)
}

// set encodes names as a set: sorted, each once.
func (e *encoder) set(names []string) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	e.number(int64(len(names)))
	for _, n := range names {
		e.text(n)
	}
}
