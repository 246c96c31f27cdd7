package sidecar

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard keeps web pages out, whose browser runs on the same machine: a page of a foreign
// origin, and one that has had its own name point to loopback (DNS rebinding; the MCP
// specification, Streamable HTTP, "Security Warning", asks for both).
type guard struct {
	isSocket bool // no browser speaks to one, and clients name anything
	allowed  []string
}

// judge gives the refusal; nil means come in.
func (g guard) judge(r *http.Request) *answer {
	if !g.knows(r.Host) {
		return &answer{status: http.StatusForbidden, reason: reasonHost,
			message: "the Host header must be a loopback address or localhost: use http://127.0.0.1:PORT"}
	}
	origins := r.Header.Values("Origin")
	for _, origin := range origins {
		if !g.trusts(origin) {
			return &answer{status: http.StatusForbidden, reason: reasonOrigin,
				message: "requests of web pages (header Origin) are refused; --allow-origin lets one in"}
		}
	}
	// A picture or a link of a page carries no Origin, but browsers say what it is.
	if site := r.Header.Get("Sec-Fetch-Site"); len(origins) == 0 && (site == "cross-site" || site == "same-site") {
		return &answer{status: http.StatusForbidden, reason: reasonOrigin, message: "requests of web pages (header Sec-Fetch-Site) are refused"}
	}
	return nil
}

// knows reports whether host is a name under which we are reached.
func (g guard) knows(host string) bool {
	if g.isSocket && (host == "" || host == "unix") {
		return true
	}
	return isLoopback(host)
}

// trusts reports whether pages of an origin may call.
func (g guard) trusts(origin string) bool {
	if slices.Contains(g.allowed, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && origin == u.Scheme+"://"+u.Host && isLoopback(u.Host)
}

// isLoopback reports whether HOST or HOST:PORT is this machine, in a form that cannot be
// anything else's name.
func isLoopback(hostport string) bool {
	host := hostport
	if h, port, err := net.SplitHostPort(hostport); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() && address.Zone() == ""
}
