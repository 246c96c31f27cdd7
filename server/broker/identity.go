package broker

import (
	"errors"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

// Identity is the broker's own X.509-SVID, as it is at the moment of each call.
type Identity interface {
	// Ready says whether the connector may have it shown.
	Ready(c *connector.Connector) error
	ClientCertificate(c *connector.Connector) (egress.Certificate, error)
}

var errNoIdentity = errors.New("this broker was made without an identity of its own")

// mayShow refuses a call, before it is recorded, whose connector may not have the
// broker's own SVID shown.
func (b *Broker) mayShow(c *connector.Connector) error {
	switch {
	case !c.ShowsSVID:
		return nil
	case b.o.Identity == nil:
		return fault.New(fault.Internal, "internal error", errNoIdentity)
	}
	return b.o.Identity.Ready(c)
}

// showSVID has the connection show the broker's own SVID. What is attached already stays
// as it is: it may be kept for other calls.
func (s *sent) showSVID(to egress.Attachment) (egress.Attachment, error) {
	own, err := s.b.o.Identity.ClientCertificate(s.bound.Connector)
	if err != nil {
		return egress.Attachment{}, err
	}
	both := to.Copy()
	if err := both.SetCertificate(own); err != nil {
		return egress.Attachment{}, fault.New(fault.Internal, "internal error", err)
	}
	return both, nil
}
