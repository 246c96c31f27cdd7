package grant_test

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/onedoor/onedoor/server/grant"
)

func TestDigestCoversEverythingButTheID(t *testing.T) {
	base := parse(t, "crm: a,b WRITE x:1,x:2 calls=1 bytes=2 rows=3 tokens=4 usd=0.000005 until=2030-01-01T00:00:00Z")[0]
	changes := map[string]func(*grant.Grant){
		"connector":  func(g *grant.Grant) { g.Connector = "erp" },
		"revision":   func(g *grant.Grant) { g.Revision = 2 },
		"tools":      func(g *grant.Grant) { g.Tools = []string{"a"} },
		"joined":     func(g *grant.Grant) { g.Tools = []string{"ab"} },
		"severity":   func(g *grant.Grant) { g.MaxSeverity = grant.Read },
		"resources":  func(g *grant.Grant) { g.Resources = g.Resources[:1] },
		"calls":      func(g *grant.Grant) { g.Limits.Calls = 9 },
		"bytes":      func(g *grant.Grant) { g.Limits.Bytes = 9 },
		"rows":       func(g *grant.Grant) { g.Limits.Rows = 9 },
		"tokens":     func(g *grant.Grant) { g.Limits.Tokens = 9 },
		"usd":        func(g *grant.Grant) { g.Limits.MicroUSD = 9 },
		"swapped":    func(g *grant.Grant) { g.Limits.Calls, g.Limits.Bytes = g.Limits.Bytes, g.Limits.Calls },
		"end":        func(g *grant.Grant) { g.ExpiresAt = g.ExpiresAt.Add(time.Microsecond) },
		"no end":     func(g *grant.Grant) { g.ExpiresAt = time.Time{} },
		"no changes": func(*grant.Grant) {},
	}
	seen := map[[32]byte]string{}
	for name, change := range changes {
		g := base
		change(&g)
		digest := grant.Digest([]grant.Grant{g})
		require.NotContains(t, seen, digest, "%s and %s", name, seen[digest])
		seen[digest] = name
	}
	named := base
	named.ID = "b9f6e1f0-7a0b-4d9e-9df5-0d3c8f1f7f11"
	require.Equal(t, grant.Digest([]grant.Grant{base}), grant.Digest([]grant.Grant{named}))
	elsewhere := base
	elsewhere.ExpiresAt = base.ExpiresAt.In(time.FixedZone("", 3600))
	require.Equal(t, grant.Digest([]grant.Grant{base}), grant.Digest([]grant.Grant{elsewhere}))
}

func TestDigestCountsGrants(t *testing.T) {
	one := parse(t, "crm: a READ x:1 calls=1")
	require.NotEqual(t, grant.Digest(nil), grant.Digest(one))
	require.NotEqual(t, grant.Digest(one), grant.Digest(slices.Concat(one, one)))
}

func TestDigestIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants := rapid.SliceOfN(rapid.Custom(drawGrant), 0, 5).Draw(t, "grants")
		before := grant.Digest(grants)
		shuffled := rapid.Permutation(grant.NewSet(grants).Grants()).Draw(t, "shuffled")
		for i := range shuffled {
			slices.Reverse(shuffled[i].Tools)
			slices.Reverse(shuffled[i].Resources)
		}
		require.Equal(t, before, grant.Digest(shuffled))
		require.Equal(t, before, grant.Digest(grants), "the grants themselves stay as they are")
	})
}

// Approved digests are stored: the form must not change by accident.
func TestDigestVector(t *testing.T) {
	grants := parse(t, "crm: contacts.get READ contact:42 calls=10", "crm: contacts.list READ contact:*")
	digest := grant.Digest(grants)
	require.Equal(t, "53b56c21f65416c493c4c5a663c3f0e85949a2889ee9892242140e51a08f3980", hex.EncodeToString(digest[:]))
}
