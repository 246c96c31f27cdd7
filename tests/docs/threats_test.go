package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// lastRow is how many classes of attack the threat model numbers. Two of them come with
// what does not exist yet.
const lastRow = 33

var notYet = map[int]bool{21: true, 25: true}

// TestEveryAttackHasItsRow: the threat model treats each class once, each class has its
// tests in tests/attack, and each test there belongs to a class that it treats. Other
// tests that it names exist.
func TestEveryAttackHasItsRow(t *testing.T) {
	attacks := map[int]bool{}
	for number := range functions(t, filepath.Join(root, "tests", "attack"), regexp.MustCompile(`(?m)^func TestAttack(\d\d)_\w+\(t `)) {
		n, err := strconv.Atoi(number)
		require.NoError(t, err)
		attacks[n] = true
	}
	everywhere := functions(t, root, regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`))
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")
	treated := map[int]bool{}
	for _, cells := range rows(read(t, "docs/threat-model.md")) {
		n, err := strconv.Atoi(cells[0])
		if err != nil {
			continue
		}
		require.Len(t, cells, 5, "row %d", n)
		require.False(t, treated[n], "row %d is treated twice", n)
		treated[n] = true
		for _, cell := range cells[1:] {
			require.NotEmpty(t, cell, "row %d", n)
		}
		for _, m := range named.FindAllStringSubmatch(cells[4], -1) {
			require.Contains(t, everywhere, m[1], "row %d", n)
		}
	}
	for n := 1; n <= lastRow; n++ {
		require.Equal(t, !notYet[n], attacks[n], "tests/attack and row %d", n)
		require.Equal(t, !notYet[n], treated[n], "docs/threat-model.md and row %d", n)
	}
	require.Len(t, treated, lastRow-len(notYet))
}

// functions gives what a pattern's first group finds in the test files below a folder.
func functions(t *testing.T, folder string, pattern *regexp.Regexp) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && len(d.Name()) > 2 && d.Name()[0] == '.' {
			return filepath.SkipDir // .venv and its like
		}
		if ok, err := filepath.Match("*_test.go", d.Name()); err != nil || !ok {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a test: %w", err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}
