package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onedoorv1 "github.com/onedoor/onedoor/proto/onedoor/v1"
)

// The reasons here and those on the wire are one list: each has a constant, and no
// constant has a name of its own.
func TestReasonsAreThoseOfTheProtocol(t *testing.T) {
	var wire []string
	for number, name := range onedoorv1.Reason_name {
		if number != int32(onedoorv1.Reason_REASON_UNSPECIFIED) {
			wire = append(wire, strings.TrimPrefix(name, "REASON_"))
		}
	}
	require.ElementsMatch(t, wire, reasons(t))
}

// reasons reads the values out of the source: Go cannot list constants otherwise.
func reasons(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	require.NoError(t, err)
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			require.NoError(t, err)
			out = append(out, text)
		}
		return true
	})
	return out
}
