package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/grant"
)

func (c *Config) defaults() {
	set(&c.Environment, Production)
	set(&c.Log.Level, "info")
	set(&c.Log.Format, "json")
	set(&c.Drain, Duration(30*time.Second))
	c.Limits.defaults()
	set(&c.Telemetry.SampleRatio, 0.1)
	for i := range c.Egress.Proxies {
		set(&c.Egress.Proxies[i].Send, sendAddress)
	}
	if c.Assertions.Issuer != "" {
		set(&c.Assertions.Lead, Duration(time.Hour))
		set(&c.Assertions.Active, Duration(720*time.Hour))
		set(&c.Assertions.Retire, Duration(24*time.Hour))
	}
	if c.SPIFFE.WorkloadAPI == "" {
		c.SPIFFE.WorkloadAPI = os.Getenv("SPIFFE_ENDPOINT_SOCKET")
	}
	if c.Development != nil && c.Development.Authority != nil {
		set(&c.Development.Authority.SVIDLife, Duration(5*time.Minute))
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// checker collects faults, each with the path of its field.
type checker struct{ faults []string }

func (k *checker) fault(path, format string, args ...any) {
	k.faults = append(k.faults, path+": "+fmt.Sprintf(format, args...))
}

func (k *checker) when(bad bool, path, format string, args ...any) {
	if bad {
		k.fault(path, format, args...)
	}
}

func (c *Config) check() []string {
	k := &checker{}
	k.when(c.Environment != Production && c.Environment != Development, "environment", "%q: want production or development", c.Environment)
	k.when(len(c.SPIFFE.TrustDomains) == 0, "spiffe.trust_domains", "at least one is needed: nobody is trusted otherwise")
	k.when(c.SPIFFE.WorkloadAPI == "", "spiffe.workload_api", "set it, or SPIFFE_ENDPOINT_SOCKET")
	c.checkListeners(k)
	c.checkStore(k)
	c.checkKeys(k)
	c.checkAssertions(k)
	c.Limits.check(k)
	c.checkLog(k)
	c.checkTelemetry(k)
	c.checkDevelopment(k)
	c.checkIssuers(k)
	c.checkConnect(k)
	c.checkMCP(k)
	c.checkEgress(k)
	c.checkSVIDUpstreams(k)
	if _, err := c.Directory(); err != nil {
		k.faults = append(k.faults, strings.Split(err.Error(), "\n")...)
	}
	return k.faults
}

func (c *Config) checkListeners(k *checker) {
	l := &c.Listeners
	k.when(l.GRPC.Address == "", "listeners.grpc.address", "is needed, host:port")
	k.when(l.GRPC.CertFile != "" || l.GRPC.KeyFile != "", "listeners.grpc", "takes no certificate: it shows the SVID")
	for path, one := range map[string]Listener{
		"listeners.grpc": l.GRPC, "listeners.rest": l.REST, "listeners.rest_jwt": l.RESTJWT.Listener,
		"listeners.public": l.Public, "listeners.ops": l.Ops,
	} {
		if one.Address == "" {
			k.when(one.CertFile != "" || one.KeyFile != "", path+".address", "is needed beside a certificate")
			continue
		}
		if _, _, err := net.SplitHostPort(one.Address); err != nil {
			k.fault(path+".address", "%q: want host:port", one.Address)
		}
		k.when((one.CertFile == "") != (one.KeyFile == ""), path, "cert_file and key_file go together")
	}
	k.when(l.Ops.Address != "" && !loopback(l.Ops.Address), "listeners.ops.address", "%q: metrics and pprof are served on loopback only, for instance 127.0.0.1:9090", l.Ops.Address)
	k.when(l.Ops.CertFile != "", "listeners.ops", "takes no certificate: it is loopback only")
	k.when((l.RESTJWT.Address == "") != (l.RESTJWT.Audience == ""), "listeners.rest_jwt", "address and audience go together")
}

// loopback: an IP literal, since a name may come to mean something else.
func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().IsLoopback()
}

func (c *Config) checkStore(k *checker) {
	s := &c.Store
	k.when((s.URL == "") == (s.URLFile == ""), "store", "exactly one of url and url_file is needed")
	if s.URL == "" {
		return
	}
	if strings.HasPrefix(s.URL, "sqlite:") {
		k.when(s.URL == "sqlite:", "store.url", "name the file: sqlite:PATH")
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql" && u.Scheme != "cockroach") {
		k.fault("store.url", "want sqlite:PATH, postgres://… or cockroach://…")
		return
	}
	_, has := u.User.Password()
	k.when(has || u.Query().Has("password"), "store.url", "holds a password: put the URL into a file and name it with url_file")
}

func (c *Config) checkKeys(k *checker) {
	master := c.Keys.Master
	scheme, _, ok := strings.Cut(master, ":")
	switch {
	case !ok:
		k.fault("keys.master", "want file:PATH, aws-kms://…, gcp-kms://… or hcvault://…")
	case scheme == "file":
		k.when(c.Environment == Production, "keys.master", "a master key in a file is for development: production takes a KMS")
	case scheme != "aws-kms" && scheme != "gcp-kms" && scheme != "hcvault":
		k.fault("keys.master", "%s: not known; want file:PATH, aws-kms://…, gcp-kms://… or hcvault://…", scheme)
	default:
		k.when(strings.Contains(master, "@"), "keys.master", "holds a login; that of hcvault:// stands in a file, which vault_token_file names")
	}
}

// shortestPublished bounds the intervals of assertion keys in production: verifiers keep
// the keys for 5 minutes and more, an assertion lives for one, and their clocks differ.
const shortestPublished = Duration(10 * time.Minute)

func (c *Config) checkAssertions(k *checker) {
	a := &c.Assertions
	if a.Issuer == "" {
		k.when(*a != Assertions{}, "assertions.issuer", "is needed beside the intervals")
		return
	}
	u, err := url.Parse(a.Issuer)
	k.when(err != nil || u.Host == "" || "https://"+u.Host != a.Issuer, "assertions.issuer",
		"%q: want https://HOST or https://HOST:PORT and nothing behind it", a.Issuer)
	k.when(c.Listeners.Public.Address == "", "assertions.issuer", "needs listeners.public, which publishes the keys")
	k.when(a.Active < a.Lead, "assertions.active", "is shorter than assertions.lead: the next key would not be ready")
	if c.Environment == Production {
		k.when(a.Lead < shortestPublished, "assertions.lead", "want at least %s: verifiers keep the keys that they know", time.Duration(shortestPublished))
		k.when(a.Retire < shortestPublished, "assertions.retire", "want at least %s: assertions are under way", time.Duration(shortestPublished))
	}
}

func (c *Config) checkLog(k *checker) {
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		k.fault("log.level", "%q: want debug, info, warn or error", c.Log.Level)
	}
	k.when(c.Log.Format != "json" && c.Log.Format != "text", "log.format", "%q: want json or text", c.Log.Format)
}

