package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
)

// Egress says how upstreams are found, and how connections to them leave: directly, or
// through proxies.
type Egress struct {
	// Resolver are the DNS servers that are asked for upstreams' names, for instance
	// 10.0.0.53:53; the next one where one gives no answer. Default those of
	// /etc/resolv.conf.
	Resolver []DNSServer `yaml:"resolver"`
	// NoProxy are hosts, .suffixes of hosts and https origins that are reached directly
	// whatever proxies say. Their addresses are judged all the same.
	NoProxy []string `yaml:"no_proxy"`
	// Proxies are the customer's own.
	Proxies []Proxy `yaml:"proxies"`
}

// Proxy is one that connections go through by CONNECT, and never around it.
type Proxy struct {
	// Name is lower-case letters, digits and dashes, at most 40.
	Name string `yaml:"name"`
	// URL is http://HOST:PORT or https://HOST:PORT.
	URL string `yaml:"url"`
	// URLFromEnvironment takes the URL from HTTPS_PROXY, and adds what NO_PROXY says to
	// no_proxy. Without it neither is looked at.
	URLFromEnvironment bool `yaml:"url_from_environment"`
	// For is whose connections go through it: "*", WORKSPACE/*, WORKSPACE/CONNECTOR or
	// issuers. The most specific wins.
	For []string `yaml:"for"`
	// Send is what CONNECT asks for: address, the one judged here (the default), or name.
	Send string `yaml:"send"`
	// Auth is what the proxy demands: basic or bearer; none unless set.
	Auth string `yaml:"auth"`
	// Workspace is the one whose operators put the secret.
	Workspace string `yaml:"workspace"`
	// CAFile holds the certificates to trust for the proxy; default the system's.
	CAFile string `yaml:"ca_file"`
	// ClientCertFile and ClientKeyFile are PEM files shown to the proxy.
	ClientCertFile string `yaml:"client_cert_file"`
	ClientKeyFile  string `yaml:"client_key_file"`
	// Allow are private ranges in which the proxy itself may stand; default none.
	Allow []Range `yaml:"allow"`
	// Inspects says whose TLS the proxy may end.
	Inspects *Inspects `yaml:"inspects"`
}

// Inspects names the connectors whose TLS a proxy may end, and under which authority.
type Inspects struct {
	// CAFile holds the certificates under which it does.
	CAFile string `yaml:"ca_file"`
	// Connectors are WORKSPACE/CONNECTOR, each by its name.
	Connectors []string `yaml:"connectors"`
}

const (
	sendAddress  = "address"
	sendName     = "name"
	maxProxyName = 40
)

func (c *Config) checkEgress(k *checker) {
	before := len(k.faults)
	except := c.exceptions(k)
	var proxies []egress.Proxy
	names := map[string]bool{}
	for i := range c.Egress.Proxies {
		one := &c.Egress.Proxies[i]
		path := fmt.Sprintf("egress.proxies[%d]", i)
		k.when(!isProxyName(one.Name), path+".name", "%q: want up to %d lower-case letters, digits and dashes", one.Name, maxProxyName)
		k.when(names[one.Name], path+".name", "%q stands twice", one.Name)
		names[one.Name] = true
		c.checkProxy(k, path, one)
		proxies = append(proxies, c.proxy(k, path, one))
	}
	if len(k.faults) > before { // what is held against each other must be well-formed first
		return
	}
	if _, err := egress.NewRouting(proxies, except); err != nil {
		k.fault("egress.proxies", "%s", err)
	}
}

func (c *Config) exceptions(k *checker) (all []egress.Exception) {
	for i, text := range c.Egress.NoProxy {
		e, err := egress.ParseException(text)
		if err != nil {
			k.fault(fmt.Sprintf("egress.no_proxy[%d]", i), "%s", err)
		}
		all = append(all, e)
	}
	return all
}

func isProxyName(s string) bool {
	return s != "" && len(s) <= maxProxyName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (c *Config) checkProxy(k *checker, path string, p *Proxy) {
	k.when((p.URL == "") != p.URLFromEnvironment, path, "exactly one of url and url_from_environment is needed")
	k.when(len(p.For) == 0, path+".for", `is needed: "*" for everything, or WORKSPACE/*, WORKSPACE/CONNECTOR, issuers`)
	k.when(p.Send != sendAddress && p.Send != sendName, path+".send", "%q: want address or name", p.Send)
	switch p.Auth {
	case "":
		k.when(p.Workspace != "", path+".workspace", "belongs to auth")
	case credential.ProxyBasic, credential.ProxyBearer:
		k.when(!c.isWorkspace(p.Workspace), path+".workspace", "%q: want the one of workspaces whose operators put the proxy's secret", p.Workspace)
	default:
		k.fault(path+".auth", "%q: want basic or bearer", p.Auth)
	}
	k.when((p.ClientCertFile == "") != (p.ClientKeyFile == ""), path, "client_cert_file and client_key_file go together")
	if i := p.Inspects; i != nil {
		k.when(i.CAFile == "", path+".inspects.ca_file", "is needed")
		k.when(len(i.Connectors) == 0, path+".inspects.connectors", "is needed: WORKSPACE/CONNECTOR, each by its name")
	}
}

func (c *Config) isWorkspace(name string) bool {
	return slices.ContainsFunc(c.Workspaces, func(w Workspace) bool { return w.Name == name })
}

// proxy is what the configuration says of one, without what stands in files and in the
// environment.
func (c *Config) proxy(k *checker, path string, one *Proxy) egress.Proxy {
	p := egress.Proxy{Name: one.Name, SendName: one.Send == sendName, Authenticates: one.Auth != ""}
	for _, r := range one.Allow {
		p.AllowRanges = append(p.AllowRanges, r.Prefix)
	}
	p.For = c.scopes(k, path+".for", one.For)
	if one.Inspects != nil {
		p.Inspects = c.scopes(k, path+".inspects.connectors", one.Inspects.Connectors)
	}
	if one.URLFromEnvironment || one.URL == "" {
		return p
	}
	var err error
	if p.Address, err = egress.ParseProxyAddress(one.URL); err != nil {
		k.fault(path+".url", "%s", err)
		return p
	}
	k.when(!p.Address.IsTLS() && (one.CAFile != "" || one.ClientCertFile != ""), path, "ca_file and client_cert_file belong to an https:// url")
	return p
}

func (c *Config) scopes(k *checker, path string, texts []string) (all []egress.Scope) {
	for i, text := range texts {
		s, err := egress.ParseScope(text)
		if err != nil {
			k.fault(fmt.Sprintf("%s[%d]", path, i), "%q: %s", text, err)
			continue
		}
		k.when(s.Workspace() != "" && !c.isWorkspace(s.Workspace()), fmt.Sprintf("%s[%d]", path, i), "%q: %q is not one of workspaces", text, s.Workspace())
		all = append(all, s)
	}
	return all
}
