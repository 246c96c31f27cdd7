package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Proxy is an HTTP proxy of the customer's, through which connections go by CONNECT
// (RFC 9110, 9.3.6).
type Proxy struct {
	// Name is what the configuration calls it.
	Name    string
	Address ProxyAddress
	// For is whose connections go through it.
	For []Scope
	// SendName has CONNECT name the origin's host, and not the address that was judged:
	// the proxy then resolves the name once more, by itself.
	SendName bool
	// AllowRanges are where the proxy may stand beside public addresses; see [Judge]. They
	// say nothing of the upstreams behind it.
	AllowRanges []netip.Prefix
	// RootCAs are PEM certificates trusted for the connection to the proxy itself instead
	// of the system's. Empty: the system's.
	RootCAs []byte
	// Certificate is shown to the proxy; zero for none.
	Certificate Certificate
	// Authenticates says that the proxy demands a secret: without it nothing goes there.
	Authenticates bool
	// InspectionCAs are PEM certificates trusted for upstreams beside those that the policy
	// trusts, in connections of Inspects alone and through this proxy alone: whoever holds
	// their keys reads all that is sent there.
	InspectionCAs []byte
	Inspects      []Scope

	tls *tls.Config // for https, made by NewRouting
}

// ProxySecrets gives what proves the broker to a proxy.
type ProxySecrets interface {
	// ProxySecret gives an Attachment that holds Proxy-Authorization and the scrubbers
	// that find it, and the name of its version: connections made under one version are
	// not used under another. Its error is [ErrNoProxySecret] where none is stored.
	ProxySecret(ctx context.Context, proxy string) (Attachment, string, error)
}

// ErrNoProxySecret says that what a proxy demands is not there.
var ErrNoProxySecret = errors.New("the secret of the proxy on the way is not stored, or was put for another address of it: " +
	"an operator puts it, onedoor credential put proxy/NAME --workspace --from-file FILE")

// ProxyAddress is where a proxy listens. The zero ProxyAddress is none.
type ProxyAddress struct {
	tls     bool
	host    string     // a name, or an address as netip writes it
	literal netip.Addr // the address, where host is one
	port    uint16
}

var errProxyURL = errors.New("want http://HOST:PORT or https://HOST:PORT, HOST a name or an IP address, " +
	"and nothing else: no user, no password, no path")

// ParseProxyAddress reads "http://host:port" or "https://host:port". The port is always
// written, since clients do not agree on a default. An address in brackets is IPv6. The
// error does not repeat the text, which may hold a password.
func ParseProxyAddress(s string) (ProxyAddress, error) {
	at := ProxyAddress{}
	kind, rest, _ := strings.Cut(s, "://")
	switch kind {
	case "https":
		at.tls = true
	case "http":
	default:
		return ProxyAddress{}, errProxyURL
	}
	split := strings.LastIndexByte(rest, ':')
	if split < 0 {
		return ProxyAddress{}, errProxyURL
	}
	port, err := strconv.ParseUint(rest[split+1:], 10, 16)
	if err != nil || port == 0 || strconv.FormatUint(port, 10) != rest[split+1:] {
		return ProxyAddress{}, errProxyURL
	}
	at.port = uint16(port)
	host := lowerASCII(rest[:split])
	if checkHost(host) == nil {
		at.host = host
		return at, nil
	}
	bare, bracketed := strings.CutPrefix(host, "[")
	bare, closed := strings.CutSuffix(bare, "]")
	literal, err := netip.ParseAddr(bare)
	if err != nil || bracketed != closed || literal.Is4() == bracketed || literal.Zone() != "" || literal.Is4In6() || literal.String() != bare {
		return ProxyAddress{}, errProxyURL
	}
	at.host, at.literal = bare, literal
	return at, nil
}

// String gives the text in its one spelling; empty for the zero ProxyAddress.
func (a ProxyAddress) String() string {
	if a.host == "" {
		return ""
	}
	host, scheme := a.host, "http://"
	if a.literal.Is6() {
		host = "[" + host + "]"
	}
	if a.tls {
		scheme = "https://"
	}
	return scheme + host + ":" + strconv.Itoa(int(a.port))
}

// IsTLS reports whether the proxy is spoken to in TLS.
func (a ProxyAddress) IsTLS() bool { return a.tls }

// LookupNetIP makes the address of a proxy that is written as one its own resolver.
func (a ProxyAddress) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{a.literal}, nil
}

var errProxyRoots = errors.New("holds no certificate")

// ready makes what every connection to the proxy needs.
func (p *Proxy) ready() error {
	if len(p.InspectionCAs) > 0 && !x509.NewCertPool().AppendCertsFromPEM(p.InspectionCAs) {
		return errors.New("inspects.ca_file: " + errProxyRoots.Error())
	}
	if !p.Address.tls {
		return nil
	}
	p.tls = &tls.Config{
		ServerName: p.Address.host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error { return anyStrong(state.VerifiedChains) },
	}
	if len(p.RootCAs) > 0 {
		p.tls.RootCAs = x509.NewCertPool()
		if !p.tls.RootCAs.AppendCertsFromPEM(p.RootCAs) {
			return errors.New("ca_file: " + errProxyRoots.Error())
		}
	}
	if p.Certificate.reveal != nil {
		p.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &p.Certificate.reveal().pair, nil
		}
	}
	return nil
}
