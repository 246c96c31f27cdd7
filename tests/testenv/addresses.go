package testenv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Inward4 are IPv4 addresses that lead inwards or nowhere: two or more of every range,
// first and last among them.
var Inward4 = []string{
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255",
	"100.64.0.0", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.1.2.3", "127.255.255.255",
	"169.254.0.0", "169.254.0.23", "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.255.255",
	"172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.8", "192.0.0.170", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1",
	"192.88.99.1", "192.88.99.2", "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255",
	"198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255", "168.63.129.16",
}

// Inward6 are IPv6 addresses that lead inwards or nowhere, whatever they may carry.
var Inward6 = []string{
	"::", "::1", "::2", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::1", "100::1", "100:0:0:1::1",
	"2001::1", "2001:1::1", "2001:1::3", "2001:2::1", "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::",
	"2001:db8::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fd00::1",
	"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:c1::a9fe:a9fe",
	"fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "ffff::1", "1fff::1",
}

// Metadata4 are the IPv4 addresses of metadata services: AWS, GCP, Azure, OpenStack,
// DigitalOcean, Hetzner and others; ECS and EKS tasks; Tencent; Alibaba; Oracle; Azure's
// host agent; Volcano Engine; UCloud.
var Metadata4 = []string{
	"169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23", "100.100.100.200", "192.0.0.192", "168.63.129.16",
	"100.96.0.96", "100.80.80.80",
}

// Encodings are the IPv6 addresses that carry an IPv4 one in a way that shows.
func Encodings(v4 netip.Addr) map[string]netip.Addr {
	b := v4.As4()
	hi, lo := binary.BigEndian.Uint16(b[:2]), binary.BigEndian.Uint16(b[2:])
	return map[string]netip.Addr{
		"mapped":           address("::ffff:%s", v4),
		"compatible":       address("::%x:%x", hi, lo),
		"translated":       address("::ffff:0:%x:%x", hi, lo),
		"NAT64":            address("64:ff9b::%x:%x", hi, lo),
		"local NAT64 /96":  address("64:ff9b:1::%x:%x", hi, lo),
		"local NAT64 /48":  address("64:ff9b:1:%x:%x:%x::", hi, lo>>8, lo<<8),
		"6to4":             address("2002:%x:%x::1", hi, lo),
		"6to4, no host":    address("2002:%x:%x::", hi, lo),
		"Teredo client":    address("2001:0:808:808:0:0:%x:%x", ^hi, ^lo),
		"Teredo server":    address("2001:0:%x:%x:0:0:f7f7:f7f7", hi, lo),
		"ISATAP":           address("2a00:1450::5efe:%x:%x", hi, lo),
		"ISATAP universal": address("2a00:1450::200:5efe:%x:%x", hi, lo),
		"ISATAP group":     address("2a00:1450::300:5efe:%x:%x", hi, lo),
		"ISATAP in ULA":    address("fd00::5efe:%x:%x", hi, lo),
		"ISATAP in 6to4":   address("2002:808:808::5efe:%x:%x", hi, lo),
	}
}

// Prefixed are the IPv6 addresses that carry an IPv4 one under a NAT64 prefix of a
// network's own, in each of the lengths of RFC 6052.
func Prefixed(v4 netip.Addr) map[string]netip.Addr {
	all := map[string]netip.Addr{}
	for _, prefix := range []string{"2a01:4f8:1234:5600:", "fd00:64:1234:5600:"} {
		whole := address("%s:", prefix).As16()
		for length, places := range map[int][4]int{
			32: {4, 5, 6, 7}, 40: {5, 6, 7, 9}, 48: {6, 7, 9, 10}, 56: {7, 9, 10, 11}, 64: {9, 10, 11, 12}, 96: {12, 13, 14, 15},
		} {
			to := whole
			clear(to[length/8:])
			for i, place := range places {
				to[place] = v4.As4()[i]
			}
			all[fmt.Sprintf("NAT64 %s:/%d", prefix, length)] = netip.AddrFrom16(to)
		}
	}
	return all
}

func address(format string, parts ...any) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(format, parts...))
}
