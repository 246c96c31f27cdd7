package egress

import (
	"errors"
	"strconv"
	"strings"
)

// Origin is where an upstream lives: a host name and a port, always https. It is
// comparable, and has one spelling: two origins are equal exactly when the same
// server would be asked. The zero Origin is refused everywhere.
type Origin struct {
	host string
	port uint16
}

const (
	scheme      = "https://"
	defaultPort = 443
	maxHost     = 253
	maxLabel    = 63
)

// The faults of an origin. None repeats the text: it may hold a password.
var (
	errOriginScheme = errors.New(`origin: must begin with "https://"`)
	errOriginHost   = errors.New("origin: the host must be a name of letters, digits and hyphens (an international one in its xn-- form), without a trailing dot, user, path, query or fragment")
	errOriginIP     = errors.New("origin: the host must be a name, not an IP address in any spelling")
	errOriginMeta   = errors.New("origin: the host is a metadata service, which hands out the credentials of the machine")
	errOriginPort   = errors.New("origin: the port must be a plain decimal from 1 to 65535")
)

// ParseOrigin reads "https://host" or "https://host:port". It reads the text itself,
// byte by byte, instead of through net/url, which accepts much more. The host is
// lower-cased here and nowhere else.
func ParseOrigin(s string) (Origin, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return Origin{}, errOriginScheme
	}
	host, portText, hasPort := strings.Cut(rest, ":")
	host = lowerASCII(host)
	if err := checkHost(host); err != nil {
		return Origin{}, err
	}
	if !hasPort {
		return Origin{host, defaultPort}, nil
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || strconv.FormatUint(port, 10) != portText {
		return Origin{}, errOriginPort
	}
	return Origin{host, uint16(port)}, nil
}

// lowerASCII touches A to Z alone. strings.ToLower would turn U+212A, the Kelvin
// sign, into a k, and so give another name a second spelling.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// checkHost accepts letters, digits and hyphens in labels, and nothing that any
// resolver could take for an address.
func checkHost(host string) error {
	if host == "" || len(host) > maxHost {
		return errOriginHost
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return errOriginHost
		}
	}
	// inet_aton reads 127.1, 0x7f.1, 017700000001 and 2130706433. All end in a label
	// that is a number, and no top-level domain is one.
	if isNumber(labels[len(labels)-1]) {
		return errOriginIP
	}
	if isMetadataName(host) {
		return errOriginMeta
	}
	return nil
}

// metadataNames are the names of metadata services. Their addresses are refused as well;
// here it is said when a connector is described, and not when it is called.
var metadataNames = set(
	"metadata", "metadata.google.internal", "metadata.google", "metadata.goog", "metadata.internal", // Google
	"instance-data", "instance-data.ec2.internal", // AWS
	"metadata.azure.internal", "metadata.tencentyun.com", "metadata.oraclecloud.com", "api.metadata.cloud.ibm.com",
	"metadata.platformequinix.com", "metadata.packet.net", "rancher-metadata", "rancher-metadata.rancher.internal",
)

// isMetadataName knows those names and all below them.
func isMetadataName(host string) bool {
	for below := true; below; _, host, below = strings.Cut(host, ".") {
		if metadataNames[host] {
			return true
		}
	}
	return false
}

// isLabel reports whether s is a label as hosts may use it. Its length bounds and
// the hyphen rule are RFC 1123's.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// isNumber reports whether s is a decimal, octal or hexadecimal number.
func isNumber(s string) bool {
	digits, isHex := strings.CutPrefix(s, "0x")
	for _, c := range []byte(digits) {
		decimal := c >= '0' && c <= '9'
		if !decimal && !(isHex && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// Host gives the lower-case host name.
func (o Origin) Host() string { return o.host }

// HostPort gives "host:port", always with the port: what is dialled.
func (o Origin) HostPort() string { return o.host + ":" + strconv.Itoa(int(o.port)) }

// String gives the canonical text, the default port left out. The zero Origin is "".
func (o Origin) String() string {
	if o.host == "" {
		return ""
	}
	return scheme + o.authority()
}

// MarshalText gives String.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText parses, so that no Origin is made in another way.
func (o *Origin) UnmarshalText(b []byte) (err error) {
	*o, err = ParseOrigin(string(b))
	return err
}

// authority is what stands in the URL and the Host header.
func (o Origin) authority() string {
	if o.port == defaultPort {
		return o.host
	}
	return o.HostPort()
}
