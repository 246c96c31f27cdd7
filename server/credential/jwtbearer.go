package credential

import (
	"context"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
)

// jwtBearer is RFC 7523, section 2.1: what is stored is a private key, and what it signs
// is given for a token.
type jwtBearer struct{ oauth *oauth.Client }

func (jwtBearer) check(slot connector.Slot, secret string) error { return checkKey(slot, secret) }

// part: who is meant stands in the manifest, so all calls share one token.
func (jwtBearer) part(connector.Slot, *connector.Bound) (string, error) { return "", nil }

func (s jwtBearer) buy(ctx context.Context, p purchase) (bought, error) {
	signed, err := s.oauth.Sign(p.secret, *p.slot.OAuth.Assertion)
	if err != nil {
		return bought{}, err
	}
	token, err := s.oauth.Ask(ctx, oauth.Request{
		Workspace: p.bound.Connector.Workspace, Connector: p.bound.Connector.Name, OAuth: p.slot.OAuth,
		GrantType: "urn:ietf:params:oauth:grant-type:jwt-bearer", Form: withScope(p.slot.OAuth, map[string]vault.Secret{"assertion": signed}),
		ClientSecret: p.client,
	})
	return bought{token.Access, token.Life}, err
}

// checkKey is whether a secret is the private key with which a slot signs.
func checkKey(slot connector.Slot, secret string) error {
	return oauth.CheckKey([]byte(secret), slot.Signs[0].Algorithm)
}

// withScope adds the manifest's scopes to a form.
func withScope(o *connector.OAuth, form map[string]vault.Secret) map[string]vault.Secret {
	if scope := o.Scope(); scope != "" {
		form["scope"] = vault.NewSecret([]byte(scope))
	}
	return form
}
