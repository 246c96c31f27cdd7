package upstream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/upstream"
)

// Whoever called learns whether it was the proxy or what lies behind it, and neither the
// proxy's name nor what is the matter with it.
func TestFaultSaysWhetherItWasTheProxy(t *testing.T) {
	for name, k := range map[string]struct {
		err        egress.Error
		idempotent bool
		want       string
	}{
		"directly":             {egress.Error{Kind: egress.Unreachable}, false, "UPSTREAM_UNAVAILABLE: the upstream cannot be reached; nothing was sent"},
		"behind the proxy":     {egress.Error{Kind: egress.Unreachable, Proxy: "casb"}, false, "UPSTREAM_UNAVAILABLE: the upstream cannot be reached through the proxy on the way to it; nothing was sent"},
		"the proxy":            {egress.Error{Kind: egress.Unreachable, Proxy: "casb", AtProxy: true}, false, "UPSTREAM_UNAVAILABLE: the proxy on the way to the upstream fails, as the broker's log says; nothing was sent"},
		"too slow directly":    {egress.Error{Kind: egress.TimedOut}, false, "UPSTREAM_TIMEOUT: the upstream did not answer in time"},
		"too slow to get to":   {egress.Error{Kind: egress.TimedOut, Proxy: "casb"}, true, "UPSTREAM_TIMEOUT: no connection to the upstream came about in time through the proxy on the way; nothing was sent"},
		"too slow, got there":  {egress.Error{Kind: egress.TimedOut, Proxy: "casb", Sent: true}, true, "UPSTREAM_TIMEOUT: the upstream did not answer in time"},
		"sent, perhaps":        {egress.Error{Kind: egress.Unreachable, Proxy: "casb", Sent: true}, false, "OUTCOME_UNKNOWN: the call was sent, but its answer was lost: look before you repeat it"},
		"too slow and changes": {egress.Error{Kind: egress.TimedOut, Proxy: "casb", Sent: true}, false, "OUTCOME_UNKNOWN: the call was sent, but its answer was lost: look before you repeat it"},
	} {
		t.Run(name, func(t *testing.T) {
			err := upstream.Fault(&k.err, k.idempotent)
			require.EqualError(t, err, k.want)
			require.NotContains(t, fault.From(err).Public, "casb")
		})
	}
}
