package connector_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/fault"
)

const githubApp = `{owner: workspace, attach: bearer, github_app: {app_id: 4711, installation_id: "42", api: https://api.github.com, permissions: {contents: read}, repository: repo}}`

func TestGitHubApp(t *testing.T) {
	c, err := connector.Parse([]byte(withSlots(t, "{main: "+githubApp+"}")))
	require.NoError(t, err)
	s := c.Slots["main"]
	require.Equal(t, "github_app", s.Stores())
	require.Equal(t, []connector.Signed{{Algorithm: "RS256", Issuer: "4711"}}, s.Signs)
	require.Equal(t, "42", s.GitHubApp.Installation)
	require.Equal(t, "https://api.github.com", s.GitHubApp.API.String())
	require.Equal(t, map[string]string{"contents": "read"}, s.GitHubApp.Permissions)
	require.Equal(t, "repo", s.GitHubApp.Repository)
	require.False(t, s.GitHubApp.All)

	c, err = connector.Parse([]byte(withSlots(t, "{main: "+strings.NewReplacer(
		"app_id: 4711", "client_id: Iv23abc", "https://api.github.com", "https://git.example/api/v3", "repository: repo", "all_repositories: true, network: {allow: [10.0.0.0/8]}",
	).Replace(githubApp)+"}")))
	require.NoError(t, err)
	app := c.Slots["main"].GitHubApp
	require.Equal(t, "Iv23abc", app.Issuer)
	require.Equal(t, "/api/v3", app.API.Path)
	require.True(t, app.All)
	require.Len(t, app.Egress.AllowRanges, 1)
}

func TestParseRefusesGitHubApps(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"a user's", "owner: workspace", "owner: user", "github_app: the slot is {owner: workspace, attach: bearer}"},
		{"another attachment", "attach: bearer", "attach: {header: X-Token}", "github_app: the slot is {owner: workspace, attach: bearer}"},
		{"beside oauth", "github_app:", "oauth: {token_endpoint: https://login.example/token, " + keyedClient + "}, github_app:", "and has no oauth"},
		{"no app", "app_id: 4711, ", "", "want one of app_id and client_id"},
		{"two apps", "app_id: 4711", "app_id: 4711, client_id: Iv", "want one of app_id and client_id"},
		{"app in words", "4711", "mine", "app_id: want a number in plain decimal"},
		{"app in hexadecimal", "4711", "0x10", "app_id: want a number in plain decimal"},
		{"app below zero", "4711", "-1", "app_id: want a number"},
		{"no installation", `installation_id: "42", `, "", "github_app: installation_id is missing"},
		{"installation is a path", `"42"`, `"42/../../x"`, "installation_id: want a number"},
		{"installation too long", `"42"`, strings.Repeat("1", 21), "installation_id: want a number"},
		{"no api", "api: https://api.github.com, ", "", "github_app: api is missing"},
		{"api in the clear", "https://api.github.com", "http://api.github.com", "api: want https://HOST"},
		{"api with a slash", "https://api.github.com", "https://api.github.com/", "without a slash at its end"},
		{"api with a query", "https://api.github.com", `"https://api.github.com/v3?x"`, "api: want https://HOST"},
		{"api in capitals", "https://api.github.com", "https://API.github.com", "api: write it as https://api.github.com"},
		{"api with a user", "https://api.github.com", "https://a@api.github.com", "api: want https://HOST"},
		{"no permissions", "permissions: {contents: read}, ", "", "github_app: permissions is missing"},
		{"empty permissions", "{contents: read}", "{}", "permissions: want a mapping of 1 to 64"},
		{"permission in capitals", "contents: read", "Contents: read", `permission "Contents"`},
		{"permission of no level", "contents: read", "contents: all", "permission contents: want read, write or admin"},
		{"neither narrowed nor all", ", repository: repo", "", "name the repository type by which tokens are narrowed"},
		{"not narrowed, all denied", "repository: repo", "all_repositories: false", "name the repository type by which tokens are narrowed"},
		{"repository is no type", "repository: repo", `repository: "repo:*"`, `repository "repo:*": want the type of a resource`},
		{"repository in capitals", "repository: repo", "repository: Repo", `repository "Repo": want the type`},
		{"all in words", "repository: repo", "repository: repo, all_repositories: sure", "all_repositories: want true or false"},
		{"everything may be dialled", "repository: repo", "repository: repo, network: {allow: [0.0.0.0/0]}", "network.allow"},
		{"more", "repository: repo", "repository: repo, token: x", `github_app has no field "token"`},
	}
	for _, k := range tests {
		t.Run(k.name, func(t *testing.T) {
			require.Contains(t, githubApp, k.old)
			_, err := connector.Parse([]byte(withSlots(t, "{main: "+strings.Replace(githubApp, k.old, k.new, 1)+"}")))
			require.True(t, fault.Is(err, fault.ArgumentInvalid), "%v", err)
			require.ErrorContains(t, err, k.want)
		})
	}
}
