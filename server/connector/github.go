package connector

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
	"github.com/onedoor/onedoor/server/grant"
)

// GitHubAppKind is what is stored for a slot with a [GitHubApp]: the app's private key.
const GitHubAppKind = "github_app"

// GitHubApp says how the access token of a GitHub App's installation is obtained.
type GitHubApp struct {
	// Issuer is the app's client id or its numeric id; GitHub takes either.
	Issuer string
	// Installation is the numeric id of the installation.
	Installation string
	// API is where GitHub's REST API begins, without a slash at its end.
	API egress.Location
	// Permissions are asked for and no others; by name.
	Permissions map[string]string
	// Repository is the type of the resources that name repositories, `NAME` or
	// `OWNER/NAME`; empty: none do.
	Repository string
	// All allows a token for all repositories of the installation, for calls that name none.
	All bool
	// Egress bounds the connections to API.
	Egress egress.Policy
}

func (g *GitHubApp) signed() Signed { return Signed{Algorithm: RS256, Issuer: g.Issuer} }

const (
	maxPermissions = 64
	maxDigits      = 20
)

func (r *reader) githubApp(n *yaml.Node) *GitHubApp {
	g := &GitHubApp{}
	var issuers []*yaml.Node
	r.fields(n, "github_app",
		// Which app; this or `client_id`.
		field{"app_id", false, func(n *yaml.Node) { issuers, g.Issuer = append(issuers, n), r.digits(n, "app_id") }},
		// Which app; this or `app_id`.
		field{"client_id", false, func(n *yaml.Node) { issuers, g.Issuer = append(issuers, n), r.identifier(n, "client_id", maxScope) }},
		// Where it is installed.
		field{"installation_id", true, func(n *yaml.Node) { g.Installation = r.digits(n, "installation_id") }},
		// `https://api.github.com`, or `https://HOST/api/v3` of an own server.
		field{"api", true, func(n *yaml.Node) { g.API = r.base(n, "api") }},
		// `read`, `write` or `admin` by name, as GitHub names them. Nothing else is asked for.
		field{"permissions", true, func(n *yaml.Node) { g.Permissions = r.permissions(n) }},
		// The type of the resources that name repositories: as `repo:NAME` or `repo:OWNER/NAME`.
		field{"repository", false, func(n *yaml.Node) { g.Repository = r.resourceType(n, "repository") }},
		// `true`: a call that names no repository gets a token for all of the installation's. Default
		// `false`.
		field{"all_repositories", false, func(n *yaml.Node) { g.All = r.boolean(n, "all_repositories") }},
		field{"network", false, func(n *yaml.Node) {
			// As `network.allow` of the connector, for the way to `api`.
			r.fields(n, "network", field{"allow", true, func(n *yaml.Node) { g.Egress.AllowRanges = r.ranges(n) }})
		}},
		field{"tls", false, func(n *yaml.Node) {
			// As `tls.ca` of the connector, for `api`.
			r.fields(n, "tls", field{"ca", true, func(n *yaml.Node) { g.Egress.RootCAs = r.certificates(n) }})
		}},
	)
	if len(issuers) != 1 {
		r.fail(n, "github_app: want one of app_id and client_id")
	}
	if g.Repository == "" && !g.All {
		r.fail(n, "github_app: name the repository type by which tokens are narrowed, or say all_repositories: true")
	}
	return g
}

// digits reads a number that names something, with or without quotes.
func (r *reader) digits(n *yaml.Node, what string) string {
	plain := n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!int" || n.ShortTag() == "!!str")
	if !plain || n.Value == "" || len(n.Value) > maxDigits || strings.Trim(n.Value, "0123456789") != "" {
		r.fail(n, "%s: want a number in plain decimal", what)
		return ""
	}
	return n.Value
}

// base reads the URL below which an API lies.
func (r *reader) base(n *yaml.Node, what string) egress.Location {
	s := r.text(n, what, maxEndpoint)
	if s == "" {
		return egress.Location{}
	}
	l, err := egress.ParseLocation(s)
	switch {
	case err != nil || l.Query != "" || strings.HasSuffix(l.Path, "/"):
		r.fail(n, "%s: want https://HOST or https://HOST/PATH without a slash at its end, user, query and fragment, and no '.', '..', '//' or '\\' in its path", what)
	case l.String() != s:
		r.fail(n, "%s: write it as %s", what, l.String())
	}
	return l
}

// permissions reads a mapping of name to level. Without one GitHub would give all that
// the app has.
func (r *reader) permissions(n *yaml.Node) map[string]string {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxPermissions {
		r.fail(n, "permissions: want a mapping of 1 to %d", maxPermissions)
		return nil
	}
	given := map[string]string{}
	for key, value := range pairs(n) {
		if strings.Trim(key.Value, "abcdefghijklmnopqrstuvwxyz_") != "" || len(key.Value) > maxName {
			r.fail(key, "permission %s: want lower-case letters and '_'", quote(key.Value))
		}
		level := r.text(value, "permissions", maxName)
		if level != "" && !slices.Contains([]string{"read", "write", "admin"}, level) {
			r.fail(value, "permission %s: want read, write or admin", key.Value)
		}
		given[key.Value] = level
	}
	return given
}

// resourceType reads the part of a resource before its colon.
func (r *reader) resourceType(n *yaml.Node, what string) string {
	s := r.text(n, what, maxName)
	if _, err := grant.ParseResource(s + ":x"); s != "" && (err != nil || strings.Contains(s, ":")) {
		r.fail(n, "%s %s: want the type of a resource", what, quote(s))
		return ""
	}
	return s
}
