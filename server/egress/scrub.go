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
// Found are each secret as it stands, with + for its spaces, and in UTF-16; its hex, the
// base64 of both alphabets at all three alignments, the base32 at all five, and the
// decimal values of its bytes. Any part of these may be escaped, once or over again up to
// three times: as %XX, =XX, \xXX, \uXXXX, \101, \n and the like, as an HTML entity. The
// encodings, and a secret of at least 8 letters and digits, are found in any case, and
// with up to 32 characters that are neither letter nor digit between any two: broken
// into lines, as a list of bytes, with colons between.
//
// A secret shorter than 6 bytes is not searched in hex, base64, base32, decimal and UTF-16.
//
// Not found is what an upstream transforms in another way: encrypted, reversed, cut
// in pieces with text between, one of the encodings within another.
type Scrubber struct{ reveal func() *forbidden }

// NewScrubber compiles the secrets. Empty ones do not count.
func NewScrubber(secrets ...[]byte) *Scrubber {
	var f forms
	for _, s := range secrets {
		f.add(s)
	}
	return f.compile()
}

// NewPlainScrubber compiles secrets that are long, such as keys: each is found as it
// stands, or with its bytes escaped, but in no other encoding, which would cost a
// hundred times the memory.
func NewPlainScrubber(secrets ...[]byte) *Scrubber {
	return (&forms{exact: secrets}).compile()
}

// Format keeps the secrets out of every verb.
func (s *Scrubber) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[scrubber]") }

// MarshalText keeps them out of encoders and structured logs.
func (s *Scrubber) MarshalText() ([]byte, error) { return []byte("[scrubber]"), nil }

// String scrubs a whole text and says how many places it replaced.
func (s *Scrubber) String(text string) (string, int64) {
	f := s.reveal()
	if f.skip([]byte(text), 0) == len(text) {
		return text, 0
	}
	p := newPass(f)
	out := p.feed([]byte(text), true)
	if p.hits == 0 {
		return text, 0
	}
	return string(out), p.hits
}

// Reader scrubs a stream. Bytes are held back only while they may be the beginning of
// a secret, and dropped where the stream breaks off there.
func (s *Scrubber) Reader(r io.Reader) *ScrubReader {
	return &ScrubReader{source: r, pass: newPass(s.reveal())}
}

// ScrubReader is a scrubbed stream; see [Scrubber.Reader].
type ScrubReader struct {
	source io.Reader
	pass   *pass
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
			r.ready = r.pass.feed(p[:n], last)
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
func (r *ScrubReader) Redactions() int64 { return r.pass.hits }
