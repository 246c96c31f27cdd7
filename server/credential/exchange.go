package credential

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/task"
	"github.com/onedoor/onedoor/server/vault"
)

// Stater says, signed by the broker and for one audience, who the user of a recorded
// call is, and which agent acts in it; *assertion.Minter does.
type Stater interface {
	StateUser(ctx context.Context, i audit.Intent, caller *task.Caller, audience string) (vault.Secret, error)
	StateAgent(ctx context.Context, i audit.Intent, caller *task.Caller, audience string) (vault.Secret, error)
}

// tokenExchange is RFC 8693: one token is given for another.
type tokenExchange struct {
	oauth  *oauth.Client
	stater Stater
}

// accessToken is the type of what is asked for.
const accessToken = "urn:ietf:params:oauth:token-type:access_token"

// check: what is stored is the token to exchange, or the client's secret or key.
func (tokenExchange) check(slot connector.Slot, secret string) error {
	if len(slot.Signs) > 0 {
		return checkKey(slot, secret)
	}
	return visible(secret, slot.OAuth.Exchange.Subject == connector.FromAssertion)
}

// part: Slot.PerTask keeps tasks apart.
func (tokenExchange) part(connector.Slot, *connector.Bound) (string, error) { return "", nil }

func (s tokenExchange) buy(ctx context.Context, p purchase) (bought, error) {
	o := p.slot.OAuth
	form := withScope(o, map[string]vault.Secret{
		"subject_token":        p.secret,
		"subject_token_type":   vault.NewSecret([]byte(o.Exchange.SubjectType)),
		"requested_token_type": vault.NewSecret([]byte(accessToken)),
	})
	secret := p.client
	var err error
	if o.Exchange.Subject == connector.FromAssertion {
		secret = p.secret
		if form["subject_token"], err = s.stater.StateUser(ctx, p.intent, p.caller, o.Exchange.Audience); err != nil {
			return bought{}, err
		}
	}
	if o.Exchange.Actor {
		if form["actor_token"], err = s.stater.StateAgent(ctx, p.intent, p.caller, o.Exchange.Audience); err != nil {
			return bought{}, err
		}
		form["actor_token_type"] = vault.NewSecret([]byte(connector.JWTType))
	}
	token, err := s.oauth.Ask(ctx, oauth.Request{
		Workspace: p.bound.Connector.Workspace, Connector: p.bound.Connector.Name, OAuth: o,
		GrantType: "urn:ietf:params:oauth:grant-type:token-exchange", Form: form, ClientSecret: secret,
	})
	if err != nil {
		return bought{}, err
	}
	return bought{token.Access, token.Life}, narrow(p, token)
}

// narrow refuses a token that is for more than was asked for, or is none that opens an
// API.
func narrow(p purchase, token oauth.Token) error {
	o := p.slot.OAuth
	wider := len(o.Scopes) > 0 && slices.ContainsFunc(strings.Fields(token.Scope), func(s string) bool { return !slices.Contains(o.Scopes, s) })
	if !wider && (token.Issued == "" || token.Issued == accessToken || token.Issued == connector.JWTType) {
		return nil
	}
	return unusable(p.bound.Connector, p.slot, "",
		"the token endpoint gave a token of another type or of other scopes than were asked for; it was thrown away; mend the manifest or the endpoint",
		errors.New("a token was exchanged for a wider one"))
}
