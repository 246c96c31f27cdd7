package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/config"
)

// The workloads of a development broker.
const (
	devDomain       = "onedoor.dev"
	devBroker       = "spiffe://onedoor.dev/broker"
	devOperator     = "spiffe://onedoor.dev/operator"
	devOrchestrator = "spiffe://onedoor.dev/orchestrator"
	devSandboxes    = "spiffe://onedoor.dev/sandbox"
	devSandbox      = "spiffe://onedoor.dev/sandbox/one"
	devSandbox2     = "spiffe://onedoor.dev/sandbox/two"
)

// writeDevConfig writes the configuration. A port that was chosen at an earlier start
// stays while it is free: clients, and connectors that name the demo upstreams' ports,
// go on working.
func writeDevConfig(path, dir string, overrides map[string]string) error {
	before, err := config.Load(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w\nmend it, or remove it to have it made anew", err)
	}
	if before == nil {
		before = &config.Config{}
	}
	c := devConfig(dir)
	old := addressesOf(before)
	var held []net.Listener // until all are chosen: no port twice
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for name, address := range addressesOf(c) {
		if *address = overrides[name]; *address != "" {
			continue
		}
		l, err := freePort(*old[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		held = append(held, l)
		*address = l.Addr().String()
	}
	c.Assertions.Issuer = devIssuer(c.Listeners.Public.Address)
	if _, port, err := net.SplitHostPort(c.Listeners.Public.Address); err == nil { // else config.Load refuses it
		c.Connect.URL = "https://localhost:" + port
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	head := "# Made by `onedoord dev`, which keeps the ports and writes the rest anew at each start.\n"
	return writeFile(path, append([]byte(head), text...))
}

// devIssuer is where the demo's payroll, on this machine, reaches the public listener. A
// development SVID is good for localhost and 127.0.0.1.
func devIssuer(public string) string {
	host, port, err := net.SplitHostPort(public)
	if err != nil || host == "127.0.0.1" {
		return "https://" + public // what is no address config.Load refuses
	}
	return "https://localhost:" + port
}

// addressesOf names every address that dev chooses.
func addressesOf(c *config.Config) map[string]*string {
	if c.Development == nil || c.Development.Demo == nil {
		c.Development = &config.DevelopmentParts{Demo: &config.Demo{}}
	}
	l, d := &c.Listeners, c.Development.Demo
	return map[string]*string{
		"grpc": &l.GRPC.Address, "rest": &l.REST.Address, "public": &l.Public.Address, "ops": &l.Ops.Address,
		"accounts": &d.Accounts, "crm": &d.CRM, "model": &d.Model, "payroll": &d.Payroll,
	}
}

// freePort takes the address that was used before, if it is free, else a free port.
func freePort(before string) (net.Listener, error) {
	if before != "" {
		if l, err := net.Listen("tcp", before); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

func devConfig(dir string) *config.Config {
	id := func(s string) config.SPIFFEID { return config.SPIFFEID{ID: spiffeid.RequireFromString(s)} }
	domain := config.TrustDomain{TrustDomain: spiffeid.RequireTrustDomainFromString(devDomain)}
	sockets := filepath.Join(dir, "sockets")
	workspace := func(name string) config.Workspace {
		return config.Workspace{
			Name: name, Operators: []config.SPIFFEID{id(devOperator)},
			Orchestrators: []config.Orchestrator{{
				ID: id(devOrchestrator), Sandboxes: id(devSandboxes), MayAssertUsers: true,
				MaxTTL: config.Duration(24 * time.Hour), MaxSeverity: "ADMIN", Connectors: []string{"*"},
			}},
			SVIDUpstreams: []string{"*"},
		}
	}
	return &config.Config{
		Environment: config.Development,
		SPIFFE: config.SPIFFE{
			WorkloadAPI:  "unix://" + filepath.Join(sockets, "broker.sock"),
			TrustDomains: []config.TrustDomain{domain},
		},
		Store:      config.Store{URL: "sqlite:" + filepath.Join(dir, "onedoor.db")},
		Keys:       config.Keys{Master: "file:" + filepath.Join(dir, "master.json")},
		Workspaces: []config.Workspace{workspace("default"), workspace("other")},
		Log:        config.Log{Level: "info", Format: "text"},
		Drain:      config.Duration(5 * time.Second),
		Development: &config.DevelopmentParts{
			Authority: &config.Authority{
				TrustDomain: domain, Sockets: sockets, SVIDLife: config.Duration(5 * time.Minute),
				Workloads: []config.AuthorityWorkload{
					{ID: id(devBroker), Socket: "broker.sock", DNSNames: []string{"localhost"}, IPs: []string{"127.0.0.1"}},
					{ID: id(devSandbox), Socket: "sandbox.sock"},
					{ID: id(devSandbox2), Socket: "sandbox2.sock"},
					{ID: id(devOrchestrator), Socket: "orchestrator.sock"},
					{ID: id(devOperator), Socket: "operator.sock"},
				},
			},
			Demo: &config.Demo{Secrets: filepath.Join(dir, "demo"), TLS: filepath.Join(dir, "upstreams")},
		},
	}
}
