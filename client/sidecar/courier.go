package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/onedoor/onedoor/client"
)

const (
	// maxCalls is how many calls go on at once: fewer than the streams that the broker
	// allows on a connection (250).
	maxCalls = 200
	// maxTries bounds how often one call is tried of which nothing was begun.
	maxTries = 3
	// maxPeek is the longest refusal that is looked into, in bytes.
	maxPeek = 16 << 10
)

var (
	errBusy    = errors.New("too many calls at once")
	errBodyCut = errors.New("the request's body ended too early")
)

// courier carries requests to the broker: an http.RoundTripper that knows of each failure
// whether the request was sent.
type courier struct {
	pool  *pool
	calls chan struct{} // places
}

// RoundTrip makes a call, and makes it again where the broker provably has not begun
// with it and the body can be sent again.
func (c *courier) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case c.calls <- struct{}{}:
	default:
		return nil, errBusy
	}
	response, err := c.try(r)
	if err != nil {
		<-c.calls
		return nil, err
	}
	response.Body = &counted{ReadCloser: response.Body, left: c.calls}
	return response, nil
}

func (c *courier) try(r *http.Request) (*http.Response, error) {
	body := newReplay(r.Body)
	var response *http.Response
	var err error
	for n := 1; ; n++ {
		next, there := body.next()
		if !there {
			return response, err // of the try before
		}
		if response != nil {
			_ = response.Body.Close()
		}
		var used *link
		response, used, err = c.once(r, next)
		if body.failed() != nil && err != nil {
			return nil, errBodyCut
		}
		if n == maxTries || !again(response, err) {
			return response, err
		}
		c.pool.retire(used)
	}
}

// again reports whether the call was not begun, over a connection that is of no more use.
func again(response *http.Response, err error) bool {
	var nothing *unsent
	if errors.As(err, &nothing) {
		return nothing.mayMend
	}
	return err == nil && hasExpired(response)
}

// once makes one attempt. used is the connection over which it went.
func (c *courier) once(r *http.Request, body io.ReadCloser) (response *http.Response, used *link, err error) {
	ctx := r.Context()
	l, err := c.pool.acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	var left atomic.Bool // before the first byte of the request, never after
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { left.Store(true) }})
	request := r.WithContext(traced)
	request.Body = body
	response, err = l.cc.RoundTrip(request)
	switch {
	case err == nil:
		return response, l, nil
	case ctx.Err() != nil:
		return nil, l, context.Cause(ctx)
	case isUnbegun(err):
		return nil, l, &unsent{cause: err, mayMend: true}
	case !left.Load():
		return nil, l, &unsent{cause: err}
	}
	return nil, l, fmt.Errorf("after the request had left: %w", err)
}

// hasExpired reports whether the broker refuses the SVID of the connection as one that has
// run out: nothing happened, and another connection has the new one.
func hasExpired(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	if response.Header.Get("X-Onedoor-Invocation-Id") != "" {
		return false // the call was made, and what it says are perhaps the upstream's own words
	}
	if reason := response.Header.Get("X-Onedoor-Reason"); reason != "" {
		return reason == string(client.SVIDExpired)
	}
	if media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || media != "application/json" ||
		response.ContentLength < 0 || response.ContentLength > maxPeek {
		return false
	}
	text, err := io.ReadAll(response.Body)
	response.Body = &peeked{Reader: io.MultiReader(bytes.NewReader(text), failing{err}), Closer: response.Body}
	var status struct {
		Details []errorInfo `json:"details"`
	}
	if err != nil || json.Unmarshal(text, &status) != nil {
		return false
	}
	for _, d := range status.Details {
		if strings.HasSuffix(d.Type, "/google.rpc.ErrorInfo") && d.Domain == brokerDomain {
			return d.Reason == string(client.SVIDExpired)
		}
	}
	return false
}

// peeked is a body whose beginning was read already.
type peeked struct {
	io.Reader
	io.Closer
}

// failing ends a reader with an error; with none, as any reader ends.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// counted gives a call's place back when its answer is closed.
type counted struct {
	io.ReadCloser
	left   <-chan struct{}
	closed atomic.Bool
}

// Close ends the call.
func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		<-c.left
	}
	return c.ReadCloser.Close()
}
