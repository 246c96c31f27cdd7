package idtoken

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// maxToken bounds a token, in bytes, before anything of it is read.
const maxToken = 16 << 10

// algorithms are those with which an ID token may be signed: by a private key. With
// "none" and HS256 anybody who knows the public key could sign (RFC 8725, 2.1).
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// Options are what a Verifier is made of; all are needed.
type Options struct {
	// Issuers are those whose tokens count; see [Check]. None: no token is accepted.
	Issuers []Issuer
	// Door fetches their keys.
	Door *egress.Door
	// Now judges tokens; it is the machine's clock, as issuers go by theirs.
	Now func() time.Time
}

// Verifier verifies ID tokens. It is for any number of goroutines.
type Verifier struct {
	issuers map[place]*trusted
	now     func() time.Time
}

// trusted is an issuer with its keys.
type trusted struct {
	Issuer
	source source
	keys   *keySet
}

// New makes a Verifier. It asks no issuer for anything: one that is down keeps no
// broker from starting.
func New(o Options) (*Verifier, error) {
	if err := Check(o.Issuers); err != nil {
		return nil, err
	}
	v := &Verifier{issuers: map[place]*trusted{}, now: o.Now}
	for _, one := range o.Issuers {
		if one.SubjectClaim == "" {
			one.SubjectClaim = DefaultSubjectClaim
		}
		from := source{door: o.Door, issuer: one.URL, policy: one.Policy}
		known := &trusted{one, from, newKeySet(from.keys, o.Now)}
		for _, w := range one.Workspaces {
			v.issuers[place{w, one.URL}] = known
		}
	}
	return v, nil
}

// Accepts reports whether tokens of the issuer count in the workspace.
func (v *Verifier) Accepts(workspace, issuer string) bool {
	return v.issuers[place{workspace, issuer}] != nil
}

// Verify says whom an ID token names: issuer and subject, without an id of ours. nonce
// is the one that the token must carry; empty: it is not looked at. Its errors are
// ARGUMENT_INVALID of the field id_token, and ISSUER_UNAVAILABLE.
func (v *Verifier) Verify(ctx context.Context, workspace string, token vault.Secret, nonce string) (task.User, error) {
	raw := token.Reveal()
	if len(raw) > maxToken {
		return task.User{}, invalid("longer than 16 KiB")
	}
	h, err := readHead(string(raw))
	if err != nil {
		return task.User{}, err
	}
	from := v.issuers[place{workspace, h.issuer}]
	if from == nil {
		return task.User{}, invalid("of an issuer that this workspace does not accept")
	}
	keys, err := from.keys.find(ctx, h.keyID)
	if err != nil {
		return task.User{}, fault.New(fault.IssuerUnavailable, "the issuer "+from.URL+" cannot be asked for its keys now; try again later", err)
	}
	payload, err := v.verify(ctx, from.URL, string(raw), h.publicOf(keys))
	if err != nil {
		return task.User{}, err
	}
	c, err := readClaims(payload)
	if err != nil {
		return task.User{}, err
	}
	if err := c.check(&from.Issuer, nonce, v.now()); err != nil {
		return task.User{}, err
	}
	subject, err := c.subject(from.SubjectClaim)
	if err != nil {
		return task.User{}, err
	}
	return task.User{Issuer: from.URL, Subject: subject}, nil
}

// verify has go-oidc check signature, issuer and end. The audience is checked later,
// more strictly than it would be there.
func (v *Verifier) verify(ctx context.Context, issuer, raw string, keys []crypto.PublicKey) ([]byte, error) {
	if len(keys) == 0 {
		return nil, invalid("signed with a key that its issuer does not publish")
	}
	config := &oidc.Config{SkipClientIDCheck: true, Now: v.now}
	for _, a := range algorithms() {
		config.SupportedSigningAlgs = append(config.SupportedSigningAlgs, string(a))
	}
	verified, err := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: keys}, config).Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return nil, invalid("expired")
	case err != nil: // its text may repeat claims
		return nil, invalid("its signature or its claims do not verify")
	}
	var payload json.RawMessage
	if err := verified.Claims(&payload); err != nil {
		return nil, invalid("its claims are no JSON object")
	}
	return payload, nil
}

// invalid refuses a token in words of our own: nothing of it is repeated.
func invalid(why string) error { return fault.Invalid("id_token", why) }
