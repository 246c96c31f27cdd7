package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Transport is an http.RoundTripper that takes the requests which any HTTP client or SDK
// makes for one upstream, and has the broker make them with the user's credential:
//
//	crm, err := c.Transport("crm", "https://crm.example")
//	if err != nil { … }
//	answer, err := (&http.Client{Transport: crm}).Get("https://crm.example/contacts/42")
//
// Method, path, query and body name one of the connector's tools and its arguments; what
// is none of them is refused, and everything is judged as Invoke judges it. Of the
// request's headers two are looked at: Content-Type, and Idempotency-Key, which becomes
// the call's (see WithIdempotencyKey). All others stay here, so whatever an SDK takes for
// its API key may be any text. Those that would change what the request means are
// refused, since to leave them out would change it too: Expect, Upgrade, Content-Encoding,
// Content-Range, If-Match, If-Unmodified-Since, the method overrides, and If-None-Match
// on anything but GET and HEAD.
//
// The answer streams. Its headers are those that the connector lets through, its
// Content-Type, and X-Onedoor-Invocation-Id; its body is decoded already, whatever coding
// the upstream chose. Reading the body ends in an error unless it was whole. A redirect is
// an answer without Location, which no client follows.
//
// Refusals and failures are errors that errors.As finds an *Error in, also through the
// *url.Error of an http.Client. What says that nothing was sent is tried again as Invoke
// does it; switch off what an SDK repeats by itself, for it repeats lost answers as well.
type Transport struct {
	client    *Client
	connector string
	origin    string
	linger    time.Duration // lingerTime
}

// Transport gives the RoundTripper for one connector. origin is that of the URLs which
// are asked for, https://HOST or https://HOST:PORT, as the HTTP client has it; a request
// for any other is refused and sent nowhere. Where the upstream really is, the connector
// says. The error is ErrNotConfigured.
func (c *Client) Transport(connector, origin string) (*Transport, error) {
	if connector == "" {
		return nil, fmt.Errorf("%w: a transport needs a connector's name", ErrNotConfigured)
	}
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("%w: origin: it is no URL", ErrNotConfigured) // the error would quote it
	}
	if originOf(u) == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fmt.Errorf("%w: origin: must be https://HOST or https://HOST:PORT and nothing more", ErrNotConfigured)
	}
	return &Transport{client: c, connector: connector, origin: originOf(u), linger: lingerTime}, nil
}

// originOf gives scheme, host and port in the one form in which they compare; "" where u
// has no origin of the web (RFC 6454, section 4).
func originOf(u *url.URL) string {
	port := u.Port()
	switch scheme := strings.ToLower(u.Scheme); {
	case u.Opaque != "" || u.Hostname() == "":
		return ""
	case scheme == "https" && port == "":
		port = "443"
	case scheme == "http" && port == "":
		port = "80"
	case scheme != "https" && scheme != "http":
		return ""
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := t.request(r)
	if err != nil {
		return nil, err
	}
	s, err := t.client.relay(r.Context(), request)
	if err != nil {
		return nil, err
	}
	return t.response(r, s)
}

// response is the answer as net/http has it.
func (t *Transport) response(r *http.Request, s *Stream) (*http.Response, error) {
	if s.Status < 100 || s.Status > 999 {
		s.Close()
		return nil, s.named(cut("it has no HTTP status"))
	}
	answer := &http.Response{
		Status: strings.TrimSpace(strconv.Itoa(s.Status) + " " + http.StatusText(s.Status)), StatusCode: s.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: -1, Request: r,
	}
	for name, value := range s.Headers {
		if !framing[http.CanonicalHeaderKey(name)] {
			answer.Header.Set(name, value)
		}
	}
	if s.ContentType != "" {
		answer.Header.Set("Content-Type", s.ContentType)
	}
	answer.Header.Set(invocationHeader, s.InvocationID)
	body := &relayedBody{stream: s, patience: t.linger}
	answer.Body = body
	if r.Method == http.MethodHead || s.Status == http.StatusNoContent || s.Status == http.StatusNotModified {
		// Nobody reads what cannot be there, so the end is waited for here.
		if err := body.expectNone(); err != nil {
			return nil, err
		}
		answer.Body, answer.ContentLength = http.NoBody, 0
	}
	return answer, nil
}

// invocationHeader names the invocation in an answer; an upstream cannot.
const invocationHeader = "X-Onedoor-Invocation-Id"

// framing are the headers that say how a body travelled. The body has arrived, decoded.
var framing = map[string]bool{
	"Content-Length": true, "Content-Encoding": true, "Transfer-Encoding": true, "Connection": true, "Trailer": true,
	invocationHeader: true,
}

// refuse makes the error of a request that goes nowhere. field names what is wrong in it.
func refuse(field, why string) *Error {
	return &Error{
		Reason: ArgumentInvalid, Metadata: map[string]string{"field": field}, code: codes.InvalidArgument,
		Message: field + ": " + why + "; nothing was sent",
	}
}
