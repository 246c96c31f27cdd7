package idtoken

import (
	"context"
	"errors"
	"fmt"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
)

// Endpoints are where an issuer signs users in.
type Endpoints struct {
	Authorization, Token egress.Location
	// NamesIssuer says that every authorization response has iss (RFC 9207, section 3).
	NamesIssuer bool
	// Policy bounds the connections to Token.
	Policy egress.Policy
}

var errEndpoints = errors.New("the discovery document says no usable authorization_endpoint or token_endpoint")

// Endpoints asks an issuer of the workspace where it signs users in (OpenID Connect
// Discovery 1.0, section 3). It is asked each time: people sign in seldom. The error is
// ISSUER_UNAVAILABLE.
func (v *Verifier) Endpoints(ctx context.Context, workspace, issuer string) (Endpoints, error) {
	from := v.issuers[place{workspace, issuer}]
	if from == nil {
		return Endpoints{}, invalid("of an issuer that this workspace does not accept")
	}
	d, err := from.source.discover(ctx)
	if err != nil {
		return Endpoints{}, fault.New(fault.IssuerUnavailable, "the issuer "+issuer+" cannot be asked where users sign in; try again later", fmt.Errorf("discovery: %w", err))
	}
	e := Endpoints{NamesIssuer: d.NamesIssuer, Policy: from.Policy}
	var first, second error
	e.Authorization, first = egress.ParseLocation(d.AuthorizeAt)
	e.Token, second = egress.ParseLocation(d.TokenAt)
	if first != nil || second != nil {
		return Endpoints{}, fault.New(fault.IssuerUnavailable, "the issuer "+issuer+" does not say where users sign in", errEndpoints)
	}
	return e, nil
}
