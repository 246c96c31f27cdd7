package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/vault"
	"github.com/onedoor/onedoor/tests/testenv"
)

const good = `environment: production
spiffe:
  workload_api: unix:///run/spire/agent.sock
  trust_domains: [example.org]
listeners:
  grpc: {address: "0.0.0.0:8443"}
  rest: {address: "0.0.0.0:8444", cert_file: /c.pem, key_file: /k.pem}
  public: {address: "0.0.0.0:8445"}
  ops: {address: "127.0.0.1:9090"}
store: {url_file: /run/secrets/store-url}
keys: {master: "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k"}
workspaces:
  - name: default
    operators: [spiffe://example.org/operator]
    orchestrators:
      - id: spiffe://example.org/orchestrator
        sandboxes: spiffe://example.org/sandbox
        max_ttl: 1h
        max_severity: WRITE
        connectors: [crm]
`

// issuers is the part of a configuration with one issuer.
func issuers(one string) string { return "issuers: [" + one + "]\nworkspaces:" }

// signIn is the part with one issuer at which users sign in; signInOf has connect.url too.
func signIn(fields string) string {
	return issuers("{issuer: \"https://idp.example\", audiences: [a], workspaces: [default], sign_in: {" + fields + "}}")
}

func signInOf(fields string) string {
	return "connect: {url: \"https://b.example\"}\n" + signIn(fields)
}

func TestSignIns(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	load := func(more string) ([]connect.SignIn, error) {
		text := strings.Replace(good, "workspaces:", "connect: {url: \"https://b.example:8445\"}\n"+issuers(
			"{issuer: \"https://idp.example\", audiences: [a, c], workspaces: [default], sign_in: {client_id: c, auth: basic, client_secret_file: "+secret+"}"+more+"}, "+
				"{issuer: \"https://other.example\", audiences: [a], workspaces: [default]}"), 1)
		c, err := config.Parse([]byte(text))
		require.NoError(t, err, "checking opens no file")
		return c.SignIns()
	}
	_, err := load("")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(secret, []byte("\n"), 0o600))
	_, err = load("")
	require.ErrorContains(t, err, "issuers[0].sign_in.client_secret_file")
	require.NoError(t, os.WriteFile(secret, []byte("hunter2\n"), 0o600))
	for claim, scope := range map[string]string{"": "openid", "sub": "openid", "email": "openid email", "oid": "openid profile"} {
		more := ""
		if claim != "" {
			more = ", subject_claim: " + claim
		}
		got, err := load(more)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, "hunter2", string(got[0].Secret.Reveal()))
		got[0].Secret = vault.Secret{}
		require.Equal(t, connect.SignIn{
			Workspaces: []string{"default"}, Issuer: "https://idp.example", ClientID: "c", Auth: connector.ClientBasic, Scope: scope,
		}, got[0])
	}
}

func TestIssuers(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := strings.Replace(good, "workspaces:", issuers("{issuer: \"https://idp.example/t\", audiences: [onedoor], workspaces: [default], ca_file: "+ca+
		", allow: [10.1.0.0/16]}, {issuer: \"https://other.example\", audiences: [a, b], workspaces: [default], subject_claim: oid}"), 1)
	c, err := config.Parse([]byte(text))
	require.NoError(t, err, "checking opens no file")
	_, err = c.IDTokenIssuers()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(ca, []byte("nothing"), 0o600))
	_, err = c.IDTokenIssuers()
	require.ErrorContains(t, err, "issuers[0].ca_file")
	_, authority := testenv.Certificate(t, "idp.example")
	require.NoError(t, os.WriteFile(ca, []byte(authority), 0o600))
	got, err := c.IDTokenIssuers()
	require.NoError(t, err)
	require.Equal(t, []idtoken.Issuer{
		{
			URL: "https://idp.example/t", Audiences: []string{"onedoor"}, Workspaces: []string{"default"},
			Policy: egress.Policy{RootCAs: []byte(authority), AllowRanges: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
		},
		{URL: "https://other.example", Audiences: []string{"a", "b"}, Workspaces: []string{"default"}, SubjectClaim: "oid"},
	}, got)
}

