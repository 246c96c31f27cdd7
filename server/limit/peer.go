package limit

import (
	"net"
	"net/netip"
)

// PeerOf names who is behind a network address, as failures are counted: it drops the
// port, and of an IPv6 address all but its /64, since one stranger has many of both.
func PeerOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
