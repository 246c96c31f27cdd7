package conformance_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// codesFor is what docs/errors.md says of a reason.
type codesFor struct {
	code string
	http int
}

var readReasons = sync.OnceValues(func() (map[string]codesFor, error) {
	text, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		return nil, err
	}
	table := map[string]codesFor{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		status, err := strconv.Atoi(strings.TrimSpace(cells[3]))
		if err != nil {
			continue
		}
		table[strings.TrimSpace(cells[1])] = codesFor{strings.TrimSpace(cells[2]), status}
	}
	return table, nil
})

// codesOf gives the gRPC code and the HTTP status of each reason, as people read them.
func codesOf(t *testing.T) map[string]codesFor {
	t.Helper()
	table, err := readReasons()
	require.NoError(t, err)
	require.NotEmpty(t, table)
	return table
}
