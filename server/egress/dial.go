package egress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
)

const (
	dialTimeout       = 5 * time.Second // name and TCP together
	handshakeTimeout  = 5 * time.Second
	idleTimeout       = 60 * time.Second
	maxIdlePerHost    = 128
	maxResponseHeader = 64 << 10
	pingAfter         = 15 * time.Second
)

var (
	errNoAnswer  = errors.New("the name has no address")
	errNoRoots   = errors.New("the connector's CA text holds no certificate")
	errOtherHost = errors.New("another host than the origin's was to be dialled")
	// Which address it is stands in the log alone: it is no business of a sandbox's.
	errAddress = errors.New("its name leads to an address that may not be reached")
)

// dialer makes the connections of one pool: to one origin, under one policy, showing
// one certificate or none.
type dialer struct {
	resolver Resolver
	origin   Origin
	policy   Policy
	via      route
	shows    *certificate // in the handshake; nil for none
	bundles  x509bundle.Source
	log      *slog.Logger
	now      func() time.Time
}

// dial resolves the name, judges every answer, and connects to the judged addresses
// in turn, or has the proxy connect to them. Between judging and connecting nothing is
// resolved again.
func (d *dialer) dial(ctx context.Context, _, hostPort string) (net.Conn, error) {
	if hostPort != d.origin.HostPort() {
		return nil, denied(errOtherHost)
	}
	within, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := lookup(within, d.resolver, d.origin.host)
	if err != nil {
		return nil, err
	}
	// One bad answer refuses all: a name that points inwards at all is not one to trust
	// with the outward half of its answers.
	for _, a := range addrs {
		if err := Judge(a, d.policy.AllowRanges); err != nil {
			d.log.WarnContext(ctx, "egress address refused", "host", d.origin.host, "reason", err.Error())
			return nil, denied(errAddress)
		}
	}
	if d.via.proxy != nil {
		return d.tunnel(ctx, addrs)
	}
	return d.connect(within, addrs)
}

// connect tries the addresses in order. Each gets its part of the time, so that a
// dead one does not use up that of the next.
func (d *dialer) connect(ctx context.Context, addrs []netip.Addr) (net.Conn, error) {
	nd := net.Dialer{
		Timeout:        max(dialTimeout/time.Duration(len(addrs)), time.Second),
		ControlContext: d.control,
	}
	var last error
	for _, a := range addrs {
		conn, err := nd.DialContext(ctx, "tcp", netip.AddrPortFrom(a.Unmap(), d.origin.port).String())
		if err == nil {
			return conn, nil
		}
		last = err
	}
	var own *Error
	if errors.As(last, &own) {
		return nil, own
	}
	return nil, &Error{Kind: Unreachable, cause: safeCause(last)}
}

// control runs on the socket just before it connects, and judges the address that the
// kernel is really given.
func (d *dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return denied(errOtherHost)
	}
	if Judge(to.Addr(), d.policy.AllowRanges) != nil {
		return denied(errAddress)
	}
	return nil
}

// transport is the one place where connections to upstreams are configured.
func (d *dialer) transport(now func() time.Time) (*http.Transport, error) {
	config, err := d.tlsConfig(now)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		Proxy:                  nil, // proxies are dial's, and the environment's do not count
		DialContext:            d.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // we decode ourselves, to know what came
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
	t.DialTLSContext = d.dialTLS(config)
	return t, nil
}
