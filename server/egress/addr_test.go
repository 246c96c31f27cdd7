package egress_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
)

// refused4 are IPv4 addresses, two or more of every range, first and last among them.
var refused4 = []string{
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255",
	"100.64.0.0", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.1.2.3", "127.255.255.255",
	"169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255",
	"172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1",
	"192.88.99.1", "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255",
	"198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255", "168.63.129.16",
}

// encodings are the IPv6 addresses that carry an IPv4 one.
func encodings(v4 netip.Addr) map[string]netip.Addr {
	b := v4.As4()
	hi, lo := binary.BigEndian.Uint16(b[:2]), binary.BigEndian.Uint16(b[2:])
	addr := func(format string, parts ...any) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf(format, parts...))
	}
	return map[string]netip.Addr{
		"mapped":           addr("::ffff:%s", v4),
		"compatible":       addr("::%x:%x", hi, lo),
		"translated":       addr("::ffff:0:%x:%x", hi, lo),
		"NAT64":            addr("64:ff9b::%x:%x", hi, lo),
		"local NAT64 /96":  addr("64:ff9b:1::%x:%x", hi, lo),
		"local NAT64 /48":  addr("64:ff9b:1:%x:%x:%x::", hi, lo>>8, lo<<8),
		"6to4":             addr("2002:%x:%x::1", hi, lo),
		"Teredo client":    addr("2001:0:808:808:0:0:%x:%x", ^hi, ^lo),
		"Teredo server":    addr("2001:0:%x:%x:0:0:f7f7:f7f7", hi, lo),
		"ISATAP":           addr("2a00:1450::5efe:%x:%x", hi, lo),
		"ISATAP universal": addr("2a00:1450::200:5efe:%x:%x", hi, lo),
		"ISATAP in ULA":    addr("fd00::5efe:%x:%x", hi, lo),
	}
}

func TestJudgeRefuses(t *testing.T) {
	rows := 0
	refuse := func(name string, a netip.Addr) {
		rows++
		t.Run(name, func(t *testing.T) { require.Error(t, egress.Judge(a, nil), a.String()) })
	}
	for _, text := range refused4 {
		v4 := netip.MustParseAddr(text)
		refuse(text, v4)
		for how, a := range encodings(v4) {
			refuse(how+" "+text, a)
		}
	}
	for _, text := range []string{
		"::", "::1", "::2", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:1ff:ffff::",
		"2001:db8::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00::1",
		"fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
		"2606:4700::1111%eth0", "ffff::1", "1fff::1",
	} {
		refuse(text, netip.MustParseAddr(text))
	}
	refuse("the zero address", netip.Addr{})
	require.GreaterOrEqual(t, rows, 200)
}

func TestJudgeAccepts(t *testing.T) {
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.215.14", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888",
		"2a00:1450::5efe:8.8.8.8", "3ffe::1", "2001:200::1",
	} {
		t.Run(text, func(t *testing.T) { require.NoError(t, egress.Judge(netip.MustParseAddr(text), nil)) })
	}
}

