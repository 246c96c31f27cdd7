package openapi_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
	"github.com/onedoor/onedoor/server/connector/openapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixtures are documents with the odd features of each version, and what is asked.
func fixtures() map[string]openapi.Options {
	return map[string]openapi.Options{
		"crm30.yaml":    {Name: "crm"},
		"jobs20.json":   {Name: "jobs"},
		"modern31.yaml": {Name: "modern"},
		"pay30.yaml":    {Name: "pay"},
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return text
}

// told writes findings as a person reads them.
func told(findings []openapi.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		kind := map[openapi.Kind]string{openapi.NotMapped: "not mapped", openapi.Changed: "changed", openapi.Review: "review"}[f.Kind]
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n", kind, f.What, f.Why, f.Where)
	}
	return b.String()
}

// TestGolden holds whole manifests and findings, so that every change of them is seen.
// After one that is meant: go test ./server/connector/openapi -run TestGolden -update
func TestGolden(t *testing.T) {
	for name, o := range fixtures() {
		t.Run(name, func(t *testing.T) {
			r, err := openapi.Import(t.Context(), fixture(t, name), o)
			require.NoError(t, err)
			c, err := connector.Parse([]byte(r.Manifest))
			require.NoError(t, err)
			require.Len(t, c.Tools, r.Tools)
			base := "testdata/" + strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".json")
			golden(t, base+".manifest", r.Manifest)
			golden(t, base+".findings", told(r.Findings))
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// The same document makes the same manifest, whichever way it comes.
func TestDeterministic(t *testing.T) {
	for name, o := range fixtures() {
		t.Run(name, func(t *testing.T) {
			text := fixture(t, name)
			first, err := openapi.Import(t.Context(), text, o)
			require.NoError(t, err)
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, err = z.Write(text)
			require.NoError(t, err)
			require.NoError(t, z.Close())
			for range 5 {
				again, err := openapi.Import(t.Context(), packed.Bytes(), o)
				require.NoError(t, err)
				require.Equal(t, first, again)
			}
		})
	}
}