func (c *Config) checkTelemetry(k *checker) {
	t := &c.Telemetry
	k.when(t.SampleRatio < 0 || t.SampleRatio > 1, "telemetry.sample_ratio", "want 0 to 1")
	if t.OTLPEndpoint == "" {
		return
	}
	if _, _, err := net.SplitHostPort(t.OTLPEndpoint); err != nil {
		k.fault("telemetry.otlp_endpoint", "%q: want host:port", t.OTLPEndpoint)
	}
	k.when(t.OTLPInsecure && !loopback(t.OTLPEndpoint), "telemetry.otlp_insecure", "only to a loopback address such as 127.0.0.1:4317")
}

func (c *Config) checkDevelopment(k *checker) {
	d := c.Development
	if d == nil {
		return
	}
	k.when(c.Environment != Development, "development", "needs environment: development")
	if a := d.Authority; a != nil {
		k.when(a.Sockets == "", "development.authority.sockets", "is needed")
		k.when(a.TrustDomain.IsZero(), "development.authority.trust_domain", "is needed")
		for i, w := range a.Workloads {
			path := fmt.Sprintf("development.authority.workloads[%d]", i)
			k.when(w.ID.TrustDomain() != a.TrustDomain.TrustDomain, path+".id", "%s is not of the trust domain %s", w.ID, a.TrustDomain)
			k.when(w.Socket == "" || strings.ContainsAny(w.Socket, "/\\"), path+".socket", "want a file name")
			for _, ip := range w.IPs {
				k.when(net.ParseIP(ip) == nil, path+".ips", "%q is no IP address", ip)
			}
		}
	}
	if m := d.Demo; m != nil {
		k.when(c.Assertions.Issuer == "", "development.demo", "needs assertions.issuer: the payroll API verifies assertions")
		k.when(m.Secrets == "" || m.TLS == "", "development.demo", "secrets and tls are needed")
		for name, address := range map[string]string{"accounts": m.Accounts, "crm": m.CRM, "model": m.Model, "payroll": m.Payroll} {
			k.when(!loopback(address), "development.demo."+name, "%q: want a loopback address such as 127.0.0.1:8443", address)
		}
	}
}

// Directory is what the workspaces say, checked.
func (c *Config) Directory() (*authn.Directory, error) {
	var workspaces []authn.Workspace
	for _, w := range c.Workspaces {
		out := authn.Workspace{Name: w.Name}
		for _, id := range w.Operators {
			out.Operators = append(out.Operators, id.ID)
		}
		for _, o := range w.Orchestrators {
			severity, err := grant.ParseSeverity(o.MaxSeverity)
			if err != nil {
				return nil, fmt.Errorf("workspace %s: orchestrator %s: max_%w", w.Name, o.ID, err)
			}
			out.Orchestrators = append(out.Orchestrators, authn.Orchestrator{
				ID: o.ID.ID, Sandboxes: o.Sandboxes.ID, MayAssertUsers: o.MayAssertUsers,
				MaxTTL: time.Duration(o.MaxTTL), MaxSeverity: severity, Connectors: o.Connectors,
			})
		}
		workspaces = append(workspaces, out)
	}
	return authn.NewDirectory(workspaces)
}

// StoreURL reads the store's URL, from its file where it is there.
func (c *Config) StoreURL() (string, error) {
	if c.Store.URLFile == "" {
		return c.Store.URL, nil
	}
	text, err := os.ReadFile(c.Store.URLFile)
	if err != nil {
		return "", fmt.Errorf("store.url_file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
