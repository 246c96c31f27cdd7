// Package docs_test holds the documentation to the code: what README.md and docs say
// must be there, parse, and where it is a command, run.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/tests/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const root = "../.."

// read gives a file of the tree.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(text)
}

// pages are README.md and everything below docs.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, p := range paths {
			name, err := filepath.Rel(root, p)
			require.NoError(t, err)
			found = append(found, name)
		}
	}
	require.Greater(t, len(found), 8)
	return found
}

// blocks gives the fenced blocks of a language, in their order.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

// rows gives the tables' rows as cells, headings and rulers included.
func rows(text string) [][]string {
	var found [][]string
	for line := range strings.Lines(text) {
		inner, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !ok {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(inner, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		found = append(found, cells)
	}
	return found
}

// anchor is the name under which a heading is linked.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)]*))?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
				target := page
				if m[1] != "" {
					target = filepath.Join(filepath.Dir(page), m[1])
				}
				_, err := os.Stat(filepath.Join(root, target))
				require.NoError(t, err, "link %s", m[0])
				if m[2] == "" {
					continue
				}
				var anchors []string
				for _, h := range heading.FindAllStringSubmatch(read(t, target), -1) {
					anchors = append(anchors, anchor(h[1]))
				}
				require.Contains(t, anchors, m[2], "link %s", m[0])
			}
		})
	}
}

// TestPathsExist: a package that was renamed is renamed in the documentation too.
func TestPathsExist(t *testing.T) {
	path := regexp.MustCompile("`((?:server|client|proto|tests|docs|deploy|scripts)/[\\w./-]+)`")
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			for _, m := range path.FindAllStringSubmatch(read(t, page), -1) {
				_, err := os.Stat(filepath.Join(root, m[1]))
				require.NoError(t, err)
			}
		})
	}
}