func TestJudgeAllowRanges(t *testing.T) {
	for _, c := range []struct {
		name, addr string
		allow      []string
		ok         bool
	}{
		{"private in its range", "10.1.2.3", []string{"10.0.0.0/8"}, true},
		{"private mapped in its range", "::ffff:10.1.2.3", []string{"10.0.0.0/8"}, true},
		{"loopback in its range", "127.0.0.1", []string{"127.0.0.0/8"}, true},
		{"IPv6 loopback in its range", "::1", []string{"::1/128"}, true},
		{"ULA in its range", "fd12::1", []string{"fd12::/16"}, true},
		{"second range", "10.1.2.3", []string{"192.168.0.0/16", "10.0.0.0/8"}, true},
		{"public beside a range", "8.8.8.8", []string{"10.0.0.0/8"}, true},
		{"other private", "192.168.1.1", []string{"10.0.0.0/8"}, false},
		{"a mapped range allows nothing", "10.1.2.3", []string{"::ffff:10.0.0.0/104"}, false},
		{"compatible of an allowed one", "::10.1.2.3", []string{"10.0.0.0/8"}, false},
		{"NAT64 of an allowed one", "64:ff9b::10.1.2.3", []string{"10.0.0.0/8"}, false},
		{"NAT64 of a public one", "64:ff9b::8.8.8.8", []string{"64:ff9b::/96"}, true},
		{"NAT64 of a private one", "64:ff9b::10.1.2.3", []string{"64:ff9b::/96"}, false},
		{"NAT64 and private both allowed", "64:ff9b::10.1.2.3", []string{"64:ff9b::/96", "10.0.0.0/8"}, true},
		{"6to4 of a private one under everything", "2002:a00:1::1", []string{"::/0"}, false},
		{"metadata under everything", "169.254.169.254", []string{"0.0.0.0/0", "::/0"}, false},
		{"metadata mapped under everything", "::ffff:169.254.169.254", []string{"0.0.0.0/0", "::/0"}, false},
		{"metadata in NAT64 under everything", "64:ff9b::169.254.169.254", []string{"0.0.0.0/0", "::/0"}, false},
		{"metadata in ISATAP under everything", "fd00::5efe:169.254.169.254", []string{"0.0.0.0/0", "::/0"}, false},
		{"metadata by its own address", "100.100.100.200", []string{"100.100.100.200/32"}, false},
		{"metadata in IPv6", "fd00:ec2::254", []string{"fd00::/8"}, false},
		{"unspecified", "0.0.0.0", []string{"0.0.0.0/0"}, false},
		{"unspecified in IPv6", "::", []string{"::/0"}, false},
		{"multicast", "224.0.0.1", []string{"0.0.0.0/0"}, false},
		{"broadcast", "255.255.255.255", []string{"0.0.0.0/0"}, false},
		{"local NAT64", "64:ff9b:1::8.8.8.8", []string{"::/0", "0.0.0.0/0"}, false},
		{"zone", "fd12::1%eth0", []string{"fd12::/16"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var allow []netip.Prefix
			for _, p := range c.allow {
				allow = append(allow, netip.MustParsePrefix(p))
			}
			err := egress.Judge(netip.MustParseAddr(c.addr), allow)
			require.Equal(t, c.ok, err == nil, "%v", err)
		})
	}
}

// What another table of the same registries refuses, ours refuses.
func TestJudgeAgreesWithAnotherTable(t *testing.T) {
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork())
	check := func(a netip.Addr) {
		if err := guard.SafeAddr(a); err != nil {
			require.Error(t, egress.Judge(a, nil), "%s: %v", a, err)
		}
	}
	for _, p := range append(append([]netip.Prefix{}, ssrf.IPv4DeniedPrefixes...), ssrf.IPv6DeniedPrefixes...) {
		check(p.Addr())
		check(p.Addr().Next())
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		check(randomAddr(random))
	}
}

// If an IPv4 address is refused, so is every way to write it.
func TestJudgeEncodingsAreNoWiderThanIPv4(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		v4 := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, random.Uint32())))
		requireNoWider(t, v4, nil)
		requireNoWider(t, v4, []netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("10.0.0.0/8")})
	}
}

func requireNoWider(t *testing.T, v4 netip.Addr, allow []netip.Prefix) {
	t.Helper()
	if egress.Judge(v4, allow) == nil {
		return
	}
	for how, a := range encodings(v4) {
		require.Error(t, egress.Judge(a, allow), "%s %s", how, a)
	}
}

func randomAddr(r *rand.Rand) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	switch r.IntN(3) {
	case 0:
		return netip.AddrFrom4([4]byte(b[:4]))
	case 1:
		b[0] = 0x20 | b[0]&0x1f
	}
	return netip.AddrFrom16(b)
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1})
	f.Add(netip.MustParseAddr("64:ff9b::7f00:1").AsSlice())
	f.Add(netip.MustParseAddr("2002:7f00:1::").AsSlice())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		if a.Is4() {
			requireNoWider(t, a, nil)
		}
		if egress.Judge(a, nil) != nil {
			return
		}
		a = a.Unmap()
		require.True(t, a.IsGlobalUnicast() && !a.IsPrivate(), a.String())
	})
}
