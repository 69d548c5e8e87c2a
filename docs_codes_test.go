package palisade_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// codes are what the source gives to model.Finding and model.Problem, each with where.
type codes struct {
	findings, problems map[string][]string
	// faults are codes that could not be followed to a literal.
	faults []string
}

// sourceFile is one file that may name a code.
type sourceFile struct {
	set *token.FileSet
	ast *ast.File
	// pkg is the package's folder below the module.
	pkg string
}

// place is an expression for a code, where it stands.
type place struct {
	file sourceFile
	// in is the function around it; nil at the level of the package.
	in   *ast.FuncDecl
	expr ast.Expr
	// finding tells a Finding's code from a Problem's.
	finding bool
}

// collector follows codes from where they are used back to where they are written.
// It knows no types: names are enough, and what it cannot follow is a fault.
type collector struct {
	files []sourceFile
	found codes
	seen  map[string]bool
}

func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, sourceFile{set: set, ast: file, pkg: below(p.ImportPath)})
		}
	}
	return files
}

func collect(files []sourceFile) codes {
	c := &collector{
		files: files, seen: map[string]bool{},
		found: codes{findings: map[string][]string{}, problems: map[string][]string{}},
	}
	for _, f := range files {
		c.walk(f, func(in *ast.FuncDecl, n ast.Node) { c.sink(f, in, n) })
	}
	slices.Sort(c.found.faults)
	return c.found
}

// walk visits every node of a file with the function around it.
func (c *collector) walk(f sourceFile, visit func(*ast.FuncDecl, ast.Node)) {
	for _, declared := range f.ast.Decls {
		in, _ := declared.(*ast.FuncDecl)
		ast.Inspect(declared, func(n ast.Node) bool {
			if n != nil {
				visit(in, n)
			}
			return true
		})
	}
}

// sink looks for what makes a Finding or a Problem: NewFinding, and composite literals.
func (c *collector) sink(f sourceFile, in *ast.FuncDecl, n ast.Node) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if nameOf(n.Fun) == "NewFinding" {
			c.follow(place{f, in, n.Args[0], true})
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if s, ok := left.(*ast.SelectorExpr); ok && s.Sel.Name == "Code" && i < len(n.Rhs) && !isCopy(n.Rhs[i]) {
				c.fault(place{file: f, expr: left}, "sets a Code outside of a literal")
			}
		}
	case *ast.CompositeLit:
		if f.pkg == "audit" && nameOf(n.Type) == "Kind" {
			return // an entry of the catalogue: what it is good for is a test of its own
		}
		c.literal(f, in, n, n.Type)
	}
}

// literal takes the code of a composite literal of a Finding or a Problem; elements of a list may leave out the type.
func (c *collector) literal(f sourceFile, in *ast.FuncDecl, n *ast.CompositeLit, of ast.Expr) {
	if of == nil {
		return // seen by way of the list around it
	}
	if list, ok := of.(*ast.ArrayType); ok {
		for _, e := range n.Elts {
			if element, ok := e.(*ast.CompositeLit); ok && element.Type == nil {
				c.literal(f, in, element, list.Elt)
			}
		}
		return
	}
	name := nameOf(of)
	if !isOf(of, f, "Finding") && !isOf(of, f, "Problem") || len(n.Elts) == 0 {
		return
	}
	for _, e := range n.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		switch {
		case !ok:
			c.fault(place{file: f, expr: n}, "name the fields of a "+name)
			return
		case nameOf(pair.Key) == "Code":
			c.follow(place{f, in, pair.Value, name == "Finding"})
			return
		}
	}
	c.fault(place{file: f, expr: n}, "a "+name+" without a Code")
}

// follow finds the literals that an expression for a code may come to.
func (c *collector) follow(p place) {
	key := fmt.Sprint(p.at(), p.finding)
	if c.seen[key] || isCopy(p.expr) {
		return
	}
	c.seen[key] = true
	switch e := p.expr.(type) {
	case *ast.BasicLit:
		c.note(p, e)
	case *ast.Ident:
		c.name(p, e.Name)
	case *ast.SelectorExpr:
		if !c.constant(p, e.Sel.Name, nameOf(e.X)) && !c.field(p, e.Sel.Name) {
			c.fault(p, "the code is no literal")
		}
	default:
		c.fault(p, "the code is no literal")
	}
}

func (c *collector) note(p place, e *ast.BasicLit) {
	code, err := strconv.Unquote(e.Value)
	if err != nil || e.Kind != token.STRING || code == "" {
		c.fault(p, "the code is no word")
		return
	}
	to := c.found.problems
	if p.finding {
		to = c.found.findings
	}
	to[code] = append(to[code], p.at())
}

// name follows an identifier: a local variable, a parameter of the function, or a constant of the package.
func (c *collector) name(p place, name string) {
	switch values := assigned(p.in, name); {
	case len(values) > 0:
		for _, value := range values {
			c.follow(place{p.file, p.in, value, p.finding})
		}
	case parameter(p.in, name) >= 0:
		// NewFinding is a sink of its own: its calls are found without following.
		if p.in.Name.Name != "NewFinding" {
			c.calls(p, parameter(p.in, name))
		}
	case c.constant(p, name, ""):
	default:
		c.fault(p, "the code is no literal")
	}
}

