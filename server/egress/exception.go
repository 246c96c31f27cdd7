package egress

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Exception is one place to which nobody goes through a proxy. What is dialled there is
// judged as always.
type Exception struct {
	host  string
	below bool   // what lies below host, and not host itself
	port  uint16 // 0: every port
}

var errException = errors.New("want a host name, a suffix such as .corp.example, or an origin as manifests have it, https://HOST[:PORT]")

// ParseException reads "host", ".suffix" or "https://host[:port]".
func ParseException(s string) (Exception, error) {
	if strings.Contains(s, "://") {
		o, err := ParseOrigin(s)
		if err != nil {
			return Exception{}, errException
		}
		return Exception{host: o.host, port: o.port}, nil
	}
	host, below := strings.CutPrefix(lowerASCII(s), ".")
	if checkHost(host) != nil {
		return Exception{}, errException
	}
	return Exception{host: host, below: below}, nil
}

// matches compares the origin's own host, which has one spelling.
func (e Exception) matches(o Origin) bool {
	if e.port != 0 && e.port != o.port {
		return false
	}
	return !e.below && e.host == o.host || e.below && strings.HasSuffix(o.host, "."+e.host)
}

var errEveryException = errors.New(`"*" would lead everything past the proxy: leave the proxy out instead`)

// ParseNoProxy reads what programs take from the variable NO_PROXY: a name stands for
// itself and all below it, with a port for that port alone. Addresses and ranges of them
// are passed over, for origins have names.
func ParseNoProxy(list string) (all []Exception, err error) {
	for one := range strings.SplitSeq(list, ",") {
		one = lowerASCII(strings.TrimSpace(one))
		if one == "" || isAddress(one) {
			continue
		}
		if one == anyName {
			return nil, errEveryException
		}
		host, portText, hasPort := strings.Cut(one, ":")
		e := Exception{}
		if hasPort {
			port, err := strconv.ParseUint(portText, 10, 16)
			if err != nil || port == 0 {
				return nil, errException
			}
			e.port = uint16(port)
		}
		host, below := strings.CutPrefix(strings.TrimPrefix(host, anyName), ".")
		if checkHost(host) != nil {
			return nil, errException
		}
		e.host, e.below = host, true
		all = append(all, e)
		if !below {
			e.below = false
			all = append(all, e)
		}
	}
	return all, nil
}

// isAddress knows addresses and ranges, with a port or without.
func isAddress(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		_, err = netip.ParsePrefix(s)
	}
	if err != nil {
		_, err = netip.ParseAddrPort(s)
	}
	return err == nil
}
