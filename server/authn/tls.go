package authn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/onedoor/onedoor/server/fault"
)

// SVIDSource gives our own SVID and the bundles by which others are verified, both
// as they are now: workloadapi.X509Source is one.
type SVIDSource interface {
	x509svid.Source
	x509bundle.Source
}

// GetCertificate is the callback of tls.Config that chooses the server's certificate.
type GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// TLSOptions is what differs from listener to listener.
type TLSOptions struct {
	// NextProtos are the ALPN protocols, the preferred one first: h2 for gRPC, h2
	// and http/1.1 for REST. At least one is needed.
	NextProtos []string
	// Certificate is the server's own certificate where it is not to be its SVID,
	// for clients that verify host names. Nil means the SVID.
	Certificate GetCertificate
	// Now is the clock by which SVIDs are judged; nil means time.Now.
	Now func() time.Time
}

// ServerTLS makes the configuration of a listener that demands an X.509-SVID of one
// of the trusted domains from every client. Whose SVID it is stands in the state of
// the connection: see PeerID.
//
// go-spiffe verifies in VerifyPeerCertificate, which Go does not call when a session
// is resumed: who was refused since would come in again on an old ticket. So there
// are no tickets, and every connection is verified once more in VerifyConnection,
// which Go always calls.
func ServerTLS(source SVIDSource, trusted []spiffeid.TrustDomain, opts TLSOptions) (*tls.Config, error) {
	if source == nil {
		return nil, errors.New("server tls: no source of SVIDs")
	}
	if len(opts.NextProtos) == 0 {
		return nil, errors.New("server tls: no protocols")
	}
	authorize, err := memberOf(trusted)
	if err != nil {
		return nil, err
	}
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	cfg := tlsconfig.MTLSServerConfig(source, source, authorize)
	cfg.SessionTicketsDisabled = true
	cfg.MinVersion = tls.VersionTLS13
	cfg.NextProtos = opts.NextProtos
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		id, chains, err := x509svid.Verify(state.PeerCertificates, source, x509svid.WithTime(now()))
		if err != nil {
			return err
		}
		if id.Path() == "" {
			return errors.New("the SPIFFE ID of a workload has a path")
		}
		return authorize(id, chains)
	}
	if opts.Certificate != nil {
		cfg.GetCertificate = opts.Certificate
	}
	return cfg, nil
}

// PublicTLS makes the configuration of a listener that asks no client for a
// certificate. What comes in there is nobody: PeerID answers SVID_MISSING.
func PublicTLS(certificate GetCertificate, nextProtos ...string) (*tls.Config, error) {
	if certificate == nil {
		return nil, errors.New("public tls: no certificate")
	}
	if len(nextProtos) == 0 {
		return nil, errors.New("public tls: no protocols")
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     nextProtos,
		ClientAuth:     tls.NoClientCert,
		GetCertificate: certificate,
	}, nil
}

// memberOf authorizes the members of the trusted domains. An empty list is a mistake
// and no wildcard.
func memberOf(trusted []spiffeid.TrustDomain) (tlsconfig.Authorizer, error) {
	if len(trusted) == 0 {
		return nil, errors.New("server tls: no trust domain is trusted: nobody could connect")
	}
	set := make(map[spiffeid.TrustDomain]bool, len(trusted))
	for _, td := range trusted {
		if td.IsZero() {
			return nil, errors.New("server tls: an empty trust domain is trusted")
		}
		set[td] = true
	}
	return func(id spiffeid.ID, _ [][]*x509.Certificate) error {
		if !set[id.TrustDomain()] {
			return fmt.Errorf("trust domain %q is not trusted", id.TrustDomain())
		}
		return nil
	}, nil
}

// PeerID is the SPIFFE ID of the other side of a connection that was accepted under
// ServerTLS, judged again at the time now: a connection may outlive its SVID. It is
// exact; compare it with == and never by prefix. The errors are SVID_MISSING,
// SVID_INVALID and, where opening a new connection mends it, SVID_EXPIRED.
func PeerID(state tls.ConnectionState, now time.Time) (spiffeid.ID, error) {
	if !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return spiffeid.ID{}, fault.New(fault.SVIDMissing, "the connection bears no X.509-SVID: connect over mutual TLS", nil)
	}
	leaf := state.PeerCertificates[0]
	id, err := x509svid.IDFromCert(leaf)
	switch {
	case err != nil:
		return spiffeid.ID{}, invalidSVID(err)
	case leaf.IsCA:
		return spiffeid.ID{}, invalidSVID(errors.New("the leaf is a CA"))
	case id.Path() == "":
		return spiffeid.ID{}, invalidSVID(errors.New("the SPIFFE ID has no path"))
	case now.Before(leaf.NotBefore):
		return spiffeid.ID{}, invalidSVID(errors.New("the SVID is not valid yet"))
	}
	for _, c := range state.PeerCertificates {
		if now.After(c.NotAfter) {
			return spiffeid.ID{}, fault.New(fault.SVIDExpired, "the X.509-SVID of this connection has expired: open a new one", nil)
		}
	}
	return id, nil
}

func invalidSVID(cause error) error {
	return fault.New(fault.SVIDInvalid, "the X.509-SVID of this connection is not valid", cause)
}
