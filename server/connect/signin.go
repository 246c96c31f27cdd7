package connect

import (
	"context"
	"errors"
	"net/url"

	"github.com/onedoor/onedoor/server/audit"
	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/idtoken"
	"github.com/onedoor/onedoor/server/oauth"
	"github.com/onedoor/onedoor/server/vault"
)

// SignIn is an issuer at which users can prove in a browser who they are, and as which
// client this broker asks it.
type SignIn struct {
	Workspaces []string
	Issuer     string
	ClientID   string
	Auth       connector.ClientAuth
	Secret     vault.Secret // zero where Auth is none
	// Scope is what is asked for; it holds openid.
	Scope string
}

// toIssuer is where a browser proves who its user is.
func (f *Flow) toIssuer(ctx context.Context, r Run, s SignIn, browser string) (leg, error) {
	at, err := f.o.Issuers.Endpoints(ctx, r.Workspace, s.Issuer)
	if err != nil {
		return leg{}, err
	}
	return leg{AtIssuer, at.Authorization, func(state string) url.Values {
		return url.Values{"client_id": {s.ClientID}, "scope": {s.Scope}, "nonce": {nonce(browser, state)}}
	}}, nil
}

// prove exchanges the issuer's code and sees that the user is the one for whom the link
// was made. The run is at PROVING. Errors are *Problem.
func (f *Flow) prove(ctx context.Context, r Run, s SignIn, at idtoken.Endpoints, b brought) error {
	intent, err := f.o.Trail.BeginAdmin(ctx, f.event(r, "credential.sign-in", b.peer))
	if err != nil {
		return problem(Later, err)
	}
	// Until it returns nobody knows what was sent.
	outcome := audit.Outcome{Result: audit.Unknown, Reason: string(fault.Internal)}
	defer func() { f.o.Trail.Finish(intent, outcome) }()
	if err := f.provenBy(ctx, r, s, at, b); err != nil {
		k := kindIn(err)
		outcome = audit.Outcome{Result: audit.Failed, Reason: string(k.reason()), Detail: k.detail()}
		return err
	}
	outcome = audit.Outcome{Result: audit.OK}
	return nil
}

func (f *Flow) provenBy(ctx context.Context, r Run, s SignIn, at idtoken.Endpoints, b brought) error {
	token, err := f.o.OAuth.Ask(ctx, oauth.Request{
		Workspace: r.Workspace, Connector: "issuer:" + s.Issuer, // no connector is named so
		OAuth: &connector.OAuth{
			Grant: connector.AuthorizationCode, TokenEndpoint: at.Token, ClientID: s.ClientID, Auth: s.Auth, Egress: at.Policy,
		},
		GrantType: "authorization_code",
		Form: map[string]vault.Secret{
			"code": b.answer.Code, "code_verifier": f.verifier(r.Challenge, b.browser, b.answer.State),
			"redirect_uri": vault.NewSecret([]byte(f.RedirectURI())),
		},
		ClientSecret: s.Secret,
	})
	var refused *oauth.Error
	switch {
	case errors.As(err, &refused) && refused.Kind == oauth.Refused:
		return problem(Refused, err)
	case err != nil:
		return problem(Unreachable, err)
	}
	user, err := f.o.Issuers.Verify(ctx, r.Workspace, token.IDToken, nonce(b.browser, b.answer.State))
	switch {
	case fault.Is(err, fault.IssuerUnavailable):
		return problem(Unreachable, err)
	case err != nil:
		return problem(NotProven, err)
	case user.Issuer != s.Issuer:
		return problem(NotProven, errOtherIssuer)
	case user.Issuer != r.User.Issuer || user.Subject != r.User.Subject:
		return problem(OtherUser, nil)
	}
	return nil
}

var errOtherIssuer = errors.New("the ID token is of another issuer than the one that was asked")
