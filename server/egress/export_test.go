package egress

import (
	"context"
	"net"
	"net/url"
)

// ControlSocket runs what runs on a socket just before it connects.
func ControlSocket(ctx context.Context, p Policy, address string) error {
	return (&dialer{policy: p}).control(ctx, "tcp", address, nil)
}

// DialOther asks the dialer of origin for a connection to another place.
func DialOther(ctx context.Context, r Resolver, o Origin, p Policy, hostPort string) (net.Conn, error) {
	return (&dialer{resolver: r, origin: o, policy: p}).dial(ctx, "tcp", hostPort)
}

// Target builds a request's URL.
func Target(r *Request) (*url.URL, error) { return target(r, &attached{}) }
