package egress

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

var (
	errNoBundles = errors.New("the upstream is to be known by its SPIFFE ID, and there are no bundles to verify it by")
	errShortKey  = errors.New("a certificate has an RSA key of less than 2048 bits")
	errOtherID   = errors.New("the certificate is not an X.509-SVID of the SPIFFE ID that the connector names")
)

// tlsConfig says how the upstream is verified: by the origin's name, or by the SPIFFE ID
// that the policy names. There is no session cache, and must be none: a resumed session
// would carry the client certificate, and skip the verification, of the one before it.
func (d *dialer) tlsConfig(now func() time.Time) (*tls.Config, error) {
	config := &tls.Config{ServerName: d.origin.host, MinVersion: tls.VersionTLS12, Time: now, NextProtos: []string{"h2", "http/1.1"}}
	if !d.policy.ServerID.IsZero() {
		return config, d.verifyID(config, now)
	}
	config.VerifyConnection = func(state tls.ConnectionState) error { return anyStrong(state.VerifiedChains) }
	if len(d.policy.RootCAs) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(d.policy.RootCAs) {
			return nil, denied(errNoRoots)
		}
	}
	return config, d.trustInspection(config)
}

// trustInspection adds the CA of a proxy that inspects this connection to those that are
// trusted already: for some names such proxies step aside.
func (d *dialer) trustInspection(config *tls.Config) error {
	if !d.via.inspected {
		return nil
	}
	if config.RootCAs == nil {
		system, err := x509.SystemCertPool()
		if err != nil {
			return denied(errNoRoots)
		}
		config.RootCAs = system
	}
	if !config.RootCAs.AppendCertsFromPEM(d.via.proxy.InspectionCAs) {
		return denied(errNoRoots)
	}
	return nil
}

// verifyID puts an exact SPIFFE ID in the place of the name. go-spiffe switches the
// verification by name off, for whose place it has a hook that Go does not call for a
// resumed session; this one it always calls.
func (d *dialer) verifyID(config *tls.Config, now func() time.Time) error {
	if d.bundles == nil {
		return denied(errNoBundles)
	}
	tlsconfig.HookTLSClientConfig(config, d.bundles, tlsconfig.AuthorizeID(d.policy.ServerID))
	config.MinVersion = tls.VersionTLS13
	config.VerifyPeerCertificate = nil
	config.VerifyConnection = func(state tls.ConnectionState) error {
		id, _, err := x509svid.Verify(state.PeerCertificates, d.bundles, x509svid.WithTime(now()))
		if err != nil || id != d.policy.ServerID || !mayServe(state.PeerCertificates[0]) {
			return errOtherID
		}
		return anyStrong([][]*x509.Certificate{state.PeerCertificates})
	}
	return nil
}

// leastRSA is the shortest RSA key that counts, in bits (NIST SP 800-131A, section 3). Go
// itself takes them from 1024 on.
const leastRSA = 2048

// anyStrong wants one chain without a short RSA key, up to its root.
func anyStrong(chains [][]*x509.Certificate) error {
	short := func(c *x509.Certificate) bool {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		return ok && key.N.BitLen() < leastRSA
	}
	for _, chain := range chains {
		if !slices.ContainsFunc(chain, short) {
			return nil
		}
	}
	return errShortKey
}

// mayServe is what verification by name looks at too, and that of SVIDs does not.
func mayServe(leaf *x509.Certificate) bool {
	return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// dialTLS connects and makes the handshake. A certificate is shown whatever the upstream
// says that it accepts: to be refused is better than to come as nobody. For the same
// reason an upstream that asks for none gets no request.
func (d *dialer) dialTLS(config *tls.Config) func(ctx context.Context, network, hostPort string) (net.Conn, error) {
	return func(ctx context.Context, network, hostPort string) (net.Conn, error) {
		plain, err := d.dial(ctx, network, hostPort)
		if err != nil {
			return nil, err
		}
		own, asked := config, false
		if d.shows != nil {
			own = config.Clone()
			own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return &d.shows.pair, nil
			}
		}
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		conn := tls.Client(plain, own)
		err = conn.HandshakeContext(ctx)
		if err == nil && d.shows != nil && !asked {
			err = denied(errNotAsked)
		}
		if err != nil {
			_ = plain.Close()
			return nil, err
		}
		if conn.ConnectionState().NegotiatedProtocol == "h2" {
			return conn, nil // whose answers bear their request's number
		}
		return newTurns(conn), nil
	}
}
