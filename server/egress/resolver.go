package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Resolver gives the addresses of a name; [net.Resolver] is one. It is asked for the
// name with a dot at its end: that is the whole name, to which no search domain is
// added (RFC 1034, 3.1).
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// serverTimeout is how long a DNS server may take while there is another one to ask.
const serverTimeout = 2 * time.Second

// servers are DNS servers, asked one after the other.
type servers []*net.Resolver

// NewResolver makes a Resolver that asks the given DNS servers, over UDP and where an
// answer does not fit over TCP; without any, those of /etc/resolv.conf. The next one is
// asked where one gives no answer, not where one says that the name does not exist.
//
// It is Go's own resolver in every case, so that a name means the same whether or not
// the program is linked with the C library, whose plug-ins can look anywhere: the
// machine's /etc/hosts, which it reads for names of two labels and more when they end in
// a dot, then unicast DNS.
func NewResolver(addrs ...netip.AddrPort) Resolver {
	if len(addrs) == 0 {
		return &net.Resolver{PreferGo: true}
	}
	var list servers
	for _, addr := range addrs {
		list = append(list, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr.String())
		}})
	}
	return list
}

// LookupNetIP asks.
func (s servers) LookupNetIP(ctx context.Context, network, host string) (addrs []netip.Addr, err error) {
	last := len(s) - 1
	for _, one := range s[:last] {
		addrs, err = within(ctx, one, network, host)
		if err == nil || isNoName(err) || ctx.Err() != nil {
			return addrs, err
		}
	}
	return s[last].LookupNetIP(ctx, network, host)
}

func within(ctx context.Context, r *net.Resolver, network, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	return r.LookupNetIP(ctx, network, host)
}

// isNoName reports whether err is the answer that there is no such name.
func isNoName(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// localhost is what the names of this machine mean, whatever a file or a server says.
var localhost = netip.MustParseAddr("127.0.0.1")

// lookup finds the addresses of a host. Its errors are *[Error].
func lookup(ctx context.Context, r Resolver, host string) ([]netip.Addr, error) {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, 6.3
		return []netip.Addr{localhost}, nil
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host+".")
	if err != nil {
		return nil, &Error{Kind: Unreachable, cause: safeCause(err)}
	}
	if len(addrs) == 0 {
		return nil, &Error{Kind: Unreachable, cause: errNoAnswer}
	}
	return addrs, nil
}
