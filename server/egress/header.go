package egress

import (
	"errors"
	"net/http"
	"strings"
)

// spelling brings a header's name to one form. Servers that hand headers to a program
// as environment variables take X_Forwarded_For for X-Forwarded-For.
func spelling(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// framing says where one message ends and whom it is for. These are net/http's to
// write, from the body and the origin.
var framing = set("host", "content-length", "connection", "keep-alive", "proxy-connection",
	"transfer-encoding", "te", "trailer", "upgrade", "http2-settings", "expect")

// refusedRequest are dropped from a request, beside framing and refusedPrefixes.
var refusedRequest = set(
	"authorization", "cookie", "cookie2", "txn-token", // authority, which only an Attachment brings
	"forwarded", "via", "x-real-ip", "true-client-ip", "client-ip", "x-client-ip", "cf-connecting-ip", "x-cluster-client-ip",
	"x-http-method", "x-http-method-override", "x-method-override", // another request than the one judged
	"x-original-url", "x-rewrite-url", "x-original-host", "x-host",
	"accept-encoding",   // ours: what we cannot decode we cannot scrub
	"range", "if-range", // a secret cut in two passes the scrubber
)

var refusedPrefixes = [...]string{"proxy-", "x-forwarded-", "x-onedoor-"}

// IsReserved reports whether no header of this name goes upstream but one that the broker
// sets by itself; see [Request.Header]. What only an Attachment brings, Authorization and
// Txn-Token, is not meant.
func IsReserved(name string) bool {
	s := spelling(name)
	return framing[s] || hasRefusedPrefix(s) || refusedRequest[s] && s != "authorization" && s != "txn-token"
}

// refusedResponse are dropped from an answer: what gives authority, and where to go
// next, which is never followed and may hold a secret. The last three describe a body
// that is no longer as it was sent.
var refusedResponse = set("set-cookie", "set-cookie2", "www-authenticate", "authentication-info",
	"location", "content-location", "refresh", "alt-svc", "content-encoding", "content-length", "accept-ranges")

var errHeader = errors.New("a header of the request is malformed")

// requestHeader gives what goes upstream. The order matters: first everything is
// dropped that may not pass, then ours is attached, so that no Connection header can
// name the credential away.
func requestHeader(from http.Header, at *attached) (http.Header, error) {
	ours := at.names()
	named := connectionNames(from)
	to := make(http.Header, len(from)+len(ours)+2)
	for name, values := range from {
		s := spelling(name)
		if framing[s] || refusedRequest[s] || hasRefusedPrefix(s) || named[s] || ours[s] {
			continue
		}
		if !isToken(name) {
			return nil, errHeader
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return nil, errHeader
			}
			to.Add(name, v)
		}
	}
	if to.Get("User-Agent") == "" {
		to.Set("User-Agent", "onedoor")
	}
	to.Set("Accept-Encoding", "gzip")
	at.setHeader(to)
	return to, nil
}

// names are the spellings of all headers that are attached.
func (at *attached) names() map[string]bool {
	names := make(map[string]bool, len(at.header)+len(at.plain))
	for _, header := range [...]http.Header{at.header, at.plain} {
		for name := range header {
			names[spelling(name)] = true
		}
	}
	return names
}

func (at *attached) setHeader(to http.Header) {
	for _, header := range [...]http.Header{at.plain, at.header} {
		for name, values := range header {
			to[name] = values
		}
	}
}

// responseHeader gives what may be shown of an answer's header, its values scrubbed and
// valid UTF-8, and the number of places replaced. A value may hold any byte from 0x80 on
// (RFC 9110, 5.5); protobuf does not carry those that are no UTF-8. Names are not scrubbed:
// whoever passes them on does so by a list of names known beforehand.
func responseHeader(from http.Header, at *attached) (http.Header, int64) {
	named := connectionNames(from)
	to := make(http.Header, len(from))
	var total int64
	for name, values := range from {
		s := spelling(name)
		if framing[s] || refusedResponse[s] || strings.HasPrefix(s, "proxy-") || named[s] {
			continue
		}
		for _, v := range values {
			clean, hits := at.scrub(v)
			to.Add(name, strings.ToValidUTF8(clean, "\ufffd"))
			total += hits
		}
	}
	return to, total
}

func hasRefusedPrefix(s string) bool {
	for _, p := range refusedPrefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// connectionNames gives the headers that the Connection header declares hop-by-hop.
func connectionNames(h http.Header) map[string]bool {
	var named map[string]bool
	for name, values := range h {
		if spelling(name) != "connection" {
			continue
		}
		for _, v := range values {
			for one := range strings.SplitSeq(v, ",") {
				if named == nil {
					named = map[string]bool{}
				}
				named[spelling(strings.TrimSpace(one))] = true
			}
		}
	}
	return named
}
