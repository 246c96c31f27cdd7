package arch_test

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// outer keeps the three parts of the tree apart: proto knows nothing of ours, the
// client knows proto alone, and the server is nobody's library.
func outer(files []file) (out []breach) {
	for _, f := range files {
		for _, spec := range f.tree.Imports {
			dir, ok := ours(strings.Trim(spec.Path.Value, `"`))
			if !ok || within(f.dir, "tests") {
				continue
			}
			allowed := []string{"proto"}
			switch {
			case within(f.dir, "proto"):
				allowed = []string{f.dir}
			case within(f.dir, "server"):
				allowed = append(allowed, "server")
				if f.testOnly() || withinAny(f.dir, clientUsers) {
					allowed = append(allowed, "client")
				}
				if f.testOnly() {
					allowed = append(allowed, "tests")
				}
			case within(f.dir, "client/onedoortest"):
				allowed = append(allowed, "client", "server")
			default:
				allowed = append(allowed, "client")
			}
			if !withinAny(dir, allowed) {
				out = append(out, f.breach(spec, fmt.Sprintf("%s imports %s", f.dir, dir)))
			}
		}
	}
	return out
}

// down keeps the imports within the server pointing down. Test packages are exempt.
func down(files []file) (out []breach) {
	for _, f := range files {
		if !within(f.dir, "server") || f.testOnly() {
			continue
		}
		from := part(f.dir)
		if level(from) < 0 {
			out = append(out, f.breach(f.tree.Name, from+" has no level: give it one in rules_test.go"))
			continue
		}
		for _, spec := range f.tree.Imports {
			dir, ok := ours(strings.Trim(spec.Path.Value, `"`))
			if !ok || !within(dir, "server") {
				continue
			}
			to := part(dir)
			leaf := withinAny(f.dir, leaves)
			if to == from && !leaf || to != from && !leaf && lower(to, from) {
				continue
			}
			out = append(out, f.breach(spec, from+" may not import "+to))
		}
	}
	return out
}

// lower reports whether to lies below from, or beside it by a written exception.
func lower(to, from string) bool {
	if level(to) >= 0 && level(to) < level(from) {
		return true
	}
	return slices.Contains(beside[from], to)
}

// part names the part of the server to which a folder belongs.
func part(dir string) string {
	rest := strings.TrimPrefix(dir, "server/")
	for _, known := range slices.Concat(levels...) {
		// The longer names first: store/sqlstore is not store.
		if strings.Contains(known, "/") && within(rest, known) {
			return known
		}
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

func level(part string) int {
	return slices.IndexFunc(levels, func(l []string) bool { return slices.Contains(l, part) })
}

// reservedImports keeps some packages to those who may have them.
func reservedImports(files []file) (out []breach) {
	for _, f := range files {
		if f.testOnly() {
			continue
		}
		for _, spec := range f.tree.Imports {
			p := strings.Trim(spec.Path.Value, `"`)
			for _, r := range reserved {
				if withinAny(p, r.imports) && !withinAny(f.dir, r.by) {
					out = append(out, f.breach(spec, fmt.Sprintf("%s imports %s: %s", f.dir, p, r.why)))
				}
			}
		}
	}
	return out
}

// noTesting keeps test code out of what we ship.
func noTesting(files []file) (out []breach) {
	for _, f := range files {
		if f.testOnly() {
			continue
		}
		for _, spec := range f.tree.Imports {
			p := strings.Trim(spec.Path.Value, `"`)
			dir, ok := ours(p)
			if withinAny(p, testImports) || ok && testPackage(dir) {
				out = append(out, f.breach(spec, "production code imports "+p))
			}
		}
	}
	return out
}

// plainImports refuses the imports that hide where a name comes from, and those made
// for their side effects; a database driver is registered no other way.
func plainImports(files []file) (out []breach) {
	for _, f := range files {
		if f.generated() {
			continue
		}
		for _, spec := range f.tree.Imports {
			p := strings.Trim(spec.Path.Value, `"`)
			switch {
			case spec.Name == nil:
			case spec.Name.Name == ".":
				out = append(out, f.breach(spec, "dot import of "+p))
			case spec.Name.Name == "_" && !f.testOnly() && p != "embed" && !within(f.dir, "server/store/sqlstore"):
				out = append(out, f.breach(spec, "import of "+p+" for its side effects"))
			}
		}
	}
	return out
}

// names refuses packages whose name says nothing.
func names(files []file) (out []breach) {
	for _, f := range files {
		if f.generated() {
			continue
		}
		name := strings.TrimSuffix(f.tree.Name.Name, "_test")
		if slices.Contains(vagueNames, name) || slices.Contains(vagueNames, path.Base(f.dir)) {
			out = append(out, f.breach(f.tree.Name, "package "+name+" says nothing about what it holds"))
		}
	}
	return out
}

// noInit refuses code that runs before main.
func noInit(files []file) (out []breach) {
	for _, f := range files {
		if f.generated() {
			continue
		}
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, f.breach(fn, "func init"))
			}
		}
	}
	return out
}
