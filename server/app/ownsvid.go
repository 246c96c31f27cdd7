package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/onedoor/onedoor/server/config"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

// ownSVID is this broker's own SVID, for upstreams that ask who calls. Whoever can write
// a manifest could otherwise speak as the broker to whoever trusts it, so the
// configuration names to whom it may be shown.
type ownSVID struct {
	identity *identity
	config   *config.Config
}

// Ready says before anything is recorded whether the connector may have it shown:
// EGRESS_DENIED where its workspace may not do so at its origin.
func (o ownSVID) Ready(c *connector.Connector) error {
	if o.config.MayShowSVID(c.Workspace, c.Origin) {
		return nil
	}
	return fault.New(fault.EgressDenied, "the connector "+c.Name+" wants the broker to show its SVID to "+c.Origin.String()+
		", and svid_upstreams of the workspace "+c.Workspace+" in the broker's configuration does not name it", nil).With("connector", c.Name)
}

// ClientCertificate is the SVID as it is now.
func (o ownSVID) ClientCertificate(c *connector.Connector) (egress.Certificate, error) {
	if err := o.Ready(c); err != nil {
		return egress.Certificate{}, err
	}
	svid, err := o.identity.x509.GetX509SVID()
	if err != nil {
		return egress.Certificate{}, unshowable(err)
	}
	own, err := egress.NewCertificate(svid.Certificates, svid.PrivateKey)
	if err != nil {
		return egress.Certificate{}, unshowable(err)
	}
	if !time.Now().Before(own.NotAfter()) {
		return egress.Certificate{}, unshowable(errors.New("it has expired"))
	}
	return own, nil
}

func unshowable(err error) error {
	return fault.New(fault.UpstreamUnavailable, "the broker has no valid SVID now to show to the upstream; nothing was sent", fmt.Errorf("own SVID: %w", err))
}
