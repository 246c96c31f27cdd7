package app

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/connect"
	"github.com/onedoor/onedoor/server/demo"
	"github.com/onedoor/onedoor/server/devspiffe"
)

// development is what runs in process in place of what production brings.
type development struct {
	authority *devspiffe.Authority
	// sockets are the addresses of the authority's workloads, by SPIFFE ID.
	sockets   map[string]string
	upstreams *demo.Upstreams
}

// startDevelopment starts the parts that the configuration asks for; config refuses
// them in production.
func (a *App) startDevelopment(context.Context) error {
	d := a.config.Development
	if d == nil {
		return nil
	}
	a.parts = &development{sockets: map[string]string{}}
	if d.Authority != nil {
		if err := a.startAuthority(d.Authority); err != nil {
			return fmt.Errorf("development authority: %w", err)
		}
	}
	if d.Demo != nil {
		var issuerCA []byte
		if a.parts.authority != nil {
			issuerCA = a.parts.authority.BundlePEM()
		}
		upstreams, err := demo.Start(demo.Options{
			Issuer: a.config.Assertions.Issuer, IssuerCA: issuerCA, Redirect: a.config.Connect.URL + connect.CallbackPath,
			Secrets: d.Demo.Secrets, TLS: d.Demo.TLS, Accounts: d.Demo.Accounts, CRM: d.Demo.CRM, Model: d.Demo.Model, Payroll: d.Demo.Payroll, Log: a.log,
		})
		if err != nil {
			return err
		}
		a.parts.upstreams = upstreams
		a.closer.add("demo upstreams", func(context.Context) error { upstreams.Close(); return nil })
	}
	return nil
}

func (a *App) startAuthority(c *config.Authority) error {
	authority, err := devspiffe.New(devspiffe.Options{
		TrustDomain: c.TrustDomain.TrustDomain, Dir: c.Sockets, SVIDLife: time.Duration(c.SVIDLife), Log: a.log,
	})
	if err != nil {
		return err
	}
	a.parts.authority = authority
	a.closer.add("development authority", func(context.Context) error { authority.Close(); return nil })
	for _, w := range c.Workloads {
		one := devspiffe.Workload{ID: w.ID.ID, Socket: w.Socket, DNSNames: w.DNSNames}
		for _, ip := range w.IPs {
			one.IPs = append(one.IPs, net.ParseIP(ip))
		}
		address, err := authority.Add(one)
		if err != nil {
			return err
		}
		a.parts.sockets[w.ID.String()] = address
	}
	return nil
}
