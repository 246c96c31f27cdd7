package attack_test

import (
	"net/http"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/tests/testenv"
)

// A role belongs to an ID, and not to what begins like it, stands below it or is spelled
// like it; and who has one role has no other.
func TestAttack02_RoleByPrefix(t *testing.T) {
	site := testenv.NewSite(t, "", 0)
	b := site.Start(t)
	for _, path := range []string{"/operator-evil", "/operator/x", "/operators", "/Operator", "/x/operator", "/orchestrator/operator", "/sandbox/operator"} {
		got, err := knock(t, b, site.As(t, b, path))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.status, path)
	}
	for role, paths := range map[testenv.Role][]string{
		testenv.Sandbox:      {"/v1/connectors", "/v1/credentials", "/v1/tasks", "/v1/keys", "/v1/audit", "/v1/usage"},
		testenv.Orchestrator: {"/v1/connectors", "/v1/credentials", "/v1/keys", "/v1/audit", "/v1/usage"},
	} {
		for _, path := range paths {
			answer := b.REST(t, role, "").Do(t, http.MethodGet, path, "")
			require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, answer.Status, "%s %s: %s", role, path, answer.Body)
			require.NotEqual(t, http.StatusNotFound, b.REST(t, testenv.Operator, "").Do(t, http.MethodGet, path, "").Status, "%s is no path", path)
		}
	}
}

// A configuration that leaves open whom to trust, or whose list has something empty in it,
// is refused before anything is served: nothing unset means everybody.
func TestAttack02_EmptyConfiguration(t *testing.T) {
	site := testenv.NewSite(t, "", 0)
	for name, one := range map[string]struct {
		edit func(*config.Config)
		says string
	}{
		"no trust domain":       {func(c *config.Config) { c.SPIFFE.TrustDomains = nil }, "spiffe.trust_domains"},
		"an empty trust domain": {func(c *config.Config) { c.SPIFFE.TrustDomains = []config.TrustDomain{{}} }, "is no trust domain"},
		"no workspace":          {func(c *config.Config) { c.Workspaces = nil }, "workspaces"},
		"an empty operator":     {func(c *config.Config) { c.Workspaces[0].Operators = []config.SPIFFEID{{}} }, "is no SPIFFE ID"},
		"an empty orchestrator": {func(c *config.Config) { c.Workspaces[0].Orchestrators[0].ID = config.SPIFFEID{} }, "is no SPIFFE ID"},
		"no sandboxes":          {func(c *config.Config) { c.Workspaces[0].Orchestrators[0].Sandboxes = config.SPIFFEID{} }, "is no SPIFFE ID"},
		"a whole domain of sandboxes": {func(c *config.Config) {
			c.Workspaces[0].Orchestrators[0].Sandboxes = config.SPIFFEID{ID: spiffeid.RequireFromString("spiffe://" + testenv.Domain)}
		}, "sandboxes"},
		"no end of a task":         {func(c *config.Config) { c.Workspaces[0].Orchestrators[0].MaxTTL = 0 }, "max_ttl"},
		"no severity":              {func(c *config.Config) { c.Workspaces[0].Orchestrators[0].MaxSeverity = "" }, "max_severity"},
		"no connectors":            {func(c *config.Config) { c.Workspaces[0].Orchestrators[0].Connectors = nil }, "connectors"},
		"no master key":            {func(c *config.Config) { c.Keys.Master = "" }, "keys.master"},
		"no store":                 {func(c *config.Config) { c.Store.URL = "" }, "store: exactly one of url"},
		"no deny list where it is": {func(c *config.Config) { c.SPIFFE.DeniedIDsFile = "/nowhere" }, "denied"},
		"JWT-SVIDs for no audience": {func(c *config.Config) {
			c.Listeners.RESTJWT = config.JWTListener{Listener: config.Listener{Address: "127.0.0.1:0"}}
		}, "audience"},
		"profiles for everybody":  {func(c *config.Config) { c.Listeners.Ops.Address = "0.0.0.0:0" }, "listeners.ops"},
		"a file for a master key": {func(c *config.Config) { c.Environment = config.Production }, "production"},
	} {
		t.Run(name, func(t *testing.T) { require.Contains(t, site.StartRefused(t, one.edit), one.says) })
	}
}
