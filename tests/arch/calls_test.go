package arch_test

import (
	"go/ast"
	"go/token"
	"slices"
)

// reservedNames keeps some names of other packages to those who may mention them. A
// mention is enough: a value, a composite literal, new(T), a call, a function passed on.
func reservedNames(files []file) (out []breach) {
	for _, f := range files {
		if !within(f.dir, "server") || f.testOnly() || f.generated() {
			continue
		}
		for _, m := range mentions {
			local := f.local(m.pkg)
			if local == "" || withinAny(f.dir, m.by) {
				continue
			}
			walk(f.tree, func(n, parent ast.Node) {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok || !isName(sel.X, local) || !slices.Contains(m.names, sel.Sel.Name) {
					return
				}
				if _, star := parent.(*ast.StarExpr); star && m.pointer {
					return
				}
				out = append(out, f.breach(sel, m.pkg+"."+sel.Sel.Name+": "+m.why))
			})
		}
	}
	return out
}

// reveals keeps the clear text of secrets and task keys to those who need it. Any
// mention counts, so that a method value is no way round.
func reveals(files []file) (out []breach) {
	for _, f := range files {
		if !within(f.dir, "server") || f.testOnly() || withinAny(f.path(), revealers) {
			continue
		}
		walk(f.tree, func(n, _ ast.Node) {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				out = append(out, f.breach(sel, f.path()+" may not call Reveal"))
			}
		})
	}
	return out
}

// asked refuses to ask the machine for the time where the clock is passed in.
func asked(files []file) (out []breach) {
	for _, f := range files {
		local := f.local("time")
		if local == "" || !within(f.dir, "server") || f.testOnly() || withinAny(f.dir, clocks) {
			continue
		}
		walk(f.tree, func(n, _ ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return
			}
			if name := called(call.Fun); name == local+".Now" || name == local+".Since" || name == local+".Until" {
				out = append(out, f.breach(call, name+": the clock is passed in"))
			}
		})
	}
	return out
}

// verified refuses to switch certificate checks off. Only `false`, as a literal, may be
// written there: a library's own setting is forced so.
func verified(files []file) (out []breach) {
	for _, f := range files {
		if f.testOnly() {
			continue
		}
		forced := map[ast.Node]bool{}
		walk(f.tree, func(n, _ ast.Node) {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if len(n.Lhs) == 1 && isName(n.Rhs[0], "false") {
					forced[n.Lhs[0]] = true
				}
			case *ast.KeyValueExpr:
				forced[n.Key] = isName(n.Value, "false")
			case *ast.UnaryExpr:
				forced[n.X] = n.Op == token.NOT // asked, and not set
			}
		})
		walk(f.tree, func(n, parent ast.Node) {
			id, ok := n.(*ast.Ident)
			if ok && id.Name == "InsecureSkipVerify" && !forced[id] && !forced[parent] {
				out = append(out, f.breach(id, "InsecureSkipVerify"))
			}
		})
	}
	return out
}

// walk visits every node with its parent.
func walk(root ast.Node, visit func(n, parent ast.Node)) {
	var stack []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		var parent ast.Node
		if len(stack) > 0 {
			parent = stack[len(stack)-1]
		}
		visit(n, parent)
		stack = append(stack, n)
		return true
	})
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
