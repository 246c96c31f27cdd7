package connector_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

// TestParseTLS: as whom the broker comes, and by what the upstream is known. What is not
// written is not.
func TestParseTLS(t *testing.T) {
	for name, c := range map[string]struct {
		text, server string
		shows        bool
	}{
		"nothing":           {"", "", false},
		"own SVID":          {"tls: {client: svid}\n", "", true},
		"server's ID":       {"tls: {server_id: 'spiffe://prod.example/payroll'}\n", "spiffe://prod.example/payroll", false},
		"both":              {"tls: {client: svid, server_id: 'spiffe://prod.example/payroll'}\n", "spiffe://prod.example/payroll", true},
		"SVID and a bearer": {"tls: {client: svid}\ncredentials: {main: {owner: user, attach: bearer}}\n", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := connector.Parse([]byte(replaced(t, "kind:", c.text+"kind:")))
			require.NoError(t, err)
			require.Equal(t, c.shows, parsed.ShowsSVID)
			require.Equal(t, c.server, parsed.Egress.ServerID.String())
		})
	}
	parsed, err := connector.Parse([]byte(replaced(t, "tools:",
		"credentials: {key: {owner: user, attach: certificate}, main: {owner: workspace, attach: bearer}}\ntools:")))
	require.NoError(t, err)
	require.Equal(t, connector.Slot{Name: "key", Owner: connector.UserOwned, Kind: connector.CertificateSlot}, parsed.Slots["key"])
}
