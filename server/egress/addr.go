package egress

import (
	"fmt"
	"net/netip"
)

// block is a range of addresses and what it is for.
type block struct {
	prefix netip.Prefix
	what   string
}

func blocks(what string, prefixes ...string) []block {
	list := make([]block, 0, len(prefixes))
	for _, p := range prefixes {
		list = append(list, block{netip.MustParsePrefix(p), what})
	}
	return list
}

func concat(lists ...[]block) (all []block) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// metadata are the services that hand out a machine's own credentials, each at its one
// address. 168.63.129.16 looks public; it is Azure's host agent.
var metadata = blocks("a metadata service",
	"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", // AWS and most others; tasks of ECS; pods of EKS
	"169.254.0.23/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", // Tencent, Alibaba, Oracle, Azure
	"100.96.0.96/32", "100.80.80.80/32", // Volcano Engine, UCloud
	// AWS, Google, Scaleway, Akamai, Oracle.
	"fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128", "fd00:a9fe:a9fe::1/128", "fd00:c1::a9fe:a9fe/128",
)

// never is refused even where an operator's range holds it: what hands out a
// machine's own credentials, and what is no single other host.
var never = concat(
	metadata,
	blocks("link-local, where metadata services live", "169.254.0.0/16", "fe80::/10"),
	blocks("unspecified", "0.0.0.0/8", "::/128"), // the kernel takes 0.0.0.0 for loopback
	blocks("multicast", "224.0.0.0/4", "ff00::/8"),
	blocks("reserved", "240.0.0.0/4"),
	// Local-use NAT64 may put the IPv4 address at any of several places, so what it
	// leads to cannot be judged.
	blocks("local-use NAT64", "64:ff9b:1::/48"),
)

// special is refused unless an operator's range holds it. IPv6 outside 2000::/3
// need not be listed: nothing there is global unicast.
var special = concat(
	blocks("loopback", "127.0.0.0/8"),
	blocks("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
	blocks("carrier-grade NAT", "100.64.0.0/10"),
	blocks("for documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
	blocks("for benchmarks", "198.18.0.0/15"),
	blocks("an IETF special range", "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
		"192.175.48.0/24", "2001::/23", "2620:4f:8000::/48"),
	blocks("6to4", "2002::/16"),
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	compatible    = netip.MustParsePrefix("::/96")
	translated    = netip.MustParsePrefix("::ffff:0:0:0/96")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour     = netip.MustParsePrefix("2002::/16")
	teredo        = netip.MustParsePrefix("2001::/32")
	loopback6     = netip.IPv6Loopback()
)

// Judge says whether an address may be dialled: nil for public unicast, and for what
// lies in allow; else an error that names the address and what it is.
//
// An IPv4 address in an IPv6 one is judged as well, so no spelling reaches what the
// plain one does not: allowing 64:ff9b::/96 on a NAT64 network does not allow
// 64:ff9b::10.0.0.1. Metadata services, link-local, multicast and reserved addresses
// are refused whatever allow says. allow is compared with the unmapped address; an
// IPv4-mapped prefix in it allows nothing.
//
// A network's own NAT64 prefix cannot be known here: what it leads to counts as the
// address that it looks like. Metadata services alone are looked for at each place where
// RFC 6052 would put them, under any prefix; for a range such as 10.0.0.0/8 that would
// refuse too many that carry nothing.
func Judge(addr netip.Addr, allow []netip.Prefix) error {
	if !addr.IsValid() || addr.Zone() != "" {
		return fmt.Errorf("address %q: want a plain address without a zone", addr)
	}
	addr = addr.Unmap()
	if err := find(never, addr); err != nil {
		return err
	}
	for _, inner := range embedded(addr) {
		if err := Judge(inner, allow); err != nil {
			return fmt.Errorf("address %s leads to another: %w", addr, err)
		}
	}
	for _, inner := range translated6052(addr) {
		if err := find(metadata, inner); err != nil {
			return fmt.Errorf("address %s may lead to another: %w", addr, err)
		}
	}
	for _, p := range allow {
		if p.Contains(addr) {
			return nil
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return fmt.Errorf("address %s is not global unicast", addr)
	}
	return find(special, addr)
}

func find(list []block, addr netip.Addr) error {
	for _, b := range list {
		if b.prefix.Contains(addr) {
			return fmt.Errorf("address %s is %s", addr, b.what)
		}
	}
	return nil
}

// embedded gives the IPv4 addresses that an IPv6 one carries in any way that shows;
// there may be several.
func embedded(addr netip.Addr) (list []netip.Addr) {
	if addr.Is4() || addr == loopback6 {
		return nil
	}
	b := addr.As16()
	switch {
	case sixToFour.Contains(addr):
		list = append(list, netip.AddrFrom4([4]byte(b[2:6])))
	case teredo.Contains(addr): // the server, and the client with every bit flipped
		list = append(list, netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if compatible.Contains(addr) || translated.Contains(addr) || nat64.Contains(addr) || isISATAP(b) {
		list = append(list, netip.AddrFrom4([4]byte(b[12:])))
	}
	return list
}

// isISATAP recognises RFC 5214's interface identifier under any prefix. The bits of
// its first byte that say "universal" and "group" do not count.
func isISATAP(b [16]byte) bool {
	return b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// places6052 are the bytes of an IPv6 address that hold an IPv4 one, for each length of
// a prefix (RFC 6052, 2.2); byte 8 is zero but for the last.
var places6052 = [...][4]int{{4, 5, 6, 7}, {5, 6, 7, 9}, {6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}}

// translated6052 gives the IPv4 addresses to which an IPv6 one would lead if it began
// with the prefix of a NAT64.
func translated6052(addr netip.Addr) []netip.Addr {
	if addr.Is4() {
		return nil
	}
	b := addr.As16()
	var list []netip.Addr
	for _, at := range places6052 {
		if b[8] == 0 || at[0] == 12 {
			list = append(list, netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}))
		}
	}
	return list
}
