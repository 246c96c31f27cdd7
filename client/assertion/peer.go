package assertion

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
)

// checkPeer compares the connection with Options.BrokerID and with cnf.
func (o *Options) checkPeer(c *Claims, state *tls.ConnectionState) error {
	peer := o.peer(state)
	if o.BrokerID != "" && (peer == nil || len(peer.URIs) != 1 || peer.URIs[0].String() != o.BrokerID) {
		return refuse(PeerWrong, "the TLS peer is not "+o.BrokerID)
	}
	if c.Confirmation == nil && o.RequireConfirmation {
		return refuse(ClaimMissing, "cnf is required")
	}
	if c.Confirmation == nil || o.TLSElsewhere {
		return nil
	}
	if peer == nil {
		return refuse(PeerWrong, "bound to a certificate, and the connection shows none that was verified")
	}
	sum := sha256.Sum256(peer.Raw)
	if !equal(c.Confirmation.Thumbprint, base64.RawURLEncoding.EncodeToString(sum[:])) {
		return refuse(PeerWrong, "bound to another certificate than the TLS peer's")
	}
	return nil
}

// peer gives the certificate of a verified peer, else nil. A server that merely asks
// for a certificate fills PeerCertificates with whatever the client made up.
func (o *Options) peer(state *tls.ConnectionState) *x509.Certificate {
	switch {
	case state == nil || len(state.PeerCertificates) == 0:
		return nil
	case len(state.VerifiedChains) == 0 && !o.PeerVerified:
		return nil
	}
	return state.PeerCertificates[0]
}
