package config

import (
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/idtoken"
)

func (c *Config) checkIssuers(k *checker) {
	for i, one := range c.Issuers {
		for _, name := range one.Workspaces {
			known := slices.ContainsFunc(c.Workspaces, func(w Workspace) bool { return w.Name == name })
			k.when(!known, fmt.Sprintf("issuers[%d].workspaces", i), "%q is not one of workspaces", name)
		}
	}
	if err := idtoken.Check(c.issuers()); err != nil {
		k.faults = append(k.faults, strings.Split(err.Error(), "\n")...)
	}
}

// issuers is what the configuration says of the issuers, without their certificates.
func (c *Config) issuers() []idtoken.Issuer {
	list := make([]idtoken.Issuer, 0, len(c.Issuers))
	for _, one := range c.Issuers {
		issuer := idtoken.Issuer{
			URL: one.Issuer, Audiences: one.Audiences, SubjectClaim: one.SubjectClaim, Workspaces: one.Workspaces,
		}
		for _, r := range one.Allow {
			issuer.Policy.AllowRanges = append(issuer.Policy.AllowRanges, r.Prefix)
		}
		list = append(list, issuer)
	}
	return list
}

// IDTokenIssuers is what the configuration says of the issuers. It reads their
// certificates.
func (c *Config) IDTokenIssuers() ([]idtoken.Issuer, error) {
	list := c.issuers()
	for i, one := range c.Issuers {
		if one.CAFile == "" {
			continue
		}
		text, err := os.ReadFile(one.CAFile)
		if err != nil {
			return nil, fmt.Errorf("issuers[%d].ca_file: %w", i, err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("issuers[%d].ca_file: %s holds no certificate", i, one.CAFile)
		}
		list[i].Policy.RootCAs = text
	}
	return list, nil
}
