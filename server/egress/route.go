package egress

import (
	"context"
	"errors"
	"log/slog"
	"slices"
)

// route is how one exchange leaves: directly, or through a proxy.
type route struct {
	proxy *Proxy // nil: directly
	// authorization proves the broker to the proxy; zero where it does not ask.
	authorization Attachment
	version       string // of the authorization
	// inspected connections may be ended by the proxy, under its own certificates.
	inspected bool
}

// routeID tells the pools of different routes apart.
type routeID struct{ proxy, version string }

func (r route) id() routeID {
	if r.proxy == nil {
		return routeID{}
	}
	return routeID{r.proxy.Name, r.version}
}

var (
	errProxySecret = errors.New("the secret of the proxy on the way cannot be read now")
	errInspected   = errors.New("a proxy inspects this connection, and can pass on neither a client certificate nor the upstream's SPIFFE ID: " +
		"the operator takes the connector out of its inspects.connectors")
	errProxyHeader = errors.New("attachment: what a proxy is told goes to no upstream")
)

// route finds the way of an exchange. Whatever is missing for it is an error, and never a
// reason to go directly; the route beside it says no more than through which proxy it was.
func (d *Door) route(ctx context.Context, key PoolKey, policy Policy, to Origin, shows *certificate) (route, *Error) {
	p := d.options.Routing.find(key, to)
	if p == nil {
		return route{}, nil
	}
	r := route{proxy: p, inspected: slices.Contains(p.Inspects, scopeOf(key))}
	if r.inspected && (shows != nil || !policy.ServerID.IsZero()) {
		return r, denied(errInspected)
	}
	if p.Authenticates {
		if err := d.authorize(ctx, &r); err != nil {
			d.options.Log.WarnContext(ctx, "egress proxy not used", "proxy", p.Name, "reason", err.Error())
			return r, err
		}
	}
	if d.options.Log.Enabled(ctx, slog.LevelDebug) {
		d.options.Log.DebugContext(ctx, "egress through a proxy", "proxy", p.Name, "workspace", key.Workspace, "connector", key.Connector, "host", to.host)
	}
	return r, nil
}

// failed names the proxy of the route in an error of an exchange that was to take it.
func (r route) failed(e *Error) *Error {
	if r.proxy != nil {
		e.Proxy = r.proxy.Name
	}
	return e
}

func (d *Door) authorize(ctx context.Context, r *route) *Error {
	if d.options.ProxySecrets == nil {
		return atProxy(Denied, ErrNoProxySecret)
	}
	given, version, err := d.options.ProxySecrets.ProxySecret(ctx, r.proxy.Name)
	switch {
	case errors.Is(err, ErrNoProxySecret):
		return atProxy(Denied, ErrNoProxySecret)
	case err != nil: // its text may hold anything
		return atProxy(Unreachable, errProxySecret)
	case given.reveal == nil || version == "" || !given.reveal().knows(given.reveal().header[proxyAuthorization]):
		return denied(errUnscrubbed)
	}
	r.authorization, r.version = given, version
	return nil
}

const proxyAuthorization = "Proxy-Authorization"

// header is the value of Proxy-Authorization; empty where none is sent.
func (r route) header() string {
	if r.authorization.reveal == nil {
		return ""
	}
	return r.authorization.reveal().header.Get(proxyAuthorization)
}

// watch has an answer searched for the proxy's secret too: what it gives is for the answer
// alone. What is attached may be shared between requests, so it stays as it is.
func (r route) watch(at *attached) *attached {
	if r.authorization.reveal == nil {
		return at
	}
	return &attached{scrubbers: slices.Concat(at.scrubbers, r.authorization.reveal().scrubbers)}
}
