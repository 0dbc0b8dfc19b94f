package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// status is how a mutant ended.
type status int

const (
	untried    status = iota
	killed            // a test fails
	loops             // the tests do not come to an end
	lived             // no test fails
	notCovered        // no test runs the statement
	notViable         // it does not compile
)

// kinds are the mutators of gremlins: what each makes of a token. INVERT_NEGATIVES is not among them, since
// ARITHMETIC_BASE makes the same mutants.
var kinds = map[string]map[token.Token]token.Token{
	"ARITHMETIC_BASE": {token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
		token.REM: token.MUL},
	"CONDITIONALS_BOUNDARY": {token.GEQ: token.GTR, token.GTR: token.GEQ, token.LEQ: token.LSS, token.LSS: token.LEQ},
	"CONDITIONALS_NEGATION": {token.EQL: token.NEQ, token.NEQ: token.EQL, token.GEQ: token.LSS, token.LSS: token.GEQ,
		token.GTR: token.LEQ, token.LEQ: token.GTR},
	"INCREMENT_DECREMENT": {token.INC: token.DEC, token.DEC: token.INC},
	"INVERT_ASSIGNMENTS": {token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
		token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN, token.REM_ASSIGN: token.REM_ASSIGN},
	"INVERT_BITWISE": {token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.AND_NOT: token.AND,
		token.SHL: token.SHR, token.SHR: token.SHL},
	"INVERT_BWASSIGN": {token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN,
		token.XOR_ASSIGN: token.AND_ASSIGN, token.AND_NOT_ASSIGN: token.AND_ASSIGN, token.SHL_ASSIGN: token.SHR_ASSIGN,
		token.SHR_ASSIGN: token.SHL_ASSIGN},
	"INVERT_LOGICAL":  {token.LAND: token.LOR, token.LOR: token.LAND},
	"INVERT_LOOPCTRL": {token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK},
	"REMOVE_SELF_ASSIGNMENTS": {token.ADD_ASSIGN: token.ASSIGN, token.SUB_ASSIGN: token.ASSIGN,
		token.MUL_ASSIGN: token.ASSIGN, token.QUO_ASSIGN: token.ASSIGN, token.REM_ASSIGN: token.ASSIGN,
		token.AND_ASSIGN: token.ASSIGN, token.AND_NOT_ASSIGN: token.ASSIGN, token.OR_ASSIGN: token.ASSIGN,
		token.XOR_ASSIGN: token.ASSIGN, token.SHL_ASSIGN: token.ASSIGN, token.SHR_ASSIGN: token.ASSIGN},
}

// mutant is one change of the code.
type mutant struct {
	file         string // from the root of the tree
	line, column int    // of the token
	shift        int    // how much further to the right it stands in the whole, see [whole]
	kind         string // gremlins' mutator
	where        string // the function, with its receiver's type, or the constant or variable
	text         string // before -> after
	status       status

	syntax *ast.File
	in     *ast.FuncDecl // nil outside of functions
	token  *token.Token
	after  token.Token
}

// name tells a mutant from others without numbers of lines, which would not last.
func (m *mutant) name() string { return fmt.Sprintf("%s %s %s: %s", m.file, m.where, m.kind, m.text) }

// mutated does something while the mutant's token is changed.
func (m *mutant) mutated(do func() error) error {
	before := *m.token
	*m.token = m.after
	defer func() { *m.token = before }()
	return do()
}

// source is a package's code.
type source struct {
	fset  *token.FileSet
	path  string // of the import
	files []*ast.File
	deps  types.Importer
}

// load reads the package in a folder, given from the root of the tree.
func load(ctx context.Context, pkg string) (*source, error) {
	out, err := command(ctx, "go", "list", "-export", "-deps", "-json=ImportPath,Export,DepOnly,GoFiles", "./"+pkg).Output()
	if err != nil {
		return nil, withStderr(err)
	}
	s := &source{fset: token.NewFileSet()}
	exports := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Export string
			DepOnly            bool
			GoFiles            []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if p.DepOnly {
			continue
		}
		s.path = p.ImportPath
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(s.fset, path.Join(pkg, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			s.files = append(s.files, f)
		}
	}
	s.deps = importer.ForCompiler(s.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return s, s.compiles()
}

// compiles is what the compiler would say.
func (s *source) compiles() error {
	_, err := (&types.Config{Importer: s.deps}).Check(s.path, s.fset, s.files, nil)
	return err
}

// mutants are all changes of the package, in the order of the code. Those that do not compile are marked.
func (s *source) mutants() []*mutant {
	var all []*mutant
	for _, f := range s.files {
		for _, decl := range f.Decls {
			in, _ := decl.(*ast.FuncDecl)
			for _, part := range parts(decl) {
				ast.Inspect(part.node, func(n ast.Node) bool {
					for _, m := range s.mutantsOf(n) {
						m.syntax, m.in, m.where = f, in, part.name
						all = append(all, m)
					}
					return true
				})
			}
		}
	}
	return all
}

// part is what a mutant's name says it is in.
type part struct {
	name string
	node ast.Node
}

func parts(decl ast.Decl) []part {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			receiver := strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*")
			name = receiver + "." + name
		}
		return []part{{name, d}}
	case *ast.GenDecl:
		var all []part
		for _, spec := range d.Specs {
			switch v := spec.(type) {
			case *ast.ValueSpec:
				all = append(all, part{v.Names[0].Name, v})
			case *ast.TypeSpec:
				all = append(all, part{v.Name.Name, v})
			}
		}
		return all
	}
	return nil
}

// mutantsOf are the changes of one token.
func (s *source) mutantsOf(n ast.Node) []*mutant {
	var tok *token.Token
	var pos token.Pos
	switch n := n.(type) {
	case *ast.AssignStmt:
		tok, pos = &n.Tok, n.TokPos
	case *ast.BinaryExpr:
		tok, pos = &n.Op, n.OpPos
	case *ast.BranchStmt:
		tok, pos = &n.Tok, n.TokPos
	case *ast.IncDecStmt:
		tok, pos = &n.Tok, n.TokPos
	case *ast.UnaryExpr:
		tok, pos = &n.Op, n.OpPos
	default:
		return nil
	}
	var all []*mutant
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		after, ok := kinds[kind][*tok]
		if !ok {
			continue
		}
		at := s.fset.Position(pos)
		m := &mutant{file: filepath.ToSlash(at.Filename), line: at.Line, column: at.Column, kind: kind, token: tok, after: after}
		m.text = oneLine(n)
		if m.mutated(func() error {
			m.text += " -> " + oneLine(n)
			return s.compiles()
		}) != nil {
			m.status = notViable
		}
		all = append(all, m)
	}
	return all
}

// oneLine is the code of a node with single blanks.
func oneLine(n ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), n); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
