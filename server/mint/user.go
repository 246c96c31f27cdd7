package mint

import (
	"context"

	"github.com/onedoor/onedoor/server/authn"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/task"
)

const unprintable = "no control characters, no spaces around it, and in Unicode normal form C"

// checkUser checks how a request says for whom it is. A name is the orchestrator's
// word alone, so it takes the configuration's trust; a token speaks for itself.
func checkUser(o *authn.Orchestrator, r Request) error {
	named, proven := r.User != "", len(r.IDToken.Reveal()) > 0
	switch {
	case named && proven:
		return fault.Invalid("id_token", "give either user or id_token, not both")
	case r.Nonce != "" && !proven:
		return fault.Invalid("id_token_nonce", "belongs to an id_token")
	case proven:
		return nil
	case !named:
		return fault.Invalid("user", "name the user for whom the agent acts, or bring their id_token")
	case !printable(r.User):
		return fault.Invalid("user", unprintable)
	case !o.MayAssertUsers:
		return exceeds("may_assert_users", "user: this orchestrator may not assert users (may_assert_users in the configuration): bring the user's id_token")
	}
	return nil
}

// user is the one for whom the task runs, not stored yet. Names and tokens never meet:
// a name is always of the issuer "local", which no token can have.
func (m *Mint) user(ctx context.Context, workspace string, r Request) (task.User, error) {
	if r.User != "" {
		return task.User{Issuer: task.LocalIssuer, Subject: r.User}, nil
	}
	u, err := m.o.IDTokens.Verify(ctx, workspace, r.IDToken, r.Nonce)
	if err != nil {
		return task.User{}, err
	}
	if u.Issuer == task.LocalIssuer || !printable(u.Subject) {
		return task.User{}, fault.Invalid("id_token", "its subject: "+unprintable)
	}
	return u, nil
}
