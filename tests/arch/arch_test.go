// Package arch_test holds the tree to the rules of the house: who may import whom,
// who may hold a secret in the clear, who may open a connection, and that no package
// has state. It parses the files itself: a test that asks the go tool is cached, and
// passes over what has changed since.
package arch_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule is one rule of the house.
type rule struct {
	name  string
	check func([]file) []breach
}

func rules() []rule {
	return []rule{
		{"proto, client and server stand apart", outer},
		{"imports point down", down},
		{"reserved packages", reservedImports},
		{"no test code in production", noTesting},
		{"no dot and side-effect imports", plainImports},
		{"names that say something", names},
		{"no init", noInit},
		{"no package state", noState},
		{"no writing to another package", foreignWrites},
		{"reserved names", reservedNames},
		{"who may reveal", reveals},
		{"the clock is passed in", asked},
		{"certificates are verified", verified},
	}
}

func TestRules(t *testing.T) {
	files, err := load(os.DirFS("../.."))
	require.NoError(t, err)
	requireWhole(t, files)
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, b := range r.check(files) {
				t.Errorf("%s: %s", b.where, b.what)
			}
		})
	}
}

// requireWhole fails where the walk did not see the tree: rules that look at nothing
// hold.
func requireWhole(t *testing.T, files []file) {
	t.Helper()
	for _, dir := range []string{"client", "proto/onedoor/v1", "server/fault", "server/grant", "server/vault", "tests/arch"} {
		require.True(t, slices.ContainsFunc(files, func(f file) bool { return f.dir == dir }), "no file in %s was read", dir)
	}
	for _, f := range files {
		require.False(t, strings.Contains(f.dir, "\\"), "folders are written with slashes")
	}
}