// What a field is called in Go is nobody's business; where one has moved, it is said.
func TestUnknownFields(t *testing.T) {
	_, err := config.Parse([]byte(good + "drian: 1s\nlimits: {calls_per_second: 5, wait: 1s, task: {calls: 3}}\n"))
	require.ErrorContains(t, err, `unknown field "drian"`)
	require.ErrorContains(t, err, `unknown field "calls_per_second"; it is limits.task.calls_per_second now`)
	require.ErrorContains(t, err, `unknown field "calls"`)
	require.NotContains(t, err.Error(), "config.")
}

// What is held by default follows the memory that there is, and can be written again.
func TestHeldBytesFollowTheMemory(t *testing.T) {
	before := debug.SetMemoryLimit(1_000_000_001)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	c, err := config.Parse([]byte(good))
	require.NoError(t, err)
	text, err := yaml.Marshal(c.Limits.HeldBytes)
	require.NoError(t, err)
	require.Equal(t, "488281KiB\n", string(text))
}

func TestResolver(t *testing.T) {
	c, err := config.Parse([]byte(good))
	require.NoError(t, err)
	require.Empty(t, c.Egress.Servers(), "the system's")
	c, err = config.Parse([]byte(good + "egress: {resolver: [\"10.0.0.53:53\", \"[fd00::53]:5353\"]}\n"))
	require.NoError(t, err)
	require.Equal(t, []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:53"), netip.MustParseAddrPort("[fd00::53]:5353")}, c.Egress.Servers())
	text, err := yaml.Marshal(c.Egress.Resolver)
	require.NoError(t, err)
	require.YAMLEq(t, `["10.0.0.53:53", "[fd00::53]:5353"]`, string(text))
}

func TestGoodConfiguration(t *testing.T) {
	c, err := config.Parse([]byte(good))
	require.NoError(t, err)
	require.Equal(t, 500, int(c.Limits.Task.CallsPerSecond), "defaults are filled in")
	d, err := c.Directory()
	require.NoError(t, err)
	require.NotNil(t, d)
}

// TestFaults: one change of the good configuration each, and what the error must name.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown field", "environment: production", "environment: production\nmistake: 1", "mistake"},
		{"wrong environment", "environment: production", "environment: staging", "environment"},
		{"no trust domain", "trust_domains: [example.org]", "trust_domains: []", "spiffe.trust_domains"},
		{"bad trust domain", "trust_domains: [example.org]", `trust_domains: ["exa mple"]`, "line 4"},
		{"no Workload API", "  workload_api: unix:///run/spire/agent.sock\n", "", "spiffe.workload_api"},
		{"no gRPC address", `grpc: {address: "0.0.0.0:8443"}`, "grpc: {}", "listeners.grpc.address"},
		{"gRPC certificate", `grpc: {address: "0.0.0.0:8443"}`, `grpc: {address: "0.0.0.0:8443", cert_file: /c, key_file: /k}`, "listeners.grpc"},
		{"address without port", "0.0.0.0:8444", "0.0.0.0", "listeners.rest.address"},
		{"certificate without key", ", key_file: /k.pem", "", "listeners.rest"},
		{"ops for everybody", "127.0.0.1:9090", "0.0.0.0:9090", "listeners.ops.address"},
		{"ops by name", "127.0.0.1:9090", "localhost:9090", "listeners.ops.address"},
		{"JWT listener without audience", "  ops:", "  rest_jwt: {address: \"0.0.0.0:1\"}\n  ops:", "listeners.rest_jwt"},
		{"two stores", "url_file:", "url: \"sqlite:/x\", url_file:", "store"},
		{"password in the URL", "url_file: /run/secrets/store-url", `url: "postgres://u:hunter2@h/db"`, "store.url"},
		{"unknown store", "url_file: /run/secrets/store-url", `url: "mysql://h/db"`, "store.url"},
		{"no master key", `keys: {master: "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k"}`, "keys: {}", "keys.master"},
		{"master key in a file in production", "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k", "file:/k", "keys.master"},
		{"a login in the master key", "aws-kms://arn:aws:kms:eu-central-1:111122223333:key/k", "hcvault://canary@vault.test/transit/keys/k", "keys.master: holds a login"},
		{"no workspaces", good[strings.Index(good, "workspaces:"):], "workspaces: []\n", "workspaces"},
		{"bad SPIFFE ID", "spiffe://example.org/operator", "https://example.org/operator", "line 14"},
		{"bad duration", "max_ttl: 1h", "max_ttl: one hour", "line 18"},
		{"bad severity", "max_severity: WRITE", "max_severity: MUCH", "max_severity"},
		{"no connectors", "connectors: [crm]", "connectors: []", "connectors"},
		{"sandboxes is a whole domain", "sandboxes: spiffe://example.org/sandbox", "sandboxes: spiffe://example.org", "sandboxes"},
		{"development in production", "workspaces:", "development: {}\nworkspaces:", "development"},
		{"log level", "workspaces:", "log: {level: loud}\nworkspaces:", "log.level"},
		{"negative limit", "workspaces:", "limits: {task: {concurrent: -1}}\nworkspaces:", "limits.task.concurrent"},
		{"no limit", "workspaces:", "limits: {task: {calls_per_second: .nan}}\nworkspaces:", "limits.task.calls_per_second"},
		{"a task above its user", "workspaces:", "limits: {task: {calls_per_second: 1001}}\nworkspaces:", "limits.user.calls_per_second"},
		{"a user above its workspace", "workspaces:", "limits: {user: {call_burst: 10001}}\nworkspaces:", "limits.workspace.call_burst"},
		{"a workspace above the broker", "workspaces:", "limits: {workspace: {concurrent: 5000}}\nworkspaces:", "limits.broker.concurrent"},
		{"a connector above its workspace", "workspaces:", "limits: {connector: {concurrent: 3000}}\nworkspaces:", "limits.workspace.concurrent"},
		{"a workload's connections above all", "workspaces:", "limits: {connections: 100}\nworkspaces:", "limits.connections"},
		{"nothing may be held", "workspaces:", "limits: {held_bytes: 1KiB}\nworkspaces:", "limits.held_bytes"},
		{"a size that is none", "workspaces:", "limits: {held_bytes: much}\nworkspaces:", "much"},
		{"no time to receive", "workspaces:", "limits: {receive_timeout: 10ms}\nworkspaces:", "limits.receive_timeout"},
		{"no time to send", "workspaces:", "limits: {send_timeout: 10ms}\nworkspaces:", "limits.send_timeout"},
		{"a long wait", "workspaces:", "limits: {wait: 1h}\nworkspaces:", "limits.wait"},
		{"clear-text traces to elsewhere", "workspaces:", "telemetry: {otlp_endpoint: \"collector:4317\", otlp_insecure: true}\nworkspaces:", "telemetry.otlp_insecure"},
		{"sample ratio", "workspaces:", "telemetry: {sample_ratio: 2}\nworkspaces:", "telemetry.sample_ratio"},
		{"issuer in clear text", "workspaces:", issuers("{issuer: \"http://idp.example\", audiences: [a], workspaces: [default]}"), "issuers[0].issuer"},
		{"issuer named local", "workspaces:", issuers("{issuer: local, audiences: [a], workspaces: [default]}"), "issuers[0].issuer: \"local\""},
		{"issuer without audience", "workspaces:", issuers("{issuer: \"https://idp.example\", workspaces: [default]}"), "issuers[0].audiences"},
		{"issuer without workspace", "workspaces:", issuers("{issuer: \"https://idp.example\", audiences: [a]}"), "issuers[0].workspaces"},
		{"issuer of no workspace", "workspaces:", issuers("{issuer: \"https://idp.example\", audiences: [a], workspaces: [defualt]}"), `issuers[0].workspaces: "defualt"`},
		{"issuer in a range that is none", "workspaces:", issuers("{issuer: \"https://idp.example\", audiences: [a], workspaces: [default], allow: [10.1.2.3/16]}"), "10.1.2.3/16"},
		{"unknown field of an issuer", "workspaces:", issuers("{issuer: \"https://idp.example\", audience: a}"), "audience"},
		{"intervals without an issuer", "workspaces:", "assertions: {lead: 1h}\nworkspaces:", "assertions.issuer"},
		{"own issuer in clear text", "workspaces:", "assertions: {issuer: \"http://b.example\"}\nworkspaces:", "assertions.issuer"},
		{"issuer with a path", "workspaces:", "assertions: {issuer: \"https://b.example/\"}\nworkspaces:", "assertions.issuer"},
		{"issuer with a user", "workspaces:", "assertions: {issuer: \"https://u@b.example\"}\nworkspaces:", "assertions.issuer"},
		{"issuer that nobody can ask", "  public: {address: \"0.0.0.0:8445\"}\n  ops: {address: \"127.0.0.1:9090\"}\n", "assertions: {issuer: \"https://b.example\"}\n", "needs listeners.public"},
		{"SVID to a path", "orchestrators:", "svid_upstreams: [\"https://a.example/\"]\n    orchestrators:", "workspaces[0].svid_upstreams[0]"},
		{"SVID to a domain", "orchestrators:", "svid_upstreams: [\"https://b.example\", \"*.a.example\"]\n    orchestrators:", "workspaces[0].svid_upstreams[1]"},
		{"key used too soon", "workspaces:", "assertions: {issuer: \"https://b.example\", lead: 1m}\nworkspaces:", "assertions.lead"},
		{"key gone too soon", "workspaces:", "assertions: {issuer: \"https://b.example\", retire: 1m}\nworkspaces:", "assertions.retire"},
		{"key without a successor", "workspaces:", "assertions: {issuer: \"https://b.example\", active: 30m}\nworkspaces:", "assertions.active"},
		{"connect in clear text", "workspaces:", "connect: {url: \"http://b.example\"}\nworkspaces:", "connect.url"},
		{"connect with a path", "workspaces:", "connect: {url: \"https://b.example/\"}\nworkspaces:", "connect.url"},
		{"connect with a port that browsers do not show", "workspaces:", "connect: {url: \"https://b.example:443\"}\nworkspaces:", "connect.url"},
		{"connect with an empty port", "workspaces:", "connect: {url: \"https://b.example:\"}\nworkspaces:", "connect.url"},
		{"connect in capitals", "workspaces:", "connect: {url: \"https://B.example\"}\nworkspaces:", "connect.url"},
		{"an MCP origin with a wildcard", "workspaces:", "mcp: {origins: [\"https://ok.example\", \"https://*.example\"]}\nworkspaces:", "mcp.origins[1]"},
		{"an MCP origin with a path", "workspaces:", "mcp: {origins: [\"https://ok.example\", \"https://a.example/\"]}\nworkspaces:", "mcp.origins[1]"},
		{"an MCP origin without a scheme", "workspaces:", "mcp: {origins: [\"https://ok.example\", \"a.example\"]}\nworkspaces:", "mcp.origins[1]"},
		{"an MCP origin in capitals", "workspaces:", "mcp: {origins: [\"https://ok.example\", \"https://A.example\"]}\nworkspaces:", "mcp.origins[1]"},
		{"an MCP origin of none", "workspaces:", "mcp: {origins: [\"https://ok.example\", \"null\"]}\nworkspaces:", "mcp.origins[1]"},
		{"an MCP origin with a user", "workspaces:", "mcp: {origins: [\"https://ok.example\", \"https://u@a.example\"]}\nworkspaces:", "mcp.origins[1]"},
		{"connect with a user", "workspaces:", "connect: {url: \"https://u@b.example\"}\nworkspaces:", "connect.url"},
		{"pages that nobody can open", "  public: {address: \"0.0.0.0:8445\"}\n  ops: {address: \"127.0.0.1:9090\"}\n", "connect: {url: \"https://b.example\"}\n", "needs listeners.public"},
		{"sign-in without connect", "workspaces:", signIn("client_id: a, auth: none"), "needs connect.url"},
		{"sign-in as another client", "workspaces:", signInOf("client_id: b, auth: none"), "issuers[0].sign_in.client_id"},
		{"sign-in without auth", "workspaces:", signInOf("client_id: a"), "issuers[0].sign_in.auth"},
		{"sign-in with a key", "workspaces:", signInOf("client_id: a, auth: private_key_jwt"), "issuers[0].sign_in.auth"},
		{"sign-in without its secret", "workspaces:", signInOf("client_id: a, auth: basic"), "issuers[0].sign_in.client_secret_file"},
		{"sign-in with a secret too many", "workspaces:", signInOf("client_id: a, auth: none, client_secret_file: /s"), "issuers[0].sign_in.client_secret_file"},
		{"sign-in with the secret itself", "workspaces:", signInOf("client_id: a, auth: basic, client_secret: hunter2"), "client_secret"},
		{"resolver by name", "workspaces:", "egress: {resolver: [\"dns.example:53\"]}\nworkspaces:", "line 12"},
		{"resolver without a port", "workspaces:", "egress: {resolver: [10.0.0.53]}\nworkspaces:", "want IP:PORT"},
		{"resolver at port 0", "workspaces:", "egress: {resolver: [\"10.0.0.53:0\"]}\nworkspaces:", "want IP:PORT"},
		{"resolver nowhere", "workspaces:", "egress: {resolver: [\"10.0.0.53:53\", \"0.0.0.0:53\"]}\nworkspaces:", "want IP:PORT"},
		{"two documents", "workspaces:", "---\nworkspaces:", "document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("SPIFFE_ENDPOINT_SOCKET", "")
			require.Contains(t, good, c.from)
			_, err := config.Parse([]byte(strings.Replace(good, c.from, c.to, 1)))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestAssertionsAreOffOrWhole(t *testing.T) {
	c, err := config.Parse([]byte(good))
	require.NoError(t, err)
	require.Zero(t, c.Assertions)
	c, err = config.Parse([]byte(good + "assertions: {issuer: \"https://b.example:8445\"}\n"))
	require.NoError(t, err)
	require.Equal(t, config.Assertions{
		Issuer: "https://b.example:8445", Lead: config.Duration(time.Hour), Active: config.Duration(720 * time.Hour), Retire: config.Duration(24 * time.Hour),
	}, c.Assertions)
}

func TestEveryFaultIsReported(t *testing.T) {
	text := strings.NewReplacer("production", "staging", "127.0.0.1:9090", "0.0.0.0:9090", "aws-kms:", "abacus:").Replace(good)
	_, err := config.Parse([]byte(text))
	for _, want := range []string{"environment", "listeners.ops.address", "keys.master"} {
		require.ErrorContains(t, err, want)
	}
}

func TestEmptyAndMissing(t *testing.T) {
	_, err := config.Parse(nil)
	require.ErrorContains(t, err, "empty")
	_, err = config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStoreURLFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(path, []byte("postgres://u:p@h/db\n"), 0o600))
	c := &config.Config{Store: config.Store{URLFile: path}}
	url, err := c.StoreURL()
	require.NoError(t, err)
	require.Equal(t, "postgres://u:p@h/db", url)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("workspaces: [{name: a, operators: [1]}]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = config.Parse(text)
	})
}
