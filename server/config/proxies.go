package config

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/onedoor/onedoor/server/credential"
	"github.com/onedoor/onedoor/server/egress"
)

// EgressRouting is what goes through which proxy, and the proxies whose secrets operators
// put. It reads the files that are named, and the environment where that is asked for.
func (c *Config) EgressRouting() (*egress.Routing, []credential.Proxy, error) {
	k := &checker{}
	except := c.exceptions(k)
	var proxies []egress.Proxy
	var kept []credential.Proxy
	for i := range c.Egress.Proxies {
		one := &c.Egress.Proxies[i]
		path := fmt.Sprintf("egress.proxies[%d]", i)
		p := c.proxy(k, path, one)
		if one.URLFromEnvironment {
			more, err := fromEnvironment(one, &p)
			if err != nil {
				return nil, nil, fmt.Errorf("%s.url_from_environment: %w", path, err)
			}
			except = append(except, more...)
		}
		if err := readProxyFiles(one, &p); err != nil {
			return nil, nil, fmt.Errorf("%s.%w", path, err)
		}
		proxies = append(proxies, p)
		if one.Auth != "" {
			kept = append(kept, credential.Proxy{Workspace: one.Workspace, Name: one.Name, URL: p.Address.String(), Kind: one.Auth})
		}
	}
	if len(k.faults) > 0 {
		return nil, nil, list(k.faults)
	}
	routing, err := egress.NewRouting(proxies, except)
	if err != nil {
		return nil, nil, fmt.Errorf("egress.proxies: %w", err)
	}
	return routing, kept, nil
}

// fromEnvironment reads the two variables in either case, as other programs do. A
// password in there is refused: whoever can see the process's environment has it then.
func fromEnvironment(one *Proxy, p *egress.Proxy) (except []egress.Exception, err error) {
	address := firstSet("HTTPS_PROXY", "https_proxy")
	if address == "" {
		return nil, errors.New("HTTPS_PROXY is not set, and without the proxy nothing may leave: set it, or take the proxy out")
	}
	if p.Address, err = egress.ParseProxyAddress(address); err != nil {
		return nil, fmt.Errorf("HTTPS_PROXY: %w; a secret is put with auth, and onedoor credential put", err)
	}
	if !p.Address.IsTLS() && (one.CAFile != "" || one.ClientCertFile != "") {
		return nil, errors.New("ca_file and client_cert_file belong to an https:// proxy, and HTTPS_PROXY names none")
	}
	if except, err = egress.ParseNoProxy(firstSet("NO_PROXY", "no_proxy")); err != nil {
		return nil, fmt.Errorf("NO_PROXY: %w", err)
	}
	return except, nil
}

func firstSet(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// readProxyFiles reads what is named; an error begins with the field's name.
func readProxyFiles(one *Proxy, p *egress.Proxy) (err error) {
	if p.RootCAs, err = certificatesIn("ca_file", one.CAFile); err != nil {
		return err
	}
	if one.Inspects != nil {
		if p.InspectionCAs, err = certificatesIn("inspects.ca_file", one.Inspects.CAFile); err != nil {
			return err
		}
	}
	if one.ClientCertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(one.ClientCertFile, one.ClientKeyFile)
	if err != nil {
		return fmt.Errorf("client_cert_file: %w", err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("client_cert_file: %w", err)
		}
		chain = append(chain, parsed)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("client_key_file: a key of this kind cannot sign")
	}
	if p.Certificate, err = egress.NewCertificate(chain, key); err != nil {
		return fmt.Errorf("client_cert_file: %w", err)
	}
	return nil
}

// certificatesIn reads a PEM file that holds at least one certificate; no path, nothing.
func certificatesIn(field, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no certificate", field, path)
	}
	return text, nil
}
