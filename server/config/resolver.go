package config

import (
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// DNSServer is the address of a DNS server: an IP address, since no name can be looked
// up without one.
type DNSServer struct{ netip.AddrPort }

// Servers gives the addresses of the DNS servers.
func (e Egress) Servers() []netip.AddrPort {
	var list []netip.AddrPort
	for _, one := range e.Resolver {
		list = append(list, one.AddrPort)
	}
	return list
}

// UnmarshalYAML reads IP:PORT.
func (s *DNSServer) UnmarshalYAML(n *yaml.Node) error {
	a, err := netip.ParseAddrPort(n.Value)
	if err != nil || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().Is4In6() {
		return at(n, "%q is no DNS server: want IP:PORT, for instance 10.0.0.53:53", n.Value)
	}
	s.AddrPort = a
	return nil
}

// MarshalYAML writes the address.
func (s DNSServer) MarshalYAML() (any, error) { return s.String(), nil }
