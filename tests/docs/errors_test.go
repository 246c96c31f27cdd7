package docs_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// TestEveryReasonIsExplained, with the code that the protocol's own comment names (which
// server/api is held to) and the HTTP status that follows from it.
func TestEveryReasonIsExplained(t *testing.T) {
	byName := map[string]codes.Code{}
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		byName[c.String()] = c
	}
	commented := map[string]string{}
	comment := regexp.MustCompile(`(?m)(\w+)\.\n\s+REASON_(\w+) = \d+;`)
	for _, m := range comment.FindAllStringSubmatch(read(t, "proto/onedoor/v1/reason.proto"), -1) {
		commented[m[2]] = m[1]
	}
	explained := map[string][]string{}
	for _, cells := range rows(read(t, "docs/errors.md")) {
		if len(cells) == 6 {
			require.NotContains(t, explained, cells[0], "explained twice")
			explained[cells[0]] = cells
		}
	}
	known := map[string]bool{"reason": true, "---": true}
	for number, full := range onedoorv1.Reason_name {
		name := strings.TrimPrefix(full, "REASON_")
		if number == 0 {
			continue
		}
		known[name] = true
		t.Run(name, func(t *testing.T) {
			require.Contains(t, explained, name)
			cells := explained[name]
			require.Equal(t, commented[name], cells[1])
			require.Contains(t, byName, cells[1])
			require.Equal(t, strconv.Itoa(runtime.HTTPStatusFromCode(byName[cells[1]])), cells[2])
			for _, cell := range cells[3:] {
				require.NotEmpty(t, cell)
			}
		})
	}
	for name := range explained {
		require.True(t, known[name], "%s is no reason", name)
	}
}

// TestExitCodes: the CLI's own help says them in the same words.
func TestExitCodes(t *testing.T) {
	help := regexp.MustCompile(`\s+`).ReplaceAllString(read(t, "client/cmd/onedoor/exit.go"), " ")
	found := 0
	for _, cells := range rows(read(t, "docs/operations.md")) {
		if _, err := strconv.Atoi(cells[0]); err != nil || len(cells) != 2 {
			continue
		}
		found++
		same := strings.Contains(help, cells[0]+" "+strings.ReplaceAll(cells[1], "`", ""))
		require.True(t, same, "exit code %s", cells[0])
	}
	require.Equal(t, 8, found)
}
