package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/vault"
)

// Installation is a request for a token of a GitHub App's installation.
type Installation struct {
	// Workspace and Connector are for whom it is made: connections are not shared.
	Workspace, Connector string
	App                  *connector.GitHubApp
	// Signed says how Key, the app's private key, signs.
	Signed connector.Signed
	Key    vault.Secret
	// Repositories are `NAME` or `OWNER/NAME`; empty: all of the installation's.
	Repositories []string
}

// githubVersion is the version of the REST API that is spoken.
const githubVersion = "2022-11-28"

// maxInstallation is the longest that an installation's token is kept.
const maxInstallation = time.Hour

var errWider = errors.New("the token is for other repositories than were asked for; it was thrown away")

// Install asks for a token. Every error is an *[Error].
//
// https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
func (c *Client) Install(ctx context.Context, r Installation) (Token, error) {
	signed, err := c.Sign(r.Key, r.Signed)
	if err != nil {
		return Token{}, &Error{Kind: Refused, cause: err}
	}
	body, err := json.Marshal(struct {
		Repositories []string          `json:"repositories,omitempty"`
		Permissions  map[string]string `json:"permissions"`
	}{names(r.Repositories), r.App.Permissions})
	if err != nil {
		return Token{}, &Error{Kind: NotSent, cause: err}
	}
	attachment := egress.NewAttachment()
	if err := errors.Join(attachment.SetHeader("Authorization", "Bearer "+string(signed.Reveal())), attachment.Scrub(signed.Reveal())); err != nil {
		return Token{}, &Error{Kind: NotSent, cause: err}
	}
	res, err := c.door.Do(ctx, poolKey(r.Workspace, r.Connector), r.App.Egress, &egress.Request{
		Method: http.MethodPost, Origin: r.App.API.Origin, Path: r.App.API.Path + "/app/installations/" + r.App.Installation + "/access_tokens",
		Header: http.Header{
			"Accept": {"application/vnd.github+json"}, "Content-Type": {"application/json"}, "X-Github-Api-Version": {githubVersion},
		},
		Body: body,
	}, attachment, egress.Limits{Total: Timeout, MaxResponseBytes: maxAnswer})
	if err != nil {
		return Token{}, lost(err)
	}
	text, err := res.Bytes()
	if err != nil {
		return Token{}, lost(err)
	}
	if res.Status == http.StatusCreated {
		return readInstallation(text, r.Repositories, c.now())
	}
	return Token{}, notInstalled(refusal(res.Status, res.Header, text, c.now()), res.Header)
}

// names leaves the owners out: an installation is in one account.
func names(repositories []string) []string {
	var list []string
	for _, r := range repositories {
		list = append(list, r[strings.LastIndexByte(r, '/')+1:])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// notInstalled reads what GitHub says otherwise than RFC 6749: a rate limit is a 403, and
// what the installation does not have a 422.
func notInstalled(e *Error, header http.Header) *Error {
	switch {
	case e.Status == http.StatusForbidden && (e.RetryAfter > 0 || header.Get("X-Ratelimit-Remaining") == "0"):
		e.Kind, e.cause = Busy, errBusy
	case e.Status == http.StatusUnprocessableEntity:
		e.Kind, e.cause = Refused, errRefused
	}
	return e
}

// readInstallation reads a token, and throws it away where it is for more than was
// asked for: an owner in a resource's name must be the installation's account, which the
// answer says.
func readInstallation(body []byte, asked []string, now time.Time) (Token, error) {
	var a struct {
		Token        string    `json:"token"`
		Expires      time.Time `json:"expires_at"`
		Selection    string    `json:"repository_selection"`
		Repositories []struct {
			Name     string `json:"name"`
			FullName string `json:"full_name"`
		} `json:"repositories"`
	}
	if json.Unmarshal(body, &a) != nil || !attachable(a.Token) || !a.Expires.After(now) {
		return Token{}, &Error{Kind: Unclear, Status: http.StatusCreated, cause: errAnswer}
	}
	for _, r := range a.Repositories {
		if len(asked) > 0 && !slices.ContainsFunc(asked, func(want string) bool {
			return strings.EqualFold(want, r.FullName) || strings.EqualFold(want, r.Name)
		}) {
			return Token{}, &Error{Kind: Refused, Status: http.StatusCreated, cause: errWider}
		}
	}
	owned := slices.ContainsFunc(asked, func(want string) bool { return strings.Contains(want, "/") })
	if len(asked) > 0 && a.Selection == "all" || owned && len(a.Repositories) == 0 {
		return Token{}, &Error{Kind: Refused, Status: http.StatusCreated, cause: errWider}
	}
	return Token{Access: vault.NewSecret([]byte(a.Token)), Life: min(a.Expires.Sub(now), maxInstallation)}, nil
}
