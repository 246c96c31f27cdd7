package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
)

var (
	errCoding    = errors.New("the answer's content coding is not one that can be decoded")
	errUpgrade   = errors.New("the upstream changed the protocol unasked")
	errPart      = errors.New("the upstream sent a part of its answer unasked")
	errCorrupt   = errors.New("the answer could not be decoded")
	errTooLong   = errors.New("the answer is longer than its limit")
	errInflation = errors.New("the answer grows too much when it is decoded")
	errBroken    = errors.New("the answer broke off")
)

// decoded gives the body as plain bytes, bounded. What it cannot decode it withholds:
// a secret in it could not be found.
func decoded(ctx context.Context, answer *http.Response, maxBytes int64) (io.Reader, error) {
	switch {
	case answer.StatusCode == http.StatusSwitchingProtocols:
		return nil, answered(Withheld, errUpgrade)
	case isPart(answer):
		return nil, answered(Withheld, errPart)
	}
	raw := &wire{ctx: ctx, r: answer.Body}
	layers, err := codings(answer.Header)
	switch {
	case !hasBody(answer): // whatever the header describes, it is not here
		return strings.NewReader(""), nil
	case err != nil:
		return nil, err
	case len(layers) == 0:
		return &bounded{r: raw, wire: raw, max: maxBytes}, nil
	}
	// What decodes to nothing, such as a thousand empty members, is bounded as it comes.
	plain := &bounded{r: raw, wire: raw, max: withSlack(maxBytes)}
	for _, open := range slices.Backward(layers) {
		plain = &bounded{r: &layer{from: plain, raw: bufio.NewReader(plain), open: open}, wire: raw, max: maxBytes}
	}
	return plain, nil
}

// isPart finds an answer that was cut by bytes (RFC 9110, 15.3.7), and with it perhaps a
// secret. A range was not asked for. Ranges of rows or items are no such thing: several
// APIs page so.
func isPart(answer *http.Response) bool {
	kind, _, _ := strings.Cut(strings.ToLower(answer.Header.Get("Content-Type")), ";")
	unit, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(answer.Header.Get("Content-Range"))), " ")
	return answer.StatusCode == http.StatusPartialContent && (unit == "bytes" || strings.TrimSpace(kind) == "multipart/byteranges")
}

// hasBody leaves out the answers that have none by their kind (RFC 9110, 6.4.1).
func hasBody(answer *http.Response) bool {
	switch {
	case answer.Body == http.NoBody, answer.ContentLength == 0,
		answer.StatusCode == http.StatusNoContent, answer.StatusCode == http.StatusNotModified,
		answer.Request != nil && answer.Request.Method == http.MethodHead:
		return false
	}
	return true
}

// slack is how much longer an answer may be coded than decoded, in bytes.
const slack = 64 << 10

func withSlack(limit int64) int64 { return limit + min(slack, math.MaxInt64-limit) }

// wire is the body as it comes. It counts, and turns net/http's errors into ours.
type wire struct {
	ctx  context.Context
	r    io.Reader
	read int64
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.read += int64(n)
	// An end that comes after ours is no end: giving up tells the upstream first (TLS
	// says goodbye before TCP closes), and many then end their answer in good form.
	if err == nil || err == io.EOF && w.ctx.Err() == nil {
		return n, err
	}
	if cause := whyEnded(w.ctx); cause != nil {
		return n, answered(TimedOut, cause)
	}
	return n, answered(Lost, errBroken)
}

// An answer may always grow to freeInflation; beyond, to maxInflation times what came
// over the wire. JSON seldom shrinks to less than a thirtieth; a bomb to a thousandth.
const (
	freeInflation = 1 << 20
	maxInflation  = 100
)

// bounded ends with TooLarge where more than max bytes come.
type bounded struct {
	r    io.Reader
	wire *wire
	max  int64
	read int64
	err  error // for good: some decoders ask again
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.next(p)
	b.err = err
	return n, err
}

func (b *bounded) next(p []byte) (int, error) {
	left := b.max - b.read
	if int64(len(p))-1 > left { // one byte more tells "just full" from "too long"
		p = p[:left+1]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	if b.read > b.max {
		b.read = b.max
		return int(left), answered(TooLarge, errTooLong)
	}
	if b.read > freeInflation && b.read > maxInflation*b.wire.read {
		return n, answered(TooLarge, errInflation)
	}
	return n, err
}
