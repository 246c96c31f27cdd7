package credential

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
	"github.com/onedoor/onedoor/server/oauth"
)

// githubApp has what is stored, the app's private key, buy a token of its installation,
// for the repositories on which the call acts and no others.
type githubApp struct{ oauth *oauth.Client }

func (githubApp) check(slot connector.Slot, secret string) error { return checkKey(slot, secret) }

// part is the repositories of a call, sorted; empty for all of the installation's.
func (githubApp) part(slot connector.Slot, b *connector.Bound) (string, error) {
	app := slot.GitHubApp
	var named []string
	whole := false
	for _, r := range b.Resources {
		kind, id, _ := strings.Cut(r.String(), ":")
		if kind != app.Repository {
			continue
		}
		if id == "*" {
			whole = true
			continue
		}
		if !isRepository(id) {
			return "", fault.Invalid("arguments", "name a repository: want NAME or OWNER/NAME as GitHub has them")
		}
		named = append(named, strings.ToLower(id)) // GitHub does not tell cases apart
	}
	if !whole && len(named) > 0 {
		slices.Sort(named)
		return strings.Join(slices.Compact(named), " "), nil
	}
	if app.All {
		return "", nil
	}
	return "", slotFault(fault.CredentialMissing, b.Connector, slot, "", fmt.Sprintf("tool %s acts on no repository that its resources name as %s:NAME or %s:OWNER/NAME, and"+
		" the manifest does not say all_repositories: true, so there is no token for it", b.Tool.Name, app.Repository, app.Repository), nil)
}

func (s githubApp) buy(ctx context.Context, p purchase) (bought, error) {
	token, err := s.oauth.Install(ctx, oauth.Installation{
		Workspace: p.bound.Connector.Workspace, Connector: p.bound.Connector.Name,
		App: p.slot.GitHubApp, Signed: p.slot.Signs[0], Key: p.secret, Repositories: strings.Fields(p.part),
	})
	return bought{token.Access, token.Life}, err
}

const (
	maxOwner      = 100
	maxRepository = 100
)

// isRepository reports whether id is NAME or OWNER/NAME.
func isRepository(id string) bool {
	owner, name, ok := strings.Cut(id, "/")
	if !ok {
		owner, name = "x", id
	}
	return isPlain(owner, maxOwner) && isPlain(name, maxRepository) && name != "." && name != ".."
}

// isPlain: letters, digits, '-', '_' and '.', of which GitHub makes names.
func isPlain(s string, limit int) bool {
	return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(c rune) bool {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		return !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	})
}
