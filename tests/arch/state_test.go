package arch_test

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// noState refuses mutable package state. A package variable of production code is
// given its value where it is declared, by literals, pureCalls, and functions of its
// own package that return no pointer; it has no type made for changing; and nothing in its package assigns to
// it, writes into it or takes its address. What a method of its own type does to it
// cannot be seen here. Two kinds need no value: `var _ I = T{}` and embedded files.
func noState(files []file) (out []breach) {
	p := known{written: map[string]bool{}, sharing: map[string]bool{}}
	for _, f := range files {
		if !f.testOnly() && !f.generated() {
			p.add(f)
		}
	}
	for _, f := range files {
		if f.testOnly() || f.generated() {
			continue
		}
		for _, d := range f.tree.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				if what := p.mutable(f, decl, spec); what != "" {
					out = append(out, f.breach(spec, what))
				}
			}
		}
	}
	return out
}

// known is what the files of a package say about its names, each behind its folder.
type known struct {
	written map[string]bool // written to, or with their address taken
	sharing map[string]bool // functions that return a pointer or a thing made for changing
}

func (p known) add(f file) {
	for _, name := range writes(f) {
		p.written[f.dir+" "+name] = true
	}
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || fn.Type.Results == nil {
			continue
		}
		for _, result := range fn.Type.Results.List {
			if _, pointer := result.Type.(*ast.StarExpr); pointer || stateful(f, result.Type) {
				p.sharing[f.dir+" "+fn.Name.Name] = true
			}
		}
	}
}

// mutable says why a declaration is state; empty if it is not.
func (p known) mutable(f file, decl *ast.GenDecl, spec *ast.ValueSpec) string {
	if !slices.ContainsFunc(spec.Names, func(n *ast.Ident) bool { return n.Name != "_" }) {
		return ""
	}
	for _, n := range spec.Names {
		switch {
		case n.Name == "_":
		case p.written[f.dir+" "+n.Name]:
			return "package variable " + n.Name + " is written to"
		case len(spec.Values) == 0 && !embedded(decl, spec):
			return "package variable " + n.Name + " has no value"
		}
	}
	if spec.Type != nil && stateful(f, spec.Type) {
		return "package variable " + spec.Names[0].Name + " has a type made for changing"
	}
	for _, v := range spec.Values {
		if what := p.impure(f, v); what != "" {
			return "package variable " + spec.Names[0].Name + " is made by " + what
		}
	}
	return ""
}

func embedded(decl *ast.GenDecl, spec *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{decl.Doc, spec.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// impure names what in a value may be changed later; empty if nothing is seen.
func (p known) impure(f file, value ast.Expr) (what string) {
	walk(value, func(n, _ ast.Node) {
		switch n := n.(type) {
		case *ast.UnaryExpr:
			if n.Op == token.AND || n.Op == token.ARROW {
				what = n.Op.String()
			}
		case *ast.CompositeLit:
			if n.Type != nil && stateful(f, n.Type) {
				what = "a type made for changing"
			}
		case *ast.CallExpr:
			name := called(n.Fun)
			elsewhere := strings.Contains(name, ".") && !slices.Contains(pureCalls, name)
			if name == "make" || name == "new" || elsewhere || p.sharing[f.dir+" "+name] {
				what = name
			}
		}
	})
	return what
}

// called names a function as it is called: "f", "pkg.F", or "" for what has no name.
func called(fn ast.Expr) string {
	switch fn := fn.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.IndexExpr: // with a type parameter
		return called(fn.X)
	case *ast.IndexListExpr:
		return called(fn.X)
	case *ast.SelectorExpr:
		if x, ok := fn.X.(*ast.Ident); ok {
			return x.Name + "." + fn.Sel.Name
		}
		return "." + fn.Sel.Name
	}
	return ""
}

// stateful reports whether a type mentions a package of changing things, or a channel.
func stateful(f file, e ast.Expr) (found bool) {
	walk(e, func(n, _ ast.Node) {
		switch n := n.(type) {
		case *ast.ChanType:
			found = true
		case *ast.SelectorExpr:
			for _, p := range statefulPackages {
				if f.local(p) != "" && isName(n.X, f.local(p)) {
					found = true
				}
			}
		}
	})
	return found
}

// writes returns the names that are written to or whose address is taken within the
// functions of f, and those of other packages as "pkg.Name". It knows no scopes: a
// local variable that hides a package variable should have another name anyway.
func writes(f file) (names []string) {
	add := func(e ast.Expr) {
		if name := root(e); name != "" {
			names = append(names, name)
		}
	}
	walk(f.tree, func(n, _ ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					add(e)
				}
			}
		case *ast.IncDecStmt:
			add(n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				add(n.Key)
				add(n.Value)
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				add(n.X)
			}
		case *ast.CallExpr:
			if name := called(n.Fun); slices.Contains([]string{"delete", "clear", "copy"}, name) && len(n.Args) > 0 {
				add(n.Args[0])
			}
		}
	})
	return names
}

// root finds the variable at the bottom of x, x.f, x[i], x[i:j], *x and (x).
func root(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// foreignWrites refuses to assign to another package's variables: they are exported
// to be read.
func foreignWrites(files []file) (out []breach) {
	for _, f := range files {
		if f.testOnly() || f.generated() {
			continue
		}
		var packages []string
		for _, p := range f.imports() {
			packages = append(packages, f.local(p), path.Base(p))
		}
		walk(f.tree, func(n, _ ast.Node) {
			assign, ok := n.(*ast.AssignStmt)
			if !ok || assign.Tok == token.DEFINE {
				return
			}
			for _, e := range assign.Lhs {
				sel, ok := e.(*ast.SelectorExpr)
				if !ok || !ast.IsExported(sel.Sel.Name) {
					continue
				}
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(packages, x.Name) && !localName(f, x.Name) {
					out = append(out, f.breach(e, "assignment to "+x.Name+"."+sel.Sel.Name))
				}
			}
		})
	}
	return out
}

// localName reports whether f declares the name somewhere as a variable, parameter or
// receiver, so that it need not be the package.
func localName(f file, name string) (found bool) {
	walk(f.tree, func(n, _ ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				found = found || n.Tok == token.DEFINE && isName(e, name)
			}
		case *ast.Field:
			for _, id := range n.Names {
				found = found || id.Name == name
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				found = found || id.Name == name
			}
		}
	})
	return found
}
