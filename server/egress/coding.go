package egress

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// maxLayers bounds how many codings may lie one over another.
const maxLayers = 3

// maxWindow bounds the memory of a zstd decoder (RFC 9659: 8 MiB). Brotli's is bounded by
// its format to 16 MiB, that of gzip and deflate to 32 KiB.
const maxWindow = 8 << 20

// opener begins to decode.
type opener func(*bufio.Reader) (io.Reader, error)

// openers are the content codings that can be decoded (RFC 9110, 8.4.1). Only gzip is
// asked for; servers send the others unasked.
var openers = map[string]opener{
	"gzip": openGzip, "x-gzip": openGzip, "deflate": openDeflate, "br": openBrotli, "zstd": openZstd,
}

// codings reads which were applied, in their order.
func codings(h http.Header) ([]opener, error) {
	var list []opener
	for _, value := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			if name == "" || name == "identity" {
				continue
			}
			open, ok := openers[name]
			if !ok || len(list) == maxLayers {
				return nil, answered(Withheld, errCoding)
			}
			list = append(list, open)
		}
	}
	return list, nil
}

func openGzip(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }

func openBrotli(r *bufio.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }

// openDeflate reads what RFC 9110 calls deflate, which is zlib's format, and what some
// servers send under the name, which is DEFLATE without it.
func openDeflate(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(2)
	if err != nil {
		return nil, err
	}
	const method, window, check = 8, 7, 31 // RFC 1950, 2.2
	if head[0]&0xf == method && head[0]>>4 <= window && (int(head[0])<<8+int(head[1]))%check == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// openZstd decodes in the reader's own goroutine: none is left behind where the answer is
// not read to its end.
func openZstd(r *bufio.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

// layer undoes one coding. It begins at the first Read, so that the header of an answer
// need not wait for its body, and an empty body is no fault.
type layer struct {
	from  *bounded
	raw   *bufio.Reader // reads from
	open  opener
	plain io.Reader
}

// Read gives what is decoded so far. Bytes behind the end are no part of the coding: what
// they are cannot be told.
func (l *layer) Read(p []byte) (int, error) {
	if l.plain == nil {
		if _, err := l.raw.Peek(1); err != nil {
			return 0, err
		}
		plain, err := l.open(l.raw)
		if err != nil {
			return 0, l.fault(err)
		}
		l.plain = plain
	}
	n, err := l.plain.Read(p)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return n, l.fault(err)
	}
	if _, err = l.raw.Peek(1); err == nil {
		return n, answered(Withheld, errCorrupt)
	}
	return n, err
}

// fault gives an error of decoding its kind. What was read from may have ended by a fault
// that the decoder keeps to itself.
func (l *layer) fault(err error) error {
	var own *Error
	switch {
	case errors.As(l.from.err, &own):
		return own
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return answered(Lost, errBroken)
	}
	return answered(Withheld, errCorrupt)
}
