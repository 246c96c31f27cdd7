package docs_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/connector"
)

var update = flag.Bool("update", false, "write the reference of manifest fields anew")

// sections are the tables of docs/connectors.md, by the method of the manifest's reader
// that reads the mapping, and what stands before its fields.
var sections = map[string]string{
	"manifest": "", "tls": "tls.", "slot": "", "attach": "attach.", "assertion": "assertion.",
	"oauth": "oauth.", "client": "oauth.client.", "assertionGrant": "oauth.assertion.", "exchange": "oauth.exchange.",
	"githubApp": "github_app.", "aws": "attach.aws.", "sts": "attach.aws.sts.", "policyRules": "attach.aws.session_policy.TYPE.",
	"model": "model.", "price": "model.prices.MODEL.", "tool": "", "pairing": "query.PARAMETER.", "response": "response.",
}

// manifestField is a field as the source has it.
type manifestField struct {
	name, doc string
	needed    bool
}

// TestManifestReference holds the reference to the source: every field that the
// manifest's reader takes, whether it is needed, and the comment above it. After a change:
// go test ./tests/docs -run TestManifestReference -update
func TestManifestReference(t *testing.T) {
	found := manifestFields(t)
	page := filepath.Join(root, "docs/connectors.md")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	made := string(text)
	for method, fields := range found {
		begin, end := "<!-- fields of "+method+" -->\n", "<!-- end of "+method+" -->"
		before, rest, ok := strings.Cut(made, begin)
		require.True(t, ok, "docs/connectors.md has no %q", begin)
		_, after, ok := strings.Cut(rest, end)
		require.True(t, ok, "docs/connectors.md has no %q", end)
		made = before + begin + fieldTable(sections[method], fields) + end + after
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(made), 0o600))
		return
	}
	require.Equal(t, made, string(text), "stale: go test ./tests/docs -run TestManifestReference -update")
}

func fieldTable(prefix string, fields []manifestField) string {
	var b strings.Builder
	b.WriteString("| field | | meaning |\n|---|---|---|\n")
	for _, f := range fields {
		needed := ""
		if f.needed {
			needed = "needed "
		}
		fmt.Fprintf(&b, "| `%s%s` | %s| %s |\n", prefix, f.name, needed, f.doc)
	}
	return b.String()
}

// manifestFields finds every field in the source, by the method that reads it.
func manifestFields(t *testing.T) map[string][]manifestField {
	t.Helper()
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(root, "server/connector/*.go"))
	require.NoError(t, err)
	found := map[string][]manifestField{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		require.NoError(t, err)
		above := map[int]string{} // the line below a comment → the comment
		for _, group := range tree.Comments {
			above[files.Position(group.End()).Line+1] = strings.Join(strings.Fields(group.Text()), " ")
		}
		for _, d := range tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isFieldsCall(call) || nested(fn, call) {
					return true
				}
				require.Contains(t, sections, fn.Name.Name, "docs/connectors.md has no table for it")
				for _, arg := range call.Args[2:] {
					found[fn.Name.Name] = append(found[fn.Name.Name], readField(t, files, above, "", arg)...)
				}
				return true
			})
		}
	}
	require.Len(t, found, len(sections))
	return found
}

func isFieldsCall(call *ast.CallExpr) bool {
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "fields" && len(call.Args) > 2
}

// nested reports whether a call stands within a field of another: it comes with that.
func nested(fn *ast.FuncDecl, call *ast.CallExpr) (is bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		outer, ok := n.(*ast.CallExpr)
		if ok && outer != call && isFieldsCall(outer) && outer.Pos() < call.Pos() && call.End() <= outer.End() {
			is = true
		}
		return true
	})
	return is
}

// readField reads field{"name", needed, func…}, or a call that makes one of a name. A
// field whose own fields stand right there is told by those.
func readField(t *testing.T, files *token.FileSet, above map[int]string, prefix string, n ast.Expr) []manifestField {
	t.Helper()
	f := manifestField{doc: above[files.Position(n.Pos()).Line]}
	var parts []ast.Expr
	switch n := n.(type) {
	case *ast.CompositeLit:
		parts = n.Elts
		needed, ok := parts[1].(*ast.Ident)
		f.needed = ok && needed.Name == "true"
	case *ast.CallExpr:
		parts = n.Args
	}
	name, ok := parts[0].(*ast.BasicLit)
	require.True(t, ok, "a field without a name at %s", files.Position(n.Pos()))
	text, err := strconv.Unquote(name.Value)
	require.NoError(t, err)
	f.name = prefix + text
	var inner []manifestField
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isFieldsCall(call) {
			for _, arg := range call.Args[2:] {
				inner = append(inner, readField(t, files, above, f.name+".", arg)...)
			}
			for i := range inner {
				inner[i].needed = inner[i].needed && f.needed
			}
			return false
		}
		return true
	})
	if len(inner) > 0 {
		return inner
	}
	require.NotEmpty(t, f.doc, "the field %s at %s has no comment above it", f.name, files.Position(n.Pos()))
	require.False(t, strings.ContainsAny(f.doc, "|"), f.name)
	return []manifestField{f}
}

// The guide's manifest is one.
func TestTheFirstManifest(t *testing.T) {
	_, rest, ok := strings.Cut(read(t, "docs/connectors.md"), "   ```\n   connector:")
	require.True(t, ok)
	text, _, _ := strings.Cut("   connector:"+rest, "   ```")
	c, err := connector.Parse([]byte(strings.ReplaceAll("\n"+text, "\n   ", "\n")))
	require.NoError(t, err)
	b, err := c.Bind("ticket.get", []byte(`{"id": 1207}`))
	require.NoError(t, err)
	require.Equal(t, "/v2/tickets/1207.json", b.Path)
}
