package credential

import (
	"context"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
)

// clientCredentials is RFC 6749, section 4.4: what is stored is the client's secret, or
// its private key.
type clientCredentials struct{ oauth *oauth.Client }

func (clientCredentials) check(slot connector.Slot, secret string) error {
	if len(slot.Signs) > 0 {
		return checkKey(slot, secret)
	}
	return visible(secret, true)
}

// part: scope and audience stand in the manifest, so all calls share one token.
func (clientCredentials) part(connector.Slot, *connector.Bound) (string, error) { return "", nil }

func (s clientCredentials) buy(ctx context.Context, p purchase) (bought, error) {
	token, err := s.oauth.Ask(ctx, oauth.Request{
		Workspace: p.bound.Connector.Workspace, Connector: p.bound.Connector.Name, OAuth: p.slot.OAuth,
		GrantType: "client_credentials", Form: withScope(p.slot.OAuth, map[string]vault.Secret{}), ClientSecret: p.secret,
	})
	return bought{token.Access, token.Life}, err
}
