package egress

import (
	"fmt"
	"slices"
)

// Routing says which connections go through which proxy. Those that it sends to none go
// directly; there is no way from the one to the other when a proxy fails.
type Routing struct {
	proxies []*Proxy
	scopes  map[Scope]*Proxy
	except  []Exception
}

// NewRouting holds the proxies against each other. Two for the same scope are refused,
// as are connections to be inspected by a proxy through which they do not go.
func NewRouting(proxies []Proxy, except []Exception) (*Routing, error) {
	r := &Routing{scopes: map[Scope]*Proxy{}, except: slices.Clone(except)}
	for i := range proxies {
		p := proxies[i]
		if err := p.ready(); err != nil {
			return nil, fmt.Errorf("proxy %s: %w", p.Name, err)
		}
		for _, s := range p.For {
			if other := r.scopes[s]; other != nil {
				return nil, fmt.Errorf("proxy %s: for: %s goes through %s already", p.Name, s, other.Name)
			}
			r.scopes[s] = &p
		}
		r.proxies = append(r.proxies, &p)
	}
	for _, p := range r.proxies {
		for _, s := range p.Inspects {
			if !s.isConnector() {
				return nil, fmt.Errorf("proxy %s: inspects.connectors: %s: want WORKSPACE/CONNECTOR, each by its name", p.Name, s)
			}
			if r.through(s) != p {
				return nil, fmt.Errorf("proxy %s: inspects.connectors: %s does not go through it", p.Name, s)
			}
		}
	}
	return r, nil
}

// find gives the proxy through which connections of a key go to an origin; nil for none.
func (r *Routing) find(key PoolKey, to Origin) *Proxy {
	if r == nil || slices.ContainsFunc(r.except, func(e Exception) bool { return e.matches(to) }) {
		return nil
	}
	return r.through(scopeOf(key))
}

// through lets the most specific scope win.
func (r *Routing) through(s Scope) *Proxy {
	for _, scope := range [...]Scope{s, {s.workspace, anyName}, {anyName, anyName}} {
		if p := r.scopes[scope]; p != nil {
			return p
		}
	}
	return nil
}
