package yamlnode_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onedoor/onedoor/server/yamlnode"
)

func TestDescribe(t *testing.T) {
	for text, want := range map[string]string{
		"a: {b: c}":               "a mapping",
		"a: [b]":                  "a list",
		"a:":                      "nothing",
		"a: ~":                    "nothing",
		"a: true":                 "true",
		"a: 5":                    "the number 5",
		"a: 1.5e3":                "the number 1.5e3",
		"a: 2026-11-29":           "a date",
		"a: canary":               "text",
		"a: |\n  canary":          "text",
		`a: "5"`:                  "text in quotes",
		"a: '5'":                  "text in quotes",
		"b: &x canary\na: *x":     "an alias",
		"a: !!binary Y2FuYXJ5":    "text",
		"a: !canary-tag 5":        "text",
		"a: 0123456789canary0123": "text",
	} {
		var doc yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
		fields := doc.Content[0].Content
		require.Equal(t, want, yamlnode.Describe(fields[len(fields)-1]), text)
		require.Equal(t, "a document", yamlnode.Describe(&doc))
	}
}
