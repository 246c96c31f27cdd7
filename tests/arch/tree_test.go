package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/onedoor/onedoor"

// file is one hand-written Go file of the tree.
type file struct {
	dir  string // from the root, with slashes
	name string
	set  *token.FileSet
	tree *ast.File
}

// breach is one place where a rule of the house is broken.
type breach struct{ where, what string }

// load parses every hand-written Go file below root. Files of other modules (tools)
// and of other people (third_party) are not ours to judge.
func load(root fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || slices.Contains(foreign, base)) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file{path.Dir(name), base, set, tree})
		return nil
	})
	return files, err
}

// foreign are the folders that hold no code of this module.
var foreign = []string{"testdata", "third_party", "tools", "sdk-python", "node_modules", "bin"}

func (f file) generated() bool { return ast.IsGenerated(f.tree) }

// testOnly reports whether f is never linked into a binary that we ship: a _test
// file, a file below tests, or one of a package whose name ends in "test".
func (f file) testOnly() bool {
	return strings.HasSuffix(f.name, "_test.go") || testPackage(f.dir)
}

func testPackage(dir string) bool {
	return within(dir, "tests") || strings.HasSuffix(path.Base(dir), "test")
}

// imports returns the import paths of f.
func (f file) imports() []string {
	var out []string
	for _, spec := range f.tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// local returns the name under which f sees an imported package; empty if it does not.
func (f file) local(importPath string) string {
	for _, spec := range f.tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// path is where f stands, from the root.
func (f file) path() string { return path.Join(f.dir, f.name) }

func (f file) breach(n ast.Node, what string) breach {
	p := f.set.Position(n.Pos())
	return breach{f.path() + ":" + strconv.Itoa(p.Line), what}
}

// ours turns an import path into a folder of this module; ok is false for others.
func ours(importPath string) (dir string, ok bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// within reports whether name is root or lies below it.
func within(name, root string) bool {
	return name == root || strings.HasPrefix(name, root+"/")
}

func withinAny(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return within(name, root) })
}
