package assertion

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// streamed is the value of tctx.body for a body that the broker relays as it comes.
const streamed = "stream"

// checkRequest compares the claims with the request that carries them.
func (o *Options) checkRequest(c *Claims, r *http.Request) error {
	if c.Method == "" || c.Method != r.Method {
		return refuse(MethodWrong, "htm is not "+r.Method)
	}
	path, query := target(r)
	if err := o.checkURI(c.URI, r, path); err != nil {
		return err
	}
	if err := checkQuery(c.Context.QuerySHA256, query); err != nil {
		return err
	}
	return o.checkBody(c, r)
}

// target gives path and query as they came over the wire: a router in front of this may
// have changed r.URL.
func target(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") { // absolute form, or a request that came over no wire
		uri = r.URL.RequestURI()
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

func (o *Options) checkURI(claimed string, r *http.Request, path string) error {
	origin := o.Origin
	if origin == "" {
		origin = "http://" + r.Host
		if r.TLS != nil {
			origin = "https://" + r.Host
		}
	}
	want, err := canonical(strings.TrimSuffix(origin, "/") + path)
	if err != nil {
		return refuse(URIWrong, "the request's own target is no URI")
	}
	if got, err := canonical(claimed); err != nil || got != want {
		return refuse(URIWrong, "htu is not the request's target")
	}
	return nil
}

var errNoTarget = errors.New("not an absolute http URL without user, query and fragment")

// canonical does of RFC 3986 section 6.2 what changes no meaning: case of scheme and
// host, the default port, an empty path. The path is otherwise compared byte by byte: a
// router may tell apart what normalisation would make one.
func canonical(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(text, "?#") {
		return "", errNoTarget
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r == '%' || r > unicode.MaxASCII }) {
		return "", errNoTarget // a zone, or a name that goes over the wire as punycode
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme] // Parse has lowered it
	if port == "" {
		return "", errNoTarget
	}
	host := strings.ToLower(u.Hostname())
	if u.Port() != "" {
		port = u.Port()
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port) + path, nil
}

// checkQuery demands a hash wherever there is a query, so that none can be added.
func checkQuery(claimed, query string) error {
	if claimed == "" && query == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(query))
	if !equal(claimed, base64.RawURLEncoding.EncodeToString(sum[:])) {
		return refuse(QueryWrong, "tctx.query_sha256 is not that of the request's query")
	}
	return nil
}

// checkBody compares the digest and puts the body back.
func (o *Options) checkBody(c *Claims, r *http.Request) error {
	switch {
	case c.Context.Body == streamed && c.Context.ContentDigest == "":
		return nil
	case c.Context.Body != "":
		return refuse(DigestWrong, `tctx.body is not "stream" without a digest`)
	case c.Context.ContentDigest == "":
		return refuse(DigestMissing, `neither tctx.content_digest nor tctx.body "stream"`)
	}
	var content []byte
	if r.Body != nil {
		var err error
		content, err = io.ReadAll(io.LimitReader(r.Body, o.MaxBody+1))
		if err != nil {
			return refuseFor(BodyUnreadable, "the body ended early", err)
		}
		if int64(len(content)) > o.MaxBody {
			return refuse(BodyTooLarge, "the body is larger than this service reads")
		}
		r.Body = &restored{bytes.NewReader(content), r.Body}
	}
	sum := sha256.Sum256(content)
	if !equal(c.Context.ContentDigest, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":") {
		return refuse(DigestWrong, "the body is not the one that the assertion was made for")
	}
	return nil
}

// restored gives a body again from memory and closes the one that it came from.
type restored struct {
	io.Reader
	io.Closer
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
