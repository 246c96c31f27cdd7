package config

import (
	"net/netip"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Environments.
const (
	Production  = "production"
	Development = "development"
)

// Config is the whole configuration of onedoord. docs/operations.md shows one.
type Config struct {
	// Environment is production or development. In production the embedded
	// authority, demo upstreams and a master key in a file are refused.
	Environment string `yaml:"environment"`
	// SPIFFE says whom to trust and where this broker's own SVID comes from.
	SPIFFE SPIFFE `yaml:"spiffe"`
	// Listeners are the addresses on which it serves.
	Listeners Listeners `yaml:"listeners"`
	// Store is the database.
	Store Store `yaml:"store"`
	// Keys says what wraps the keys in the store.
	Keys Keys `yaml:"keys"`
	// Assertions says how internal upstreams are told who the user is; off unless set.
	Assertions Assertions `yaml:"assertions"`
	// Workspaces say who may do what where.
	Workspaces []Workspace `yaml:"workspaces"`
	// Issuers are the OpenID providers whose ID tokens say who a task's user is.
	Issuers []Issuer `yaml:"issuers"`
	// Connect lets users connect their accounts in a browser; off unless set.
	Connect Connect `yaml:"connect"`
	// MCP is about MCP clients, which the REST listeners serve on /mcp.
	MCP MCP `yaml:"mcp,omitempty"`
	// Egress says how upstreams are reached, and what goes through proxies.
	Egress Egress `yaml:"egress,omitempty"`
	// Limits keep the broker for everybody.
	Limits Limits `yaml:"limits,omitempty"`
	// Log says how much is logged.
	Log Log `yaml:"log"`
	// Telemetry says where traces go; nowhere unless set.
	Telemetry Telemetry `yaml:"telemetry"`
	// Drain is how long running calls may go on after SIGTERM; default 30s.
	Drain Duration `yaml:"drain"`
	// Development starts what production brings from outside.
	Development *DevelopmentParts `yaml:"development"`
}

// SPIFFE says whom to trust.
type SPIFFE struct {
	// WorkloadAPI is the address of the Workload API, for instance
	// unix:///run/spire/agent.sock; default $SPIFFE_ENDPOINT_SOCKET.
	WorkloadAPI string `yaml:"workload_api"`
	// TrustDomains are those whose workloads may connect; at least one. Federated
	// domains need their bundle from the Workload API.
	TrustDomains []TrustDomain `yaml:"trust_domains"`
	// DeniedIDsFile lists SPIFFE IDs, one a line, that are refused whatever they
	// present; it is read again when it changes.
	DeniedIDsFile string `yaml:"denied_ids_file"`
}

// Listeners are the addresses on which the broker serves, host:port each.
type Listeners struct {
	// GRPC speaks gRPC over mutual TLS 1.3; needed.
	GRPC Listener `yaml:"grpc"`
	// REST speaks HTTPS with the same mutual TLS.
	REST Listener `yaml:"rest"`
	// RESTJWT speaks HTTPS to callers that bring a JWT-SVID; off unless set.
	RESTJWT JWTListener `yaml:"rest_jwt"`
	// Public speaks HTTPS without client certificates and serves no API; with connect.url
	// it serves the pages by which users connect their accounts.
	Public Listener `yaml:"public"`
	// Ops serves metrics and pprof in clear text; loopback only.
	Ops Listener `yaml:"ops"`
}

// Listener is one address. Certificate and key are PEM files, read again when they
// change; without them the SVID is used, which must have DNS names then.
type Listener struct {
	Address  string `yaml:"address"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// JWTListener is a Listener for JWT-SVIDs.
type JWTListener struct {
	Listener `yaml:",inline"`
	// Audience is the one audience that a JWT-SVID must name.
	Audience string `yaml:"audience"`
}

// Store is the database.
type Store struct {
	// URL is sqlite:PATH, postgres://… or cockroach://…; without a password in it.
	URL string `yaml:"url"`
	// URLFile names a file that holds the URL, password and all.
	URLFile string `yaml:"url_file"`
}

// Keys says what wraps the keys in the store.
type Keys struct {
	// Master is file:PATH (development), aws-kms://ARN, gcp-kms://… or hcvault://….
	Master string `yaml:"master"`
	// VaultTokenFile holds the token for a hcvault:// master.
	VaultTokenFile string `yaml:"vault_token_file"`
	// VaultCAFile holds the certificates to trust for it; default the system's.
	VaultCAFile string `yaml:"vault_ca_file"`
}

// Assertions says who signs assertions and how their keys rotate. All brokers of one
// store should say the same.
type Assertions struct {
	// Issuer is iss, and where the public listener is reached: https://HOST[:PORT].
	// Verifiers fetch the keys below it. Without it no assertion is made, and a call
	// whose connector wants one is refused.
	Issuer string `yaml:"issuer"`
	// Lead is how long a key is published before it may sign; default 1h. Some
	// verifiers look for new keys every 20 minutes and no sooner.
	Lead Duration `yaml:"lead"`
	// Active is how long a key signs; default 720h.
	Active Duration `yaml:"active"`
	// Retire is how long a key is published after it has signed; default 24h.
	Retire Duration `yaml:"retire"`
}

// Workspace says who may do what in one workspace.
type Workspace struct {
	// Name is lower-case letters, digits and dashes.
	Name string `yaml:"name"`
	// Operators manage connectors, credentials and keys, and read the audit trail.
	Operators []SPIFFEID `yaml:"operators"`
	// Orchestrators mint tasks.
	Orchestrators []Orchestrator `yaml:"orchestrators"`
	// SVIDUpstreams are the origins to which connectors of the workspace may have the
	// broker show its own SVID (tls.client: svid); "*" means every one. None unless set.
	SVIDUpstreams []string `yaml:"svid_upstreams"`
}

// Orchestrator bounds the tasks that one SPIFFE ID may mint; nothing unset is allowed.
type Orchestrator struct {
	// ID is the orchestrator's SPIFFE ID.
	ID SPIFFEID `yaml:"id"`
	// Sandboxes is the SPIFFE ID at or below which its sandboxes are.
	Sandboxes SPIFFEID `yaml:"sandboxes"`
	// MayAssertUsers lets it name users without an ID token.
	MayAssertUsers bool `yaml:"may_assert_users"`
	// MaxTTL bounds a task's life.
	MaxTTL Duration `yaml:"max_ttl"`
	// MaxSeverity bounds its grants: READ, WRITE, DESTRUCTIVE or ADMIN.
	MaxSeverity string `yaml:"max_severity"`
	// Connectors may be granted; "*" means every one of the workspace.
	Connectors []string `yaml:"connectors"`
}

// Issuer is an OpenID provider whose ID tokens say who a user is.
type Issuer struct {
	// Issuer is its identifier, exactly as `iss` of its tokens has it: https://….
	Issuer string `yaml:"issuer"`
	// Audiences are the client ids for which its tokens may be made out; at least one.
	Audiences []string `yaml:"audiences"`
	// SubjectClaim names the claim that says who the user is; default sub.
	SubjectClaim string `yaml:"subject_claim"`
	// Workspaces are those in which its tokens count; at least one.
	Workspaces []string `yaml:"workspaces"`
	// CAFile holds the certificates to trust for it; default the system's.
	CAFile string `yaml:"ca_file"`
	// Allow are private address ranges in which it may be; default none.
	Allow []Range `yaml:"allow"`
	// SignIn says as which client this broker signs its users in, before they connect an
	// account; without it they cannot, but in development.
	SignIn *SignIn `yaml:"sign_in"`
}

// SignIn is a client at an issuer.
type SignIn struct {
	// ClientID is the client's id, one of the issuer's audiences.
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds its secret; none for auth: none.
	ClientSecretFile string `yaml:"client_secret_file"`
	// Auth is how the client proves itself to the token endpoint: basic, post or none.
	Auth string `yaml:"auth"`
}

// Connect says where browsers reach the broker.
type Connect struct {
	// URL is where they reach the public listener: https://HOST[:PORT]. What providers
	// must know as the redirect URI is this with /connect/callback behind it.
	URL string `yaml:"url"`
}

// MCP is about MCP clients.
type MCP struct {
	// Origins are the web origins, as a browser writes them in `Origin`, from which they
	// may call; default none. Clients that are no web pages send none.
	Origins []string `yaml:"origins"`
}

// Log says how much is logged, to standard error.
type Log struct {
	// Level is debug, info, warn or error; default info.
	Level string `yaml:"level"`
	// Format is json or text; default json.
	Format string `yaml:"format"`
}

// Telemetry says where traces go.
type Telemetry struct {
	// OTLPEndpoint is a collector's OTLP/gRPC address, host:port, reached over TLS.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
	// OTLPCAFile holds the certificates to trust for it; default the system's.
	OTLPCAFile string `yaml:"otlp_ca_file"`
	// OTLPInsecure sends in clear text; to a loopback address only.
	OTLPInsecure bool `yaml:"otlp_insecure"`
	// SampleRatio is the share of calls that are traced, above 0 to 1; default 0.1.
	SampleRatio float64 `yaml:"sample_ratio"`
}

// DevelopmentParts start in process what production brings from outside.
type DevelopmentParts struct {
	// Authority serves a development Workload API.
	Authority *Authority `yaml:"authority"`
	// Demo runs the demo upstreams.
	Demo *Demo `yaml:"demo"`
}

// Authority is an embedded SPIFFE authority.
type Authority struct {
	// TrustDomain is the domain that it issues for.
	TrustDomain TrustDomain `yaml:"trust_domain"`
	// Sockets is the folder of its sockets, one a workload.
	Sockets string `yaml:"sockets"`
	// SVIDLife is how long its SVIDs live; default 5m.
	SVIDLife Duration `yaml:"svid_life"`
	// Workloads are those that it knows.
	Workloads []AuthorityWorkload `yaml:"workloads"`
}

// AuthorityWorkload is a workload of the embedded authority.
type AuthorityWorkload struct {
	ID SPIFFEID `yaml:"id"`
	// Socket is a file name in the authority's folder.
	Socket string `yaml:"socket"`
	// DNSNames and IPs go into its SVID.
	DNSNames []string `yaml:"dns_names"`
	IPs      []string `yaml:"ips"`
}

// Demo are the demo upstreams: a CRM with its accounts, a model API and a payroll API.
type Demo struct {
	// Secrets is the folder of the secrets that they demand.
	Secrets string `yaml:"secrets"`
	// TLS is the folder of their certificate and its CA.
	TLS string `yaml:"tls"`
	// Accounts, CRM, Model and Payroll are their addresses; loopback only.
	Accounts string `yaml:"accounts"`
	CRM      string `yaml:"crm"`
	Model    string `yaml:"model"`
	Payroll  string `yaml:"payroll"`
}

// Duration is a time.Duration in Go's notation, for instance "15m".
type Duration time.Duration

// Range is a range of private addresses, for instance 10.1.0.0/16.
type Range struct{ netip.Prefix }

// SPIFFEID is a SPIFFE ID.
type SPIFFEID struct{ spiffeid.ID }

// TrustDomain is a trust domain's name.
type TrustDomain struct{ spiffeid.TrustDomain }
