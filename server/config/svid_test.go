package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/egress"
)

// TestMayShowSVID: to the origins that a workspace's own line names, and to no other.
func TestMayShowSVID(t *testing.T) {
	c := &config.Config{Workspaces: []config.Workspace{
		{Name: "some", SVIDUpstreams: []string{"https://payroll.internal", "https://crm.internal:8443"}},
		{Name: "all", SVIDUpstreams: []string{"*"}},
		{Name: "none"},
	}}
	for workspace, origins := range map[string]map[string]bool{
		"some": {
			"https://payroll.internal": true, "https://crm.internal:8443": true, "https://crm.internal": false,
			"https://payroll.internal.evil.example": false, "https://x.payroll.internal": false,
		},
		"all":     {"https://payroll.internal": true},
		"none":    {"https://payroll.internal": false},
		"unknown": {"https://payroll.internal": false},
		"":        {"https://payroll.internal": false},
	} {
		for text, want := range origins {
			origin, err := egress.ParseOrigin(text)
			require.NoError(t, err)
			require.Equal(t, want, c.MayShowSVID(workspace, origin), "%s %s", workspace, text)
		}
	}
	require.False(t, c.MayShowSVID("some", egress.Origin{}))
}
