package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
)

// TLSConfig is the TLS configuration with which a program speaks to the broker by other
// means than this client, its REST API for instance: mutual TLS 1.3 as source's workload,
// accepting exactly the SPIFFE ID brokerID. addr is named in errors alone. Each handshake
// asks source for the SVID of that moment. The error is ErrNotConfigured; a handshake
// with anybody else fails with ErrBrokerUntrusted.
func TLSConfig(addr, brokerID string, source X509Source) (*tls.Config, error) {
	id, err := parseBrokerID(brokerID)
	if err != nil {
		return nil, err
	}
	return brokerTLS(addr, id, source), nil
}

// parseBrokerID reads the one SPIFFE ID that is accepted as the broker.
func parseBrokerID(text string) (spiffeid.ID, error) {
	if text == "" {
		return spiffeid.ID{}, fmt.Errorf("%w: the broker's SPIFFE ID (%s) is missing; without it nobody can be told from the broker",
			ErrNotConfigured, EnvBrokerID)
	}
	id, err := spiffeid.FromString(text)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("%w: the broker's SPIFFE ID (%s): %w", ErrNotConfigured, EnvBrokerID, err)
	}
	if id.Path() == "" {
		return spiffeid.ID{}, fmt.Errorf("%w: the broker's SPIFFE ID (%s) names a trust domain, not a workload", ErrNotConfigured, EnvBrokerID)
	}
	return id, nil
}

// brokerTLS is mutual TLS 1.3 that accepts exactly the broker's ID.
func brokerTLS(addr string, broker spiffeid.ID, source X509Source) *tls.Config {
	authorize := func(id spiffeid.ID, _ [][]*x509.Certificate) error {
		if id != broker {
			return fmt.Errorf("%s answered as %s, expected %s", addr, id, broker)
		}
		return nil
	}
	config := tlsconfig.MTLSClientConfig(source, source, authorize)
	config.MinVersion = tls.VersionTLS13
	// A resumed session would skip VerifyPeerCertificate, where all the checks are.
	config.SessionTicketsDisabled, config.ClientSessionCache = true, nil
	verify := config.VerifyPeerCertificate
	config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := verify(raw, chains); err != nil {
			return fmt.Errorf("%w: %w", ErrBrokerUntrusted, err)
		}
		return nil
	}
	return config
}