// calls follows what is passed for a parameter by every call of the function around it.
func (c *collector) calls(p place, index int) {
	name, count := p.in.Name.Name, p.in.Type.Params.NumFields()
	called := false
	for _, f := range c.files {
		if f.pkg != p.file.pkg && !ast.IsExported(name) {
			continue
		}
		c.walk(f, func(in *ast.FuncDecl, n ast.Node) {
			if call, ok := n.(*ast.CallExpr); ok && nameOf(call.Fun) == name && len(call.Args) == count {
				called = true
				c.follow(place{f, in, call.Args[index], p.finding})
			}
		})
	}
	if !called {
		c.fault(p, name+" takes a code and nobody calls it")
	}
}

// constant looks for a constant of a package: the own one, or the one that goes by the name of.
func (c *collector) constant(p place, name, of string) bool {
	for _, f := range c.files {
		if of == "" && f.pkg != p.file.pkg || of != "" && f.ast.Name.Name != of {
			continue
		}
		for _, declared := range f.ast.Decls {
			if value := valueOf(declared, name); value != nil {
				c.follow(place{f, nil, value, p.finding})
				return true
			}
		}
	}
	return false
}

func valueOf(declared ast.Decl, name string) ast.Expr {
	group, ok := declared.(*ast.GenDecl)
	if !ok || group.Tok != token.CONST {
		return nil
	}
	for _, s := range group.Specs {
		spec := s.(*ast.ValueSpec)
		for i, n := range spec.Names {
			if n.Name == name && i < len(spec.Values) {
				return spec.Values[i]
			}
		}
	}
	return nil
}

// field follows what the package's literals of a struct with such a field set it to.
func (c *collector) field(p place, field string) bool {
	structs := map[string]int{}
	c.each(p.file.pkg, func(_ sourceFile, _ *ast.FuncDecl, n ast.Node) {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok && indexOf(s.Fields, field) >= 0 {
				structs[spec.Name.Name] = indexOf(s.Fields, field)
			}
		}
	})
	found := false
	c.each(p.file.pkg, func(f sourceFile, in *ast.FuncDecl, n ast.Node) {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return
		}
		index, ok := structs[nameOf(literal.Type)]
		if value := elementOf(literal, field, index); ok && value != nil {
			found = true
			c.follow(place{f, in, value, p.finding})
		}
	})
	return found
}

func (c *collector) each(pkg string, visit func(sourceFile, *ast.FuncDecl, ast.Node)) {
	for _, f := range c.files {
		if f.pkg == pkg {
			c.walk(f, func(in *ast.FuncDecl, n ast.Node) { visit(f, in, n) })
		}
	}
}

func (c *collector) fault(p place, what string) {
	c.found.faults = append(c.found.faults, p.at()+": "+what)
}

func (p place) at() string {
	position := p.file.set.Position(p.expr.Pos())
	return fmt.Sprintf("%s/%s:%d:%d", p.file.pkg, filepath.Base(position.Filename), position.Line, position.Column)
}

// isCopy tells of the Code of another Finding or Problem, which is followed where that is made.
func isCopy(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Code"
}

// isOf tells whether a type is model's, seen from a file.
func isOf(e ast.Expr, f sourceFile, name string) bool {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name == name && nameOf(s.X) == "model"
	}
	return f.pkg == "model" && nameOf(e) == name
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.StarExpr:
		return nameOf(e.X)
	default:
		return ""
	}
}

// assigned are the values that a function gives to a local variable.
func assigned(in *ast.FuncDecl, name string) []ast.Expr {
	if in == nil {
		return nil
	}
	var values []ast.Expr
	ast.Inspect(in, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if nameOf(left) == name && len(n.Lhs) == len(n.Rhs) {
					values = append(values, n.Rhs[i])
				}
			}
		case *ast.ValueSpec:
			for i, left := range n.Names {
				if left.Name == name && i < len(n.Values) {
					values = append(values, n.Values[i])
				}
			}
		}
		return true
	})
	return values
}

// parameter is the position of a function's parameter, or -1.
func parameter(in *ast.FuncDecl, name string) int {
	if in == nil {
		return -1
	}
	return indexOf(in.Type.Params, name)
}

func indexOf(fields *ast.FieldList, name string) int {
	at := 0
	for _, f := range fields.List {
		for _, n := range f.Names {
			if n.Name == name {
				return at
			}
			at++
		}
	}
	return -1
}

// elementOf is the value of a field in a literal, by its name or by its position.
func elementOf(literal *ast.CompositeLit, field string, index int) ast.Expr {
	for i, e := range literal.Elts {
		pair, named := e.(*ast.KeyValueExpr)
		switch {
		case named && nameOf(pair.Key) == field:
			return pair.Value
		case !named && i == index:
			return e
		}
	}
	return nil
}

// list is the codes of a map, sorted.
func list(of map[string][]string) []string { return slices.Sorted(maps.Keys(of)) }

// whereOf says where a code is written, for messages.
func whereOf(of map[string][]string, code string) string { return strings.Join(of[code], ", ") }
