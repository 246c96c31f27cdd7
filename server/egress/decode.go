package egress

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
)

var (
	errCoding    = errors.New("the answer's content coding is not one that was asked for")
	errUpgrade   = errors.New("the upstream changed the protocol unasked")
	errCorrupt   = errors.New("the answer could not be decoded")
	errTooLong   = errors.New("the answer is longer than its limit")
	errInflation = errors.New("the answer grows too much when it is decoded")
	errBroken    = errors.New("the answer broke off")
)

// decoded gives the body as plain bytes, bounded. What it cannot decode it withholds:
// a secret in it could not be found.
func decoded(ctx context.Context, answer *http.Response, maxBytes int64) (io.Reader, error) {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return nil, answered(Withheld, errUpgrade)
	}
	raw := &wire{ctx: ctx, r: answer.Body}
	plain := io.Reader(raw)
	switch strings.ToLower(strings.Join(answer.Header.Values("Content-Encoding"), ",")) {
	case "", "identity":
	case "gzip", "x-gzip":
		plain = &unzip{raw: bufio.NewReader(raw)}
	default:
		return nil, answered(Withheld, errCoding)
	}
	return &bounded{r: plain, wire: raw, max: maxBytes}, nil
}

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
	if cause := w.ctx.Err(); cause != nil {
		return n, answered(TimedOut, cause)
	}
	return n, answered(Lost, errBroken)
}

// unzip decodes gzip. It begins at the first Read, so that the header of an answer
// need not wait for its body, and an empty body is no fault.
type unzip struct {
	raw *bufio.Reader
	gz  *gzip.Reader
}

func (u *unzip) Read(p []byte) (int, error) {
	if u.gz == nil {
		if _, err := u.raw.Peek(1); err != nil {
			return 0, err
		}
		gz, err := gzip.NewReader(u.raw)
		if err != nil {
			return 0, decodeError(err)
		}
		u.gz = gz
	}
	n, err := u.gz.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = decodeError(err)
	}
	return n, err
}

func decodeError(err error) error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return answered(Lost, errBroken)
	}
	return answered(Withheld, errCorrupt)
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
}

func (b *bounded) Read(p []byte) (int, error) {
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
