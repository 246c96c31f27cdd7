package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/onedoor/onedoor/server/authn"
)

// identityTimeout is how long a start waits for the Workload API: it may answer "no
// identity issued" for some seconds.
const identityTimeout = 30 * time.Second

// identity is who this broker is, and how it verifies others.
type identity struct {
	x509    *workloadapi.X509Source
	id      spiffeid.ID
	trusted []spiffeid.TrustDomain
	jwt     authn.JWTVerifier // nil where JWT-SVIDs are not accepted
}

func (a *App) openIdentity(ctx context.Context) error {
	address := a.config.SPIFFE.WorkloadAPI
	wait, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	source, err := workloadapi.NewX509Source(wait, workloadapi.WithClientOptions(workloadapi.WithAddr(address)))
	if err != nil {
		return fmt.Errorf("no SVID from the Workload API at %s within %s (is it running, and is this broker registered?): %w", address, identityTimeout, err)
	}
	a.closer.add("workload api", func(context.Context) error { return source.Close() })
	svid, err := source.GetX509SVID()
	if err != nil {
		return fmt.Errorf("own SVID: %w", err)
	}
	a.source = &identity{x509: source, id: svid.ID}
	for _, td := range a.config.SPIFFE.TrustDomains {
		a.source.trusted = append(a.source.trusted, td.TrustDomain)
		if _, err := source.GetX509BundleForTrustDomain(td.TrustDomain); err != nil {
			return fmt.Errorf("spiffe.trust_domains: the Workload API has no bundle for %s (is it federated?): %w", td, err)
		}
	}
	if audience := a.config.Listeners.RESTJWT.Audience; audience != "" {
		return a.openJWT(wait, address, audience)
	}
	return nil
}

func (a *App) openJWT(ctx context.Context, address, audience string) error {
	bundles, err := workloadapi.NewJWTSource(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(address)))
	if err != nil {
		return fmt.Errorf("no JWT bundles from the Workload API: %w", err)
	}
	a.closer.add("jwt bundles", func(context.Context) error { return bundles.Close() })
	a.source.jwt, err = authn.NewJWTVerifier(audience, a.source.trusted, bundles, time.Now)
	return err
}

// certificate gives a listener's own certificate: from files, or the SVID, which must
// have DNS names then, since ordinary clients check them.
func (a *App) certificate(path, certFile, keyFile string) (authn.GetCertificate, error) {
	if certFile != "" {
		files, err := authn.NewCertFiles(certFile, keyFile, time.Now, a.log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return files.GetCertificate, nil
	}
	svid, err := a.source.x509.GetX509SVID()
	if err != nil {
		return nil, fmt.Errorf("own SVID: %w", err)
	}
	if len(svid.Certificates[0].DNSNames) == 0 {
		return nil, fmt.Errorf("%s: the SVID has no DNS names, which clients check: set cert_file and key_file, or register names for %s", path, svid.ID)
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		svid, err := a.source.x509.GetX509SVID()
		if err != nil {
			return nil, fmt.Errorf("own SVID: %w", err)
		}
		if len(svid.Certificates) == 0 {
			return nil, errors.New("own SVID: empty chain")
		}
		c := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
		for _, one := range svid.Certificates {
			c.Certificate = append(c.Certificate, one.Raw)
		}
		return c, nil
	}, nil
}
