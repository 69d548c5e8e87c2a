package palisade_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// nameless are names of packages that say nothing about what is inside.
var nameless = []string{"util", "utils", "common", "shared", "misc", "helper", "helpers", "base", "lib", "internal", "pkg"}

// clockNames are the functions of package time that read the clock or wait for it.
var clockNames = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "Sleep", "NewTicker", "NewTimer"}

func joined(below string) string { return path.Join(module, below) }

func below(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func faultsOfPackages(rules []rule, packages []listed) []string {
	var faults []string
	for _, p := range packages {
		r := ruleOf(rules, p.ImportPath)
		if r == nil {
			faults = append(faults, p.ImportPath+" is not in the table of architecture_test.go")
			continue
		}
		faults = append(faults, faultsOfImports(r, p)...)
		if p.Doc == "" {
			faults = append(faults, r.path+" has no doc comment")
		}
		if slices.Contains(nameless, p.Name) {
			faults = append(faults, fmt.Sprintf("%s is named %q: name the noun instead", r.path, p.Name))
		}
	}
	return faults
}

func faultsOfImports(r *rule, p listed) []string {
	var faults []string
	for _, path := range p.Imports {
		if isOurs(path) && !slices.Contains(r.ours, below(path)) {
			faults = append(faults, fmt.Sprintf("%s may not import %s: %s", r.path, below(path), r.why))
		}
		for _, b := range r.bans {
			if slices.Contains(b.direct, path) {
				faults = append(faults, fmt.Sprintf("%s may not import %s: %s", r.path, path, b.why))
			}
		}
	}
	for _, path := range p.Deps {
		for _, b := range r.bans {
			if slices.ContainsFunc(b.reach, func(banned string) bool { return path == banned || strings.HasPrefix(path, banned+"/") }) {
				faults = append(faults, fmt.Sprintf("%s may not reach %s: %s", r.path, path, b.why))
			}
		}
	}
	return faults
}

// faultsOfTable holds the table to its own word: imports go to a lower floor, so there can be no circle.
func faultsOfTable(rules []rule) []string {
	floors := map[string]int{}
	var faults []string
	for _, r := range rules {
		if _, twice := floors[r.path]; twice {
			faults = append(faults, fmt.Sprintf("%q stands twice in the table", r.path))
		}
		floors[r.path] = r.floor
	}
	for _, r := range rules {
		for _, to := range r.ours {
			floor, found := floors[to]
			switch {
			case !found:
				faults = append(faults, fmt.Sprintf("%s may import %s, which is not in the table", r.path, to))
			case floor >= r.floor:
				faults = append(faults, fmt.Sprintf("%s is on floor %d and may not import %s on floor %d", r.path, r.floor, to, floor))
			}
		}
	}
	return faults
}

// faultsOfSource looks for init, for package state, and for the clock unless it may be read.
func faultsOfSource(set *token.FileSet, file *ast.File, clock bool) []string {
	var faults []string
	fault := func(n ast.Node, why string) {
		faults = append(faults, fmt.Sprintf("%s: %s", set.Position(n.Pos()), why))
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				fault(d, "init runs behind everybody's back: list explicitly what it would register")
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR && !isEmbedded(d.Doc) {
				for _, spec := range d.Specs {
					if v := spec.(*ast.ValueSpec); isState(v) && !isEmbedded(v.Doc) {
						fault(v, "a package keeps no state beyond tables and sentinel errors: pass it as a value")
					}
				}
			}
		}
	}
	name := timeName(file)
	if clock || name == "" {
		return faults
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clockNames, s.Sel.Name) {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
				fault(s, "time is an argument here: take it as a time.Time")
			}
		}
		return true
	})
	return faults
}

func isEmbedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// isState tells whether a package-level variable can only be there to be changed:
// it begins with no value, or an empty one, or is a thing of package sync.
func isState(v *ast.ValueSpec) bool {
	if v.Names[0].Name == "_" {
		return false
	}
	return len(v.Values) == 0 || slices.ContainsFunc(v.Values, startsEmpty)
}

func startsEmpty(value ast.Expr) bool {
	switch e := value.(type) {
	case *ast.UnaryExpr:
		return startsEmpty(e.X)
	case *ast.CallExpr:
		made, ok := e.Fun.(*ast.Ident)
		return ok && (made.Name == "make" || made.Name == "new")
	case *ast.CompositeLit:
		if t, ok := e.Type.(*ast.SelectorExpr); ok {
			if x, ok := t.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
				return true
			}
		}
		switch e.Type.(type) {
		case *ast.MapType, *ast.ArrayType:
			return len(e.Elts) == 0
		}
	}
	return false
}
