package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options say where the upstreams listen and where their files are.
type Options struct {
	// Secrets is the folder of what they demand: one file a secret and nothing else.
	Secrets string
	// TLS is the folder of their certificate and its CA.
	TLS string
	// Accounts, CRM, Model and Payroll are loopback addresses, host:port.
	Accounts, CRM, Model, Payroll string
	// Redirect is the URI to which the accounts send browsers.
	Redirect string
	// Issuer is whose assertions payroll believes, and IssuerCA the certificates, PEM,
	// to trust for it; default the system's.
	Issuer   string
	IssuerCA []byte
	Log      *slog.Logger
}

// Upstreams are the running demo upstreams.
type Upstreams struct {
	// Accounts, CRM, Model and Payroll are their origins.
	Accounts, CRM, Model, Payroll string
	// CA is the certificate, PEM, that signs theirs.
	CA []byte
	// Secrets are what they demand.
	Secrets Secrets

	servers []*http.Server
}

// Start makes what is missing in the folders, and serves until Close.
func Start(o Options) (*Upstreams, error) {
	secrets, err := openSecrets(o.Secrets)
	if err != nil {
		return nil, err
	}
	certificate, ca, err := OpenCertificate(o.TLS, time.Now())
	if err != nil {
		return nil, err
	}
	u := &Upstreams{CA: ca, Secrets: *secrets}
	provider := newAccounts(secrets.accounts, secrets.accountsKey, o.Redirect)
	u.Secrets.CRMAlice = Secret{func() string { return provider.first("alice") }}
	for _, s := range []struct {
		address string
		origin  *string
		handler http.Handler
	}{
		{o.Accounts, &u.Accounts, provider.handler()},
		{o.CRM, &u.CRM, provider.demand(newCRM())},
		{o.Model, &u.Model, newModel(secrets.Model)},
		{o.Payroll, &u.Payroll, newPayroll(secrets.Payroll, newVerifier(o.Issuer, o.IssuerCA))},
	} {
		if *s.origin, err = u.serve(s.address, s.handler, certificate, o.Log); err != nil {
			u.Close()
			return nil, err
		}
	}
	provider.origin = u.Accounts
	return u, nil
}

func (u *Upstreams) serve(address string, h http.Handler, certificate tls.Certificate, log *slog.Logger) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("demo upstream: %w", err)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	u.servers = append(u.servers, server)
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error("demo upstream ended", "error", err)
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", fmt.Errorf("demo upstream: %w", err)
	}
	return "https://localhost:" + port, nil
}

// Close stops the upstreams.
func (u *Upstreams) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, s := range u.servers {
		if s.Shutdown(ctx) != nil {
			_ = s.Close()
		}
	}
}
