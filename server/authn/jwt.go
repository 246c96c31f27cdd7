package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
)

// maxJWTLife bounds how long a JWT-SVID may live: it is a bearer, and can be replayed.
const maxJWTLife = 5 * time.Minute

type jwtVerifier struct {
	audience string
	trusted  map[spiffeid.TrustDomain]bool
	bundles  jwtbundle.Source
	now      func() time.Time
}

// NewJWTVerifier verifies JWT-SVIDs of the trusted domains that name the audience,
// and nobody else, and live no longer than five minutes (JWT-SVID specification,
// section 7: a bearer token, so short and for one audience).
func NewJWTVerifier(audience string, trusted []spiffeid.TrustDomain, bundles jwtbundle.Source, now func() time.Time) (JWTVerifier, error) {
	if audience == "" || len(trusted) == 0 {
		return nil, errors.New("JWT-SVIDs need an audience and at least one trust domain")
	}
	v := &jwtVerifier{audience: audience, trusted: map[spiffeid.TrustDomain]bool{}, bundles: bundles, now: now}
	for _, td := range trusted {
		v.trusted[td] = true
	}
	return v, nil
}

func (v *jwtVerifier) Verify(_ context.Context, token string) (spiffeid.ID, error) {
	svid, err := jwtsvid.ParseAndValidate(token, v.bundles, []string{v.audience})
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("jwt-svid: %w", err)
	}
	switch {
	case !v.trusted[svid.ID.TrustDomain()]:
		return spiffeid.ID{}, fmt.Errorf("jwt-svid: trust domain %s is not trusted", svid.ID.TrustDomain())
	case len(svid.Audience) != 1:
		return spiffeid.ID{}, errors.New("jwt-svid: more than one audience")
	case svid.Expiry.Sub(v.now()) > maxJWTLife:
		return spiffeid.ID{}, errors.New("jwt-svid: lives longer than five minutes")
	}
	return svid.ID, nil
}
