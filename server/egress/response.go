package egress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// Response is an upstream's answer, cleaned: decoded, limited and scrubbed.
type Response struct {
	// Status is the upstream's own, redirects and errors included.
	Status int
	// Header holds what may be shown. Set-Cookie, Location, challenges and whatever
	// describes the connection are gone; secrets in values are replaced.
	Header http.Header
	// ContentType is the scrubbed Content-Type.
	ContentType string
	// Body must be closed. Its errors are *[Error].
	Body io.ReadCloser

	inHeader int64
	inBody   []*ScrubReader
	size     int64 // what the upstream announced; -1: nothing
}

// Redactions says how many places were replaced: in the header, and in what was read
// of the body so far.
func (r *Response) Redactions() int64 {
	total := r.inHeader
	for _, s := range r.inBody {
		total += s.Redactions()
	}
	return total
}

// maxGuess bounds the memory taken on the word of a Content-Length.
const maxGuess = 64 << 10

// Bytes reads the whole body and closes it. On an error it returns nothing of it.
func (r *Response) Bytes() ([]byte, error) {
	defer func() { _ = r.Body.Close() }()
	var b bytes.Buffer
	b.Grow(int(max(0, min(r.size, maxGuess))) + bytes.MinRead)
	if _, err := b.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// errStatus is for what net/http takes for an answer and is none (RFC 9110, 15): who hands
// it on to a server of net/http would have that one panic.
var errStatus = errors.New("the status of the answer is not one of a final answer")

func newResponse(ctx context.Context, cancel context.CancelFunc, answer *http.Response, at *attached, lim Limits) (*Response, error) {
	closer := func() error {
		defer cancel()
		return answer.Body.Close()
	}
	reader, err := decoded(ctx, answer, lim.MaxResponseBytes)
	if err == nil && answer.StatusCode < http.StatusOK {
		err = answered(Lost, errStatus)
	}
	if err != nil {
		_ = closer()
		return nil, err
	}
	r := &Response{Status: answer.StatusCode, size: answer.ContentLength}
	r.Header, r.inHeader = responseHeader(answer.Header, at)
	r.ContentType = r.Header.Get("Content-Type")
	for _, s := range at.scrubbers {
		scrubbed := s.Reader(reader)
		r.inBody = append(r.inBody, scrubbed)
		reader = scrubbed
	}
	r.Body = body{reader, closer}
	return r, nil
}

type body struct {
	io.Reader
	close func() error
}

// Close ends the exchange. It says nothing of how the connection ended: the answer, if
// it was read to its end, is complete.
func (b body) Close() error {
	_ = b.close()
	return nil
}
