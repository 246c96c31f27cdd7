package connector

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/egress"
)

// unminted refuses tools whose path is that of an endpoint from which the broker has the
// connector's own tokens: its answers are credentials, and would be handed to sandboxes.
func (r *reader) unminted(n *yaml.Node, c *Connector) {
	for _, s := range c.Slots {
		for _, at := range s.mints() {
			i := slices.IndexFunc(c.Tools, func(t *Tool) bool {
				return at.Origin == c.Origin && t.path != nil && pathMatches(t.path, at.Path)
			})
			if i >= 0 {
				r.fail(n, "tool %s: its path can be that of the endpoint that gives out the tokens of slot %s", c.Tools[i].Name, s.Name)
			}
		}
	}
}

// mints are the endpoints that give out what is attached for a slot.
func (s Slot) mints() []egress.Location {
	var all []egress.Location
	if s.OAuth != nil {
		all = append(all, s.OAuth.TokenEndpoint)
	}
	if s.GitHubApp != nil {
		at := s.GitHubApp.API
		at.Path += "/app/installations/" + s.GitHubApp.Installation + "/access_tokens"
		all = append(all, at)
	}
	return slices.DeleteFunc(all, func(l egress.Location) bool { return l == egress.Location{} })
}
