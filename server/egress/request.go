package egress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Request is one call as it was judged: what stands here is what is sent.
type Request struct {
	// Method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.
	Method string
	// Origin is where it goes, and all that says so.
	Origin Origin
	// Path is escaped and begins with "/". It holds no "." or ".." segment.
	Path string
	// Query is encoded, without "?".
	Query string
	// Header is cleaned before it is sent: nothing in it frames, routes or authorises.
	Header http.Header
	Body   []byte
}

var methods = set("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

var (
	errMethod = errors.New("the method is not one that is sent")
	errOrigin = errors.New("the request has no origin")
	errPath   = errors.New("the path does not read back as it was written")
	errQuery  = errors.New("the query does not read back as it was written")
	errURL    = errors.New("the URL does not read back as it was written")
)

// build makes the one request that goes out.
func build(ctx context.Context, req *Request, at *attached) (*http.Request, error) {
	if !methods[req.Method] {
		return nil, denied(errMethod)
	}
	u, err := target(req, at)
	if err != nil {
		return nil, denied(err)
	}
	header, err := requestHeader(req.Header, at)
	if err != nil {
		return nil, denied(err)
	}
	out := (&http.Request{
		Method: req.Method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(req.Body) == 0 {
		out.Body = http.NoBody
		return out, nil
	}
	// GetBody lets net/http send again what it had not begun to send; see Door.Do.
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(req.Body)), nil }
	out.Body, _ = out.GetBody()
	out.ContentLength = int64(len(req.Body))
	return out, nil
}

// target builds the URL from the origin, the path and the query alone, and reads it
// back: whatever two parsers might take differently is refused.
func target(req *Request, at *attached) (*url.URL, error) {
	if req.Origin.host == "" {
		return nil, errOrigin
	}
	if !strings.HasPrefix(req.Path, "/") || !isPlainPath(req.Path) {
		return nil, errPath
	}
	if !isPlainQuery(req.Query) {
		return nil, errQuery
	}
	query := req.Query
	if len(at.query) > 0 {
		if query != "" {
			query += "&"
		}
		query += at.query.Encode()
	}
	authority := req.Origin.authority()
	text := scheme + authority + req.Path
	if query != "" {
		text += "?" + query
	}
	u, err := url.Parse(text)
	if err != nil { // its text holds the query
		return nil, errURL
	}
	if u.Scheme != "https" || u.Host != authority || u.User != nil || u.RawQuery != query || u.String() != text {
		return nil, errURL
	}
	return u, nil
}

// isPlainPath and isPlainQuery refuse what one server reads otherwise than another.
func isPlainPath(s string) bool {
	return !strings.HasPrefix(s, "//") && isVisible(s, `?#\`) && !hasDotSegment(s)
}

func isPlainQuery(s string) bool { return isVisible(s, `#\`) }

// isVisible reports whether s is printable ASCII without spaces and without any of
// the given bytes.
func isVisible(s, without string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(without, c) >= 0 {
			return false
		}
	}
	return true
}

var dotsAndSlashes = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/")

// hasDotSegment finds "." and ".." as any server may read them: with dots or slashes
// escaped, and with parameters behind a semicolon.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(dotsAndSlashes.Replace(path), "/") {
		segment, _, _ = strings.Cut(segment, ";")
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
