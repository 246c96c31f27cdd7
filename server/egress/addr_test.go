package egress_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/tests/testenv"
)

func TestJudgeRefuses(t *testing.T) {
	rows := 0
	refuse := func(name string, a netip.Addr) {
		rows++
		t.Run(name, func(t *testing.T) { require.Error(t, egress.Judge(a, nil), a.String()) })
	}
	for _, text := range testenv.Inward4 {
		v4 := netip.MustParseAddr(text)
		refuse(text, v4)
		for how, a := range testenv.Encodings(v4) {
			refuse(how+" "+text, a)
		}
	}
	for _, text := range testenv.Metadata4 {
		for how, a := range testenv.Prefixed(netip.MustParseAddr(text)) {
			refuse(how+" "+text, a)
		}
	}
	for _, text := range append([]string{"fe80::1%eth0", "2606:4700::1111%eth0"}, testenv.Inward6...) {
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
		"2a00:1450::5efe:8.8.8.8", "3ffe::1", "2001:200::1", "2a01:4f8::10.0.0.1", "2a01:4f8:a9fe:a9ff::1", "2a01:4f8:0:1:a9fe:a9fe::1",
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
		{"metadata in a network's own NAT64", "fd12::169.254.169.254", []string{"fd12::/16"}, false},
		{"Oracle's metadata in IPv6", "fd00:c1::a9fe:a9fe", []string{"fd00::/8"}, false},
		{"Akamai's metadata in IPv6", "fd00:a9fe:a9fe::1", []string{"fd00::/8"}, false},
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

// What another table of the same registries refuses, ours refuses; and where only ours
// does, this is why. The one thing that it refuses and we do not is a public address in
// its mapped form: it is dialled as the IPv4 address that it is.
func TestJudgeAgainstAnotherTable(t *testing.T) {
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork())
	stricter := map[string]int{}
	check := func(a netip.Addr) {
		if !a.IsValid() { // behind the last address of all
			return
		}
		err := egress.Judge(a, nil)
		switch other := guard.SafeAddr(a); {
		case other != nil:
			require.Error(t, err, "%s: %v", a, other)
		case err != nil:
			stricter[reason(a)]++
		}
	}
	for _, p := range append(append([]netip.Prefix{}, ssrf.IPv4DeniedPrefixes...), ssrf.IPv6DeniedPrefixes...) {
		check(p.Addr())
		check(p.Addr().Next())
		check(last(p))
		check(last(p).Next())
	}
	for _, text := range append(append([]string{}, testenv.Inward4...), testenv.Metadata4...) {
		v4 := netip.MustParseAddr(text)
		check(v4)
		for _, a := range testenv.Encodings(v4) {
			check(a)
		}
		for _, a := range testenv.Prefixed(v4) {
			check(a)
		}
	}
	for _, text := range testenv.Inward6 {
		check(netip.MustParseAddr(text))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		check(randomAddr(random))
	}
	require.ElementsMatch(t, []string{
		"Azure's host agent, which looks public", "ISATAP of an address that is refused", "a metadata service behind a network's own NAT64",
	}, slices.Collect(maps.Keys(stricter)))
}

// reason says why we refuse an address that the other table lets through.
func reason(a netip.Addr) string {
	b := a.As16()
	switch {
	case a == netip.MustParseAddr("168.63.129.16"):
		return "Azure's host agent, which looks public"
	case a.Is6() && bytes.Equal(b[9:12], []byte{0, 0x5e, 0xfe}) && egress.Judge(netip.AddrFrom4([4]byte(b[12:])), nil) != nil:
		return "ISATAP of an address that is refused"
	}
	for _, text := range testenv.Metadata4 {
		v4 := netip.MustParseAddr(text).As4()
		if joined := slices.Concat(b[:8], b[9:]); a.Is6() && (bytes.Contains(joined, v4[:]) || bytes.HasSuffix(b[:], v4[:])) {
			return "a metadata service behind a network's own NAT64"
		}
	}
	return "no reason: " + a.String()
}

// last gives the last address of a range.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// If an IPv4 address is refused under what an operator allows, so is every way to write
// it; and to allow more never refuses more.
func TestJudgeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v4, allow := drawAddr(t, 4), rapid.SliceOfN(rapid.Custom(drawRange), 0, 4).Draw(t, "allow")
		if egress.Judge(v4, allow) != nil {
			for how, a := range testenv.Encodings(v4) {
				// ::1 is the compatible form of 0.0.0.1, and what everybody takes it for.
				require.True(t, egress.Judge(a, allow) != nil || a == netip.IPv6Loopback(), "%s %s", how, a)
			}
		}
		a, more := drawAddr(t, rapid.SampledFrom([]int{4, 16}).Draw(t, "size")), rapid.Custom(drawRange).Draw(t, "more")
		if egress.Judge(a, allow) == nil {
			require.NoError(t, egress.Judge(a, append(allow[:len(allow):len(allow)], more)), a)
		}
	})
}

// drawAddr draws an address of some bytes, half of the time from those that matter.
func drawAddr(t *rapid.T, size int) netip.Addr {
	if rapid.Bool().Draw(t, "known") {
		v4 := netip.MustParseAddr(rapid.SampledFrom(testenv.Inward4).Draw(t, "v4"))
		if size == 4 {
			return v4
		}
		forms := testenv.Encodings(v4)
		return forms[rapid.SampledFrom(slices.Sorted(maps.Keys(forms))).Draw(t, "form")]
	}
	a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes"))
	return a
}

func drawRange(t *rapid.T) netip.Prefix {
	a := drawAddr(t, rapid.SampledFrom([]int{4, 16}).Draw(t, "size"))
	p, _ := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
	return p
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
		if a.Is4() && egress.Judge(a, nil) != nil {
			for how, other := range testenv.Encodings(a) {
				require.Error(t, egress.Judge(other, nil), "%s %s", how, other)
			}
		}
		if egress.Judge(a, nil) != nil {
			return
		}
		a = a.Unmap()
		require.True(t, a.IsGlobalUnicast() && !a.IsPrivate(), a.String())
	})
}
