package egress

import (
	"errors"
	"fmt"
	"io"
)

// Redacted stands where a secret stood.
const Redacted = "[redacted]"

// Scrubber takes secrets out of text that an upstream wrote. It is built once for a
// set of secrets (which costs some ten microseconds), then used by any number of
// goroutines. It is unprintable.
//
// Found are each secret as it stands, in hex of one case, in base64 of both alphabets
// at all three alignments, as UTF-16, and with any of its bytes written as %XX,
// \u00XX, \xXX, a JSON short escape or an HTML entity, in any mixture. A secret
// shorter than 6 bytes is not searched in hex, base64 and UTF-16.
//
// Not found is what an upstream transforms in another way: encrypted, reversed, cut
// in pieces, escaped twice.
type Scrubber struct{ reveal func() *automaton }

// NewScrubber compiles the secrets. Empty ones do not count.
func NewScrubber(secrets ...[]byte) *Scrubber {
	var all [][]byte
	for _, s := range secrets {
		all = append(all, patterns(s)...)
	}
	a := newAutomaton(all)
	return &Scrubber{func() *automaton { return a }}
}

// Format keeps the secrets out of every verb.
func (s *Scrubber) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[scrubber]") }

// MarshalText keeps them out of encoders and structured logs.
func (s *Scrubber) MarshalText() ([]byte, error) { return []byte("[scrubber]"), nil }

// String scrubs a whole text and says how many places it replaced.
func (s *Scrubber) String(text string) (string, int64) {
	p := newPasses(s)
	out := p.feed([]byte(text), true)
	if p.hits() == 0 {
		return text, 0
	}
	return string(out), p.hits()
}

// Reader scrubs a stream. Bytes are held back only while they may be the beginning of
// a secret, and dropped where the stream breaks off there.
func (s *Scrubber) Reader(r io.Reader) *ScrubReader {
	return &ScrubReader{source: r, passes: newPasses(s)}
}

// ScrubReader is a scrubbed stream; see [Scrubber.Reader].
type ScrubReader struct {
	source io.Reader
	passes passes
	ready  []byte // scrubbed, not yet read
	err    error
}

// Read implements io.Reader.
func (r *ScrubReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.ready) == 0 && r.err == nil {
		var n int
		n, r.err = r.source.Read(p)
		// Reading into p and copying onto it is sound: what is ready is either p itself
		// or stands elsewhere.
		if last := errors.Is(r.err, io.EOF); n > 0 || last {
			r.ready = r.passes.feed(p[:n], last)
		}
	}
	if len(r.ready) == 0 {
		return 0, r.err
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// Redactions says how many places were replaced so far.
func (r *ScrubReader) Redactions() int64 { return r.passes.hits() }

// passes reads the text twice: as it stands, then with escapes undone. One reading
// would not do: in "%4" followed by a secret that begins with "1", undoing the escape
// eats the secret's first byte.
type passes [2]pass

func newPasses(s *Scrubber) passes {
	a := s.reveal()
	return passes{{automaton: a}, {automaton: a, unescape: true}}
}

func (p *passes) feed(src []byte, final bool) []byte {
	return p[1].feed(p[0].feed(src, final), final)
}

func (p *passes) hits() int64 { return p[0].hits + p[1].hits }
