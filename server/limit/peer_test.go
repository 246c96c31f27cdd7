package limit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/limit"
)

func TestPeerOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:5":           "192.0.2.1",
		"[::ffff:192.0.2.1]:5":  "192.0.2.1",
		"[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[2001:db8:1:2:f::9]:6": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5":      "fe80::/64",
		"pipe":                  "pipe",
		"host.example:5":        "host.example",
	} {
		require.Equal(t, want, limit.PeerOf(address), address)
	}
}
