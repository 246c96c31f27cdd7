package idtoken

import (
	"crypto/subtle"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// skew is how far an issuer's clock may be ahead of ours.
	skew = 30 * time.Second
	// maxSubject bounds a user's name, in bytes; `sub` itself may have 255.
	maxSubject = 256
)

// claims are those of a token whose signature holds. They are read by go-jose's JSON,
// which refuses a name that stands twice and takes none in another case.
type claims struct {
	Issuer          string           `json:"iss"`
	Audience        jwt.Audience     `json:"aud"`
	AuthorizedParty *string          `json:"azp"`
	Expiry          *jwt.NumericDate `json:"exp"`
	IssuedAt        *jwt.NumericDate `json:"iat"`
	NotBefore       *jwt.NumericDate `json:"nbf"`
	Nonce           string           `json:"nonce"`
	Events          json.RawMessage  `json:"events"`

	all map[string]json.RawMessage
}

func readClaims(payload []byte) (*claims, error) {
	c := &claims{}
	if json.Unmarshal(payload, c) != nil || json.Unmarshal(payload, &c.all) != nil {
		return nil, invalid("its claims are malformed")
	}
	return c, nil
}

// check holds the claims to OpenID Connect Core 1.0, section 3.1.3.7.
func (c *claims) check(by *Issuer, nonce string, now time.Time) error {
	foreign := func(a string) bool { return !slices.Contains(by.Audiences, a) }
	switch {
	case c.Issuer != by.URL:
		return invalid("of an issuer that this workspace does not accept")
	case c.Events != nil: // Back-Channel Logout 1.0, 2.4: what tells a logout token
		return invalid("a JWT of another type than an ID token")
	case len(c.Audience) == 0 || slices.ContainsFunc(c.Audience, foreign):
		return invalid("made out to another audience")
	case len(c.Audience) > 1 && c.AuthorizedParty == nil:
		return invalid("made out to several audiences, without azp")
	case c.AuthorizedParty != nil && foreign(*c.AuthorizedParty):
		return invalid("made out to another authorized party (azp)")
	case c.Expiry == nil || !now.Before(c.Expiry.Time()):
		return invalid("expired")
	case c.IssuedAt == nil || c.IssuedAt.Time().After(now.Add(skew)):
		return invalid("issued in the future, or without iat")
	case c.NotBefore != nil && c.NotBefore.Time().After(now.Add(skew)):
		return invalid("not valid yet")
	case nonce != "" && subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1:
		return invalid("its nonce is not the one given")
	}
	return nil
}

// subject gives the claim that says who the user is.
func (c *claims) subject(name string) (string, error) {
	if name == emailClaim && string(c.all["email_verified"]) != "true" {
		return "", invalid("its issuer does not say that the e-mail address is verified")
	}
	var subject string
	if json.Unmarshal(c.all[name], &subject) != nil || subject == "" || len(subject) > maxSubject {
		return "", invalid("it has no claim " + name + " that could name a user")
	}
	return subject, nil
}
