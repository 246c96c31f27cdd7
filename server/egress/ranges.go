package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// allowable are the networks of which an operator may allow a part. NAT64's is one since
// the IPv4 address that each of its addresses carries is judged too; see [Judge].
var allowable = concat(
	blocks("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
	blocks("shared", "100.64.0.0/10"),
	blocks("loopback", "127.0.0.0/8", "::1/128"),
	blocks("NAT64", "64:ff9b::/96"),
)

var errRange = errors.New("want a part of a private, shared or loopback network, or of 64:ff9b::/96 (NAT64)")

// CheckRange says whether a range may stand in an operator's allowances. One that reaches
// beyond a network that is not public is refused: 0.0.0.0/0 would switch the judgement of
// addresses off. So is one of which [Judge] would allow nothing.
func CheckRange(p netip.Prefix) error {
	for _, b := range never {
		if liesIn(p, b) {
			return fmt.Errorf("that is %s, and nobody can allow it", b.what)
		}
	}
	if !slices.ContainsFunc(allowable, func(b block) bool { return liesIn(p, b) }) {
		return errRange
	}
	return nil
}

// liesIn reports whether the whole of p lies in b.
func liesIn(p netip.Prefix, b block) bool {
	return p.Bits() >= b.prefix.Bits() && b.prefix.Contains(p.Addr())
}
