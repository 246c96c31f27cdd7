package config

import (
	"fmt"
	"slices"

	"github.com/onedoor/onedoor/server/egress"
)

// everyOrigin in svid_upstreams allows all of them.
const everyOrigin = "*"

func (c *Config) checkSVIDUpstreams(k *checker) {
	for i, w := range c.Workspaces {
		for j, text := range w.SVIDUpstreams {
			origin, err := egress.ParseOrigin(text)
			k.when(text != everyOrigin && (err != nil || origin.String() != text),
				fmt.Sprintf("workspaces[%d].svid_upstreams[%d]", i, j), `%q: want an origin as manifests have it, https://HOST[:PORT], or "*"`, text)
		}
	}
}

// MayShowSVID reports whether connectors of a workspace may have the broker show its own
// SVID to an origin. Nothing unset is allowed.
func (c *Config) MayShowSVID(workspace string, origin egress.Origin) bool {
	for _, w := range c.Workspaces {
		if w.Name == workspace {
			return slices.Contains(w.SVIDUpstreams, everyOrigin) || slices.Contains(w.SVIDUpstreams, origin.String())
		}
	}
	return false
}
